//! How long to wait between two attempts.

use std::time::Duration;

const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The pauses between attempts to reach a server, without end: each is drawn from nothing up to a
/// bound, which doubles from 100 ms to 2 s. So those who have lost a server at the same time don't
/// come back to it at the same time.
///
/// ```
/// use std::time::Duration;
///
/// use realtime::node::Pause;
///
/// let mut pause = Pause::default();
/// assert!(pause.next() <= Duration::from_millis(100));
/// assert!((0..100).all(|_| pause.next() <= Duration::from_secs(2)));
/// ```
#[derive(Debug, Default)]
pub struct Pause(u32);

impl Pause {
    /// The last attempt succeeded.
    pub fn reset(&mut self) {
        self.0 = 0;
    }

    /// How long to wait before the next attempt.
    #[must_use]
    #[allow(
        clippy::should_implement_trait,
        reason = "it is no iterator: it has no end"
    )]
    pub fn next(&mut self) -> Duration {
        let pause = SHORTEST_PAUSE * 2_u32.pow(self.0.min(8));
        self.0 = self.0.saturating_add(1);
        pause.min(LONGEST_PAUSE).mul_f64(fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_their_bound() {
        let mut pause = Pause::default();
        let pauses: Vec<_> = (0..100).map(|_| pause.next()).collect();
        assert!(pauses[0] <= SHORTEST_PAUSE);
        assert!(pauses.iter().all(|p| *p <= LONGEST_PAUSE));
        let (longest, shortest) = (pauses.iter().max(), pauses[50..].iter().min());
        assert!(longest >= Some(&(LONGEST_PAUSE / 2)), "they grow");
        assert!(shortest <= Some(&(LONGEST_PAUSE / 2)), "they are spread");
        pause.reset();
        assert!(pause.next() <= SHORTEST_PAUSE);
    }
}
