//! The time by which peers are judged: what this process has lived through, not what has passed.
//!
//! Whether a peer is slow or gone is a matter of time, but a process that was stopped, or that had
//! no turn for a while, has read nothing meanwhile. Its own absence is nobody else's fault. So the
//! clock is moved by a task that runs regularly, and a pause moves it by little: what waits in the
//! sockets is read before anybody is judged.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// A longer pause between two ticks is one in which nothing was read.
const LONGEST_TICK: Duration = Duration::from_millis(100);

/// A time of a [`Clock`], in milliseconds.
pub(crate) type Millis = u64;

/// A time that doesn't come. Sessions keep it in place of an `Option`, which is twice as large.
pub(crate) const NEVER: Millis = u64::MAX;

/// Moved by one task, read by all.
#[derive(Debug)]
pub(crate) struct Clock {
    now: AtomicU64,
    /// How often it is moved.
    tick: Duration,
    /// The last tick came late, and did not move it.
    stood_still: AtomicBool,
}

pub(crate) fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

impl Clock {
    pub(crate) const fn new(tick: Duration) -> Self {
        Self {
            now: AtomicU64::new(1),
            tick,
            stood_still: AtomicBool::new(false),
        }
    }

    pub(crate) const fn tick(&self) -> Duration {
        self.tick
    }

    pub(crate) fn now(&self) -> Millis {
        self.now.load(Relaxed)
    }

    /// The first time that is certainly so far away.
    pub(crate) fn after(&self, duration: Duration) -> Millis {
        let ahead = millis(duration).saturating_add(millis(self.tick));
        self.now().saturating_add(ahead)
    }

    /// Moves it, so long after the tick before.
    ///
    /// The first tick after a pause only lets what waits be read: the runtime looks at its sockets
    /// at least once before the next one.
    pub(crate) fn advance(&self, elapsed: Duration) {
        let longest = LONGEST_TICK.max(self.tick * 2);
        let paused = elapsed > longest;
        let stood_still = self.stood_still.swap(paused, Relaxed);
        if paused && !stood_still {
            return;
        }
        // Only one task moves it.
        let now = self.now().saturating_add(millis(elapsed.min(longest)));
        self.now.store(now, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_deadline_is_never_early() {
        let clock = Clock::new(10 * MS);
        let deadline = clock.after(Duration::from_micros(1_500));
        // Just before a tick, and the tick then counts whole.
        clock.advance(10 * MS);
        assert!(clock.now() < deadline);
        clock.advance(10 * MS);
        assert!(clock.now() >= deadline);
    }

    #[test]
    fn a_pause_counts_as_little() {
        let clock = Clock::new(10 * MS);
        let start = clock.now();
        clock.advance(4_000 * MS);
        assert_eq!(clock.now(), start, "first what waits is read");
        clock.advance(10 * MS);
        assert_eq!(clock.now(), start + 10);
    }

    #[test]
    fn one_who_is_always_late_still_gets_on() {
        let clock = Clock::new(10 * MS);
        let start = clock.now();
        for _ in 0..10 {
            clock.advance(4_000 * MS);
        }
        assert_eq!(clock.now(), start + 900);
    }
}
