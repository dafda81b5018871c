//! The identity of a session that ends, or has changed since the session began.
//!
//! When it ends is a time of the node's clock, made of what is left of it by the clock on the wall
//! when it is taken: a clock that is set later ends nobody, and a pause of this process is nobody's
//! fault.

use std::time::{Duration, SystemTime};

use realtime_core::{Identity, IdentityUpdate};

use crate::{
    clock::{Clock, Millis, NEVER, millis},
    sync::Mutex,
};

/// Kept by those sessions alone that need it.
#[derive(Debug)]
pub(crate) struct Living(Mutex<Now>);

#[derive(Debug)]
struct Now {
    ending: Ending,
    /// Boxed: most end as they began.
    changed: Option<Box<Changed>>,
}

/// What has become of it since its session began.
#[derive(Debug)]
struct Changed {
    identity: Identity,
    /// How often its roles or claims have changed.
    changes: u64,
    /// For how many of these changes the rules of its rooms have been asked.
    asked: u64,
    /// Somebody asks them.
    asking: bool,
    /// What the application has changed, and when it last did: tokens that are older say nothing
    /// else.
    update: Option<Box<(IdentityUpdate, SystemTime)>>,
}

/// How far its end is.
#[derive(Debug)]
enum Ending {
    /// There is none.
    Never,
    /// Its client is to be told.
    Ahead {
        /// When what its client has shown ends.
        at: Millis,
        tell: Millis,
    },
    /// Its client was told.
    Told {
        /// When its session ends.
        over: Millis,
        /// What its client has sent in time was waited for.
        has_waited: bool,
    },
}

/// What is to be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing before this time.
    Later(Millis),
    /// The client is told that it has so long.
    Tell(Duration),
    /// It was told, and has shown nothing fresh.
    Over,
}

/// What the application has changed is too much to be kept for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMuch;

impl Living {
    /// One whose client is told at the latest so long before it ends; one that ends sooner is told
    /// half way.
    pub(crate) fn new(identity: &Identity, clock: &Clock, notice: Duration) -> Self {
        Self(Mutex::new(Now {
            ending: Ending::new(identity, clock, notice),
            changed: None,
        }))
    }

    /// What has become of it, if anything.
    pub(crate) fn identity(&self) -> Option<Identity> {
        let now = self.0.lock();
        let changed = now.changed.as_ref()?;
        Some(changed.identity.clone())
    }

    /// Its client, who began as the first, has shown the second.
    pub(crate) fn show(&self, began: &Identity, shown: Identity, clock: &Clock, notice: Duration) {
        let mut now = self.0.lock();
        let changed = now.changed(began);
        let shown = match changed.update.as_deref() {
            // It may have been issued before that.
            Some((update, at)) if shown.issued_at().is_none_or(|issued| issued < *at) => {
                update.apply(&shown)
            }
            _ => {
                changed.update = None;
                shown
            }
        };
        now.turn_into(began, shown, clock, notice);
    }

    /// The application changes it.
    pub(crate) fn update(
        &self,
        began: &Identity,
        update: &IdentityUpdate,
        clock: &Clock,
        notice: Duration,
    ) -> Result<(), TooMuch> {
        let mut now = self.0.lock();
        let changed = now.changed(began);
        let merged = match changed.update.as_deref() {
            Some((before, _)) => before.clone().then(update),
            None => update.clone(),
        };
        if merged.is_too_large() {
            return Err(TooMuch);
        }
        changed.update = Some(Box::new((merged, SystemTime::now())));
        let identity = update.apply(&changed.identity);
        now.turn_into(began, identity, clock, notice);
        Ok(())
    }

    /// How often its roles or claims have changed.
    pub(crate) fn changes(&self) -> u64 {
        self.with(|changed| changed.changes).unwrap_or_default()
    }

    /// Begins to ask the rules of its rooms, where they are to be asked and nobody does so already.
    pub(crate) fn begin_asking(&self) -> bool {
        let begins = self.with(|changed| {
            let begins = !changed.asking && changed.asked < changed.changes;
            changed.asking |= begins;
            begins
        });
        begins.unwrap_or_default()
    }

    /// The last of the changes for which they are still to be asked. Without one, who asks has ended.
    pub(crate) fn to_be_asked(&self) -> Option<u64> {
        self.with(|changed| {
            changed.asking = changed.asked < changed.changes;
            changed.asking.then_some(changed.changes)
        })?
    }

