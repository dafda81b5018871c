//! The identity of a session that ends, or has changed since the session began.
//!
//! When it ends is a time of the node's clock, made of what is left of it by the clock on the wall
//! when it is taken: a clock that is set later ends nobody, and a pause of this process is nobody's
//! fault.

use std::time::{Duration, SystemTime};

use realtime_core::Identity;

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
    /// When what its client has shown ends.
    ends: Millis,
    /// When its client is told of it; `NEVER` once it has been.
    tell: Millis,
    /// When its session ends, once its client was told.
    over: Millis,
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

impl Living {
    /// One whose client is told at the latest so long before it ends; one that ends sooner is told
    /// half way.
    pub(crate) fn new(identity: Identity, clock: &Clock, notice: Duration) -> Self {
        Self(Mutex::new(Now::new(identity, clock, notice)))
    }

    pub(crate) fn identity(&self) -> Identity {
        self.0.lock().identity.clone()
    }

    /// From here on it is this one.
    pub(crate) fn set(&self, identity: Identity, clock: &Clock, notice: Duration) {
        let now = Now::new(identity, clock, notice);
        let before = std::mem::replace(&mut *self.0.lock(), now);
        // Not under the lock: others may have to be freed with it.
        drop(before);
    }

    pub(crate) fn due(&self, clock: &Clock, grace: Duration) -> Due {
        let now = clock.now();
        let mut this = self.0.lock();
        if this.over <= now {
            return Due::Over;
        }
        if this.tell > now {
            return Due::Later(this.tell.min(this.over));
        }
        this.tell = NEVER;
        // Nobody ends who wasn't told, and had no time since.
        let from = this.ends.max(now);
        this.over = from
            .saturating_add(millis(grace))
            .saturating_add(millis(clock.tick()));
        Due::Tell(Duration::from_millis(this.ends.saturating_sub(now)))
    }
}

impl Now {
    fn new(identity: Identity, clock: &Clock, notice: Duration) -> Self {
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
            identity,
            ends,
            tell,
            over: NEVER,
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

    #[test]
    fn its_client_is_told_once_and_has_its_grace() {
        let clock = Clock::new(TICK);
        let living = Living::new(ends_in(Duration::from_secs(100)), &clock, NOTICE);
        assert!(matches!(living.due(&clock, GRACE), Due::Later(at) if at > 69_000 && at < 70_100));
        pass(&clock, Duration::from_secs(71));
        let Due::Tell(within) = living.due(&clock, GRACE) else {
            panic!("nobody is told");
        };
        assert!(within > Duration::from_secs(28) && within < NOTICE);
        pass(&clock, Duration::from_secs(53));
        assert!(matches!(living.due(&clock, GRACE), Due::Later(_)));
        pass(&clock, Duration::from_secs(2));
        assert_eq!(living.due(&clock, GRACE), Due::Over);
        living.set(ends_in(Duration::from_secs(100)), &clock, NOTICE);
        assert!(matches!(living.due(&clock, GRACE), Due::Later(_)));
    }

    #[test]
    fn who_wakes_after_its_end_is_told_before_it_is_over() {
        let clock = Clock::new(TICK);
        let living = Living::new(ends_in(Duration::from_secs(1)), &clock, NOTICE);
        pass(&clock, Duration::from_secs(3_600));
        assert_eq!(living.due(&clock, GRACE), Due::Tell(Duration::ZERO));
        pass(&clock, Duration::from_secs(24));
        assert!(matches!(living.due(&clock, GRACE), Due::Later(_)));
        pass(&clock, Duration::from_secs(2));
        assert_eq!(living.due(&clock, GRACE), Due::Over);
    }

    #[test]
    fn one_without_an_end_and_one_with_a_far_one_are_never_due() {
        let clock = Clock::new(TICK);
        let far = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(1 << 45));
        let far = far.map(|at| Identity::new("ada").with_expires_at(at));
        for identity in [Some(Identity::new("ada")), far].into_iter().flatten() {
            let living = Living::new(identity, &clock, NOTICE);
            pass(&clock, Duration::from_secs(3_600));
            assert!(matches!(living.due(&clock, GRACE), Due::Later(_)));
        }
    }
}
