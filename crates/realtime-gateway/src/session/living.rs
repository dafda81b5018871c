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
    identity: Identity,
    ending: Ending,
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

/// When it ends.
#[derive(Debug)]
struct Ending {
    /// When what its client has shown ends.
    ends: Millis,
    /// When its client is told of it; `NEVER` once it has been.
    tell: Millis,
    /// When its session ends, once its client was told.
    over: Millis,
    /// What its client has sent in time was waited for.
    has_waited: bool,
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
    pub(crate) fn new(identity: Identity, clock: &Clock, notice: Duration) -> Self {
        Self(Mutex::new(Now {
            ending: Ending::new(&identity, clock, notice),
            identity,
            changes: 0,
            asked: 0,
            asking: false,
            update: None,
        }))
    }

    pub(crate) fn identity(&self) -> Identity {
        self.0.lock().identity.clone()
    }

    /// Its client has shown this one.
    pub(crate) fn show(&self, shown: Identity, clock: &Clock, notice: Duration) {
        let mut now = self.0.lock();
        let shown = match now.update.as_deref() {
            // It may have been issued before that.
            Some((update, at)) if shown.issued_at().is_none_or(|issued| issued < *at) => {
                update.apply(&shown)
            }
            _ => {
                now.update = None;
                shown
            }
        };
        now.turn_into(shown, clock, notice);
    }

    /// The application changes it.
    pub(crate) fn update(
        &self,
        update: &IdentityUpdate,
        clock: &Clock,
        notice: Duration,
    ) -> Result<(), TooMuch> {
        let mut now = self.0.lock();
        let merged = match now.update.as_deref() {
            Some((before, _)) => before.clone().then(update),
            None => update.clone(),
        };
        if merged.is_too_large() {
            return Err(TooMuch);
        }
        let changed = update.apply(&now.identity);
        now.update = Some(Box::new((merged, SystemTime::now())));
        now.turn_into(changed, clock, notice);
        Ok(())
    }

    /// How often its roles or claims have changed.
    pub(crate) fn changes(&self) -> u64 {
        self.0.lock().changes
    }

    /// Begins to ask the rules of its rooms, where they are to be asked and nobody does so already.
    pub(crate) fn begin_asking(&self) -> bool {
        let mut now = self.0.lock();
        let begins = !now.asking && now.asked < now.changes;
        now.asking |= begins;
        begins
    }

    /// The last of the changes for which they are still to be asked. Without one, who asks has ended.
    pub(crate) fn to_be_asked(&self) -> Option<u64> {
        let mut now = self.0.lock();
        now.asking = now.asked < now.changes;
        now.asking.then_some(now.changes)
    }

    /// They have been asked.
    pub(crate) fn has_asked(&self, change: u64) {
        let mut now = self.0.lock();
        now.asked = now.asked.max(change);
    }

    /// Who has asked goes on no more.
    pub(crate) fn end_asking(&self) {
        self.0.lock().asking = false;
    }

    /// They are to be asked anew, all of them: one may have been asked about a former identity.
    pub(crate) fn ask_anew(&self) {
        let mut now = self.0.lock();
        now.changes += 1;
    }

    pub(crate) fn due(&self, clock: &Clock, grace: Duration) -> Due {
        self.0.lock().ending.due(clock, grace)
    }

    /// Its client has sent something in time that is still to be handled. Returns until when that is
    /// waited for, once.
    pub(crate) fn wait_once(&self, clock: &Clock, grace: Duration) -> Option<Millis> {
        let ending = &mut self.0.lock().ending;
        if std::mem::replace(&mut ending.has_waited, true) {
            return None;
        }
        ending.over = clock.after(grace);
        Some(ending.over)
    }
}

impl Now {
    /// Under its lock: none of two changes is lost.
    fn turn_into(&mut self, identity: Identity, clock: &Clock, notice: Duration) {
        let before = &self.identity;
        // What ends when it did before isn't measured by another clock, nor told again.
        if identity.expires_at() != before.expires_at() {
            self.ending = Ending::new(&identity, clock, notice);
        }
        let is_other = identity.roles() != before.roles() || identity.claims() != before.claims();
        self.changes += u64::from(is_other);
        self.identity = identity;
    }
}