    /// They have been asked.
    pub(crate) fn has_asked(&self, change: u64) {
        let _changed = self.with(|changed| changed.asked = changed.asked.max(change));
    }

    /// Who has asked goes on no more.
    pub(crate) fn end_asking(&self) {
        let _changed = self.with(|changed| changed.asking = false);
    }

    /// They are to be asked anew, all of them: one may have been asked about a former identity.
    pub(crate) fn ask_anew(&self) {
        let _changed = self.with(|changed| changed.changes += 1);
    }

    fn with<T>(&self, of: impl FnOnce(&mut Changed) -> T) -> Option<T> {
        self.0.lock().changed.as_deref_mut().map(of)
    }

    pub(crate) fn due(&self, clock: &Clock, grace: Duration) -> Due {
        self.0.lock().ending.due(clock, grace)
    }

    /// Its client has sent something in time that is still to be handled. Returns until when that is
    /// waited for, once.
    pub(crate) fn wait_once(&self, clock: &Clock, grace: Duration) -> Option<Millis> {
        match &mut self.0.lock().ending {
            Ending::Told { over, has_waited } if !*has_waited => {
                (*over, *has_waited) = (clock.after(grace), true);
                Some(*over)
            }
            _ => None,
        }
    }
}

impl Now {
    fn changed(&mut self, began: &Identity) -> &mut Changed {
        self.changed.get_or_insert_with(|| {
            Box::new(Changed {
                identity: began.clone(),
                changes: 0,
                asked: 0,
                asking: false,
                update: None,
            })
        })
    }

    /// Under its lock: none of two changes is lost.
    fn turn_into(&mut self, began: &Identity, into: Identity, clock: &Clock, notice: Duration) {
        let changed = self.changed(began);
        let before = std::mem::replace(&mut changed.identity, into);
        let identity = &changed.identity;
        let is_other = identity.roles() != before.roles() || identity.claims() != before.claims();
        changed.changes += u64::from(is_other);
        // What ends when it did before isn't measured by another clock, nor told again.
        if identity.expires_at() != before.expires_at() {
            self.ending = Ending::new(identity, clock, notice);
        }
    }
}

impl Ending {
    fn new(identity: &Identity, clock: &Clock, notice: Duration) -> Self {
        let Some(expires_at) = identity.expires_at() else {
            return Self::Never;
        };
        let left = expires_at.duration_since(SystemTime::now());
        let left = left.unwrap_or_default();
        let told = left.saturating_sub(notice.min(left / 2));
        let now = clock.now();
        let at = |after| now.saturating_add(millis(after)).min(NEVER - 1);
        Self::Ahead {
            at: at(left),
            tell: at(told),
        }
    }

