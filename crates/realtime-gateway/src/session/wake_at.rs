//! When a session's task is to look at the clock.
//!
//! The task sets it, and the node's timers wake the task when it is due. So a session has no timer
//! of its own, only this number.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::clock::{Millis, NEVER};

/// A time of the node's clock.
#[derive(Debug)]
pub(crate) struct WakeAt(AtomicU64);

/// It is over, or was never set.
const DUE: u64 = 0;

impl WakeAt {
    /// One that is due: its session looks at the clock for the first time.
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(DUE))
    }

    /// Its session begins to look at the clock.
    pub(crate) fn begin(&self) {
        self.0.store(NEVER, Relaxed);
    }

    /// It has looked, and is to look again then; sooner, where somebody has made it due meanwhile.
    pub(crate) fn look_again(&self, at: Millis) {
        let _due_meanwhile = self.0.compare_exchange(NEVER, at.max(1), Relaxed, Relaxed);
    }

    /// Makes its session look at the clock, once it is woken.
    pub(crate) fn set_due(&self) {
        self.0.store(DUE, Relaxed);
    }

    /// Its session is to look at the clock no later than then. Where it looks just now, or never would,
    /// it looks once more: then the caller wakes its task.
    #[must_use]
    pub(crate) fn no_later_than(&self, at: Millis) -> bool {
        let sooner = |set| match set {
            NEVER => Some(DUE),
            set => (at.max(1) < set).then_some(at.max(1)),
        };
        self.0.fetch_update(Relaxed, Relaxed, sooner) == Ok(NEVER)
    }

    pub(crate) fn is_due(&self) -> bool {
        self.0.load(Relaxed) == DUE
    }

    /// Returns whether it becomes due with this, once; the caller then wakes the session's task.
    pub(crate) fn becomes_due(&self, now: Millis) -> bool {
        let at = self.0.load(Relaxed);
        // Where the task sets it anew meanwhile, it has looked at the clock.
        let is_due = at != DUE && at <= now;
        is_due && self.0.compare_exchange(at, DUE, Relaxed, Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(wake_at: &WakeAt, at: Millis) {
        wake_at.begin();
        wake_at.look_again(at);
    }

    #[test]
    fn it_becomes_due_once_when_it_is_time() {
        let wake_at = WakeAt::new();
        assert!(wake_at.is_due() && !wake_at.becomes_due(5));
        set(&wake_at, 7);
        assert!(!wake_at.is_due() && !wake_at.becomes_due(6));
        assert!(wake_at.becomes_due(7) && wake_at.is_due() && !wake_at.becomes_due(8));
        set(&wake_at, NEVER);
        assert!(!wake_at.is_due() && !wake_at.becomes_due(1 << 40));
        set(&wake_at, 0);
        assert!(!wake_at.is_due() && wake_at.becomes_due(1));
        wake_at.begin();
        wake_at.look_again(9);
        assert!(!wake_at.becomes_due(8) && wake_at.becomes_due(9));
        wake_at.begin();
        wake_at.set_due();
        wake_at.look_again(9);
        assert!(wake_at.is_due(), "it was made due while it was looked at");
        set(&wake_at, 9);
        for at in [12, 7] {
            assert!(!wake_at.no_later_than(at));
        }
        assert!(!wake_at.becomes_due(6) && wake_at.becomes_due(7));
        assert!(!wake_at.no_later_than(5) && wake_at.is_due());
        wake_at.begin();
        assert!(wake_at.no_later_than(12));
        wake_at.look_again(9);
        assert!(wake_at.is_due(), "it looks once more");
    }
}