impl Ending {
    fn new(identity: &Identity, clock: &Clock, notice: Duration) -> Self {
        let left = identity
            .expires_at()
            .map(|at| at.duration_since(SystemTime::now()).unwrap_or_default());
        let (ends, tell) = left.map_or((NEVER, NEVER), |left| {
            let told = left.saturating_sub(notice.min(left / 2));
            let now = clock.now();
            let at = |after| now.saturating_add(millis(after)).min(NEVER - 1);
            (at(left), at(told))
        });
        Self {
            ends,
            tell,
            over: NEVER,
            has_waited: false,
        }
    }

    fn due(&mut self, clock: &Clock, grace: Duration) -> Due {
        let now = clock.now();
        if self.over <= now {
            return Due::Over;
        }
        if self.tell > now {
            return Due::Later(self.tell.min(self.over));
        }
        self.tell = NEVER;
        // Nobody ends who wasn't told, and had no time since.
        let from = self.ends.max(now);
        self.over = from
            .saturating_add(millis(grace))
            .saturating_add(millis(clock.tick()));
        Due::Tell(Duration::from_millis(self.ends.saturating_sub(now)))
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
        let living = Living::new(ends_in(Duration::from_secs(100)), &clock, NOTICE);
        assert!(matches!(living.due(&clock, GRACE), Due::Later(at) if at > 69_000 && at < 70_100));
        pass(&clock, Duration::from_secs(71));
        let told = living.due(&clock, GRACE);
        assert!(matches!(told, Due::Tell(within) if within > GRACE && within < NOTICE));
        pass(&clock, Duration::from_secs(53));
        assert!(is_later(living.due(&clock, GRACE)));
        pass(&clock, Duration::from_secs(2));
        assert_eq!(living.due(&clock, GRACE), Due::Over);
        living.show(ends_in(Duration::from_secs(100)), &clock, NOTICE);
        assert!(is_later(living.due(&clock, GRACE)));
    }

    #[test]
    fn who_wakes_after_its_end_is_told_before_it_is_over() {
        let clock = Clock::new(TICK);
        let living = Living::new(ends_in(Duration::from_secs(1)), &clock, NOTICE);
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
            let living = Living::new(identity, &clock, NOTICE);
            pass(&clock, Duration::from_secs(3_600));
            assert!(is_later(living.due(&clock, GRACE)));
        }
    }

    #[test]
    fn an_update_prolongs_nothing_and_an_older_token_does_not_undo_it() {
        let clock = Clock::new(TICK);
        let then = SystemTime::now() - Duration::from_secs(60);
        let token = ends_in(Duration::from_secs(10)).with_issued_at(then);
        let living = Living::new(token.clone().with_role("admin"), &clock, NOTICE);
        pass(&clock, Duration::from_secs(10));
        assert_eq!(living.due(&clock, GRACE), Due::Tell(Duration::ZERO));
        pass(&clock, Duration::from_secs(20));
        let demoted = IdentityUpdate::new().with_roles(["member"]);
        assert_eq!(living.update(&demoted, &clock, NOTICE), Ok(()));
        let named = IdentityUpdate::new().with_claim("a", 1);
        assert_eq!(living.update(&named, &clock, NOTICE), Ok(()));
        assert!(is_later(living.due(&clock, GRACE)), "it isn't told again");
        pass(&clock, Duration::from_secs(6));
        assert_eq!(living.due(&clock, GRACE), Due::Over);
        living.show(token.clone().with_role("admin"), &clock, NOTICE);
        assert_eq!(living.identity().roles(), ["member"]);
        assert_eq!(living.identity().claims()["a"], 1);
        assert_eq!(living.due(&clock, GRACE), Due::Over, "nor is it fresh");
        let later = SystemTime::now() + Duration::from_secs(1);
        living.show(
            token.with_issued_at(later).with_role("admin"),
            &clock,
            NOTICE,
        );
        assert_eq!(living.identity().roles(), ["admin"]);
        assert!(living.identity().claims().is_empty());
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