    fn due(&mut self, clock: &Clock, grace: Duration) -> Due {
        let now = clock.now();
        match *self {
            Self::Never => Due::Later(NEVER),
            Self::Ahead { tell, .. } if tell > now => Due::Later(tell),
            Self::Ahead { at, .. } => {
                // Nobody ends who wasn't told, and had no time since.
                let from = at.max(now);
                let over = from.saturating_add(millis(grace));
                *self = Self::Told {
                    over: over.saturating_add(millis(clock.tick())),
                    has_waited: false,
                };
                Due::Tell(Duration::from_millis(at.saturating_sub(now)))
            }
            Self::Told { over, .. } if over <= now => Due::Over,
            Self::Told { over, .. } => Due::Later(over),
        }
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(10);
    const NOTICE: Duration = Duration::from_secs(30);
    const GRACE: Duration = Duration::from_secs(25);

    fn pass(clock: &Clock, time: Duration) {
        for _ in 0..time.as_millis() / TICK.as_millis() {
            clock.advance(TICK);
        }
    }

    fn ends_in(left: Duration) -> Identity {
        Identity::new("ada").with_expires_at(SystemTime::now() + left)
    }

    fn is_later(due: Due) -> bool {
        matches!(due, Due::Later(_))
    }

    #[test]
    fn its_client_is_told_once_and_has_its_grace() {
        let clock = Clock::new(TICK);
        let began = ends_in(Duration::from_secs(100));
        let living = Living::new(&began, &clock, NOTICE);
        assert!(matches!(living.due(&clock, GRACE), Due::Later(at) if at > 69_000 && at < 70_100));
        pass(&clock, Duration::from_secs(71));
        let told = living.due(&clock, GRACE);
        assert!(matches!(told, Due::Tell(within) if within > GRACE && within < NOTICE));
        pass(&clock, Duration::from_secs(53));
        assert!(is_later(living.due(&clock, GRACE)));
        pass(&clock, Duration::from_secs(2));
        assert_eq!(living.due(&clock, GRACE), Due::Over);
        living.show(&began, ends_in(Duration::from_secs(100)), &clock, NOTICE);
        assert!(is_later(living.due(&clock, GRACE)));
    }

    #[test]
    fn who_wakes_after_its_end_is_told_before_it_is_over() {
        let clock = Clock::new(TICK);
        let living = Living::new(&ends_in(Duration::from_secs(1)), &clock, NOTICE);
        pass(&clock, Duration::from_secs(3_600));
        assert_eq!(living.due(&clock, GRACE), Due::Tell(Duration::ZERO));
        pass(&clock, Duration::from_secs(24));
        assert!(is_later(living.due(&clock, GRACE)));
        pass(&clock, Duration::from_secs(2));
        assert_eq!(living.due(&clock, GRACE), Due::Over);
        assert!(living.wait_once(&clock, GRACE).is_some());
        assert!(is_later(living.due(&clock, GRACE)));
        pass(&clock, Duration::from_secs(26));
        assert_eq!(living.due(&clock, GRACE), Due::Over);
        assert!(living.wait_once(&clock, GRACE).is_none());
    }

    #[test]
    fn one_without_an_end_and_one_with_a_far_one_are_never_due() {
        let clock = Clock::new(TICK);
        let far = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(1 << 45));
        let far = far.map(|at| Identity::new("ada").with_expires_at(at));
        for identity in [Some(Identity::new("ada")), far].into_iter().flatten() {
            let living = Living::new(&identity, &clock, NOTICE);
            pass(&clock, Duration::from_secs(3_600));
            assert!(is_later(living.due(&clock, GRACE)));
        }
    }

    #[test]
    fn an_update_prolongs_nothing_and_an_older_token_does_not_undo_it() {
        let clock = Clock::new(TICK);
        let then = SystemTime::now() - Duration::from_secs(60);
        let token = ends_in(Duration::from_secs(10)).with_issued_at(then);
        let began = token.clone().with_role("admin");
        let living = Living::new(&began, &clock, NOTICE);
        pass(&clock, Duration::from_secs(10));
        assert_eq!(living.due(&clock, GRACE), Due::Tell(Duration::ZERO));
        pass(&clock, Duration::from_secs(20));
        let demoted = IdentityUpdate::new().with_roles(["member"]);
        assert_eq!(living.update(&began, &demoted, &clock, NOTICE), Ok(()));
        let named = IdentityUpdate::new().with_claim("a", 1);
        assert_eq!(living.update(&began, &named, &clock, NOTICE), Ok(()));
        assert!(is_later(living.due(&clock, GRACE)), "it isn't told again");
        pass(&clock, Duration::from_secs(6));
        assert_eq!(living.due(&clock, GRACE), Due::Over);
        living.show(&began, token.clone().with_role("admin"), &clock, NOTICE);
        assert_eq!(living.identity().unwrap().roles(), ["member"]);
        assert_eq!(living.identity().unwrap().claims()["a"], 1);
        assert_eq!(living.due(&clock, GRACE), Due::Over, "nor is it fresh");
        let later = SystemTime::now() + Duration::from_secs(1);
        living.show(
            &began,
            token.with_issued_at(later).with_role("admin"),
            &clock,
            NOTICE,
        );
        assert_eq!(living.identity().unwrap().roles(), ["admin"]);
        assert!(living.identity().unwrap().claims().is_empty());
        assert!(living.begin_asking() && !living.begin_asking(), "one asks");
        assert_eq!((living.changes(), living.to_be_asked()), (3, Some(3)));
        living.has_asked(3);
        assert_eq!(living.to_be_asked(), None);
        assert!(!living.begin_asking(), "nothing is to be asked");
        living.ask_anew();
        assert!(living.begin_asking(), "the one before has ended");
        assert_eq!(living.to_be_asked(), Some(4));
    }
}
