//! When something that failed is tried again.

use std::time::Duration;

use tokio::time::Instant;

/// How soon after the first failure.
const FIRST: Duration = Duration::from_secs(1);
/// Over how long everything is done again when a link is back, so that nodes don't do it together.
pub(crate) const SPREAD: Duration = Duration::from_secs(2);

/// When something is tried again, and how long it waited for that.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff {
    pub(super) at: Instant,
    pause: Duration,
}

impl Backoff {
    /// After its first failure, or after one more. What fails in one call is tried again in one.
    pub(super) fn after(before: Option<Self>, longest: Duration, jitter: Jitter) -> Self {
        let pause = before.map_or(FIRST, |before| before.pause.saturating_mul(2));
        let pause = pause.min(longest);
        Self {
            at: Instant::now() + pause.mul_f64(jitter.0),
            pause,
        }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.at <= now
    }
}

/// A tenth at random, so that nodes don't try together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Jitter(f64);

impl Jitter {
    pub(super) fn new() -> Self {
        Self(0.9 + fastrand::f64() / 5.0)
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_up_to_the_longest() {
        let longest = Duration::from_secs(30);
        let (mut last, mut pauses) = (None, Vec::new());
        for _ in 0..8 {
            let next = Backoff::after(last, longest, Jitter(1.0));
            pauses.push((next.at - Instant::now()).as_secs());
            last = Some(next);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
        let short = Duration::from_millis(100);
        let next = Backoff::after(None, short, Jitter::new());
        assert!(next.at - Instant::now() <= short.mul_f64(1.1));
    }
}
