//! How long to wait before the next try: a random part of a delay that doubles up to a limit, so
//! that a crowd that was cut off at once comes back spread, from the first try on.

use std::time::Duration;

/// Doublings after which it certainly can't grow any more.
const MOST_DOUBLINGS: u32 = 30;
/// Where one starts who was asked not to come back at once.
const SLOW: u32 = 3;

#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    first: Duration,
    most: Duration,
    tries: u32,
}

impl Backoff {
    pub(crate) const fn new((first, most): (Duration, Duration)) -> Self {
        Self {
            first,
            most,
            tries: 0,
        }
    }

    pub(crate) fn wait(&mut self) -> Duration {
        let ceiling = self.first.saturating_mul(1 << self.tries).min(self.most);
        self.tries = (self.tries + 1).min(MOST_DOUBLINGS);
        ceiling.mul_f64(fastrand::f64())
    }

    /// From now on at least as if it had failed a few times.
    pub(crate) fn slow(&mut self) {
        self.tries = self.tries.max(SLOW);
    }

    pub(crate) fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_its_limit_and_is_random() {
        let mut backoff = Backoff::new((Duration::from_millis(100), Duration::from_secs(2)));
        let waits: Vec<_> = (0..200).map(|_| backoff.wait()).collect();
        assert!(waits[0] < Duration::from_millis(100));
        assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(2)));
        assert!(
            waits[20..]
                .iter()
                .any(|wait| *wait < Duration::from_secs(1))
        );
        assert!(
            waits[20..]
                .iter()
                .any(|wait| *wait > Duration::from_secs(1))
        );
    }
}
