//! When a session's task is to look at the clock.
//!
//! The task sets it, and the hub's sweep rings it. So a session has no timer of its own, only this
//! number.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A time in milliseconds of the hub's clock.
#[derive(Debug)]
pub(crate) struct Alarm(AtomicU64);

/// It is over, or was never set.
const RUNG: u64 = 0;
const NEVER: u64 = u64::MAX;

impl Alarm {
    /// One that has rung: its session looks at the clock for the first time.
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(RUNG))
    }

    pub(crate) fn set(&self, at: Option<u64>) {
        self.0.store(at.map_or(NEVER, |at| at.max(1)), Relaxed);
    }

    pub(crate) fn has_rung(&self) -> bool {
        self.0.load(Relaxed) == RUNG
    }

    /// Returns whether it rings now, once; the caller then wakes the session's task.
    pub(crate) fn ring(&self, now: u64) -> bool {
        let at = self.0.load(Relaxed);
        // Where the task sets it anew meanwhile, it has looked at the clock.
        let is_due = at != RUNG && at <= now;
        is_due && self.0.compare_exchange(at, RUNG, Relaxed, Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rings_once_when_it_is_time() {
        let alarm = Alarm::new();
        assert!(alarm.has_rung() && !alarm.ring(5));
        alarm.set(Some(7));
        assert!(!alarm.has_rung() && !alarm.ring(6));
        assert!(alarm.ring(7) && alarm.has_rung() && !alarm.ring(8));
        alarm.set(None);
        assert!(!alarm.has_rung() && !alarm.ring(1 << 40));
        alarm.set(Some(0));
        assert!(!alarm.has_rung() && alarm.ring(1));
    }
}
