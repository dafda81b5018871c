//! When each of many sessions ends, and when its client comes back: evenly, so that no herd does.

use std::time::Duration;

/// How many clients a second may come back from a node that ends all its sessions at once.
const HERD: f64 = 1_000.0;
/// The longest that a client is asked to stay away for that.
const LONGEST: Duration = Duration::from_secs(30);

/// The plan for so many sessions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    sessions: usize,
    /// In which they end.
    over: Duration,
    /// In which their clients come back.
    back: Duration,
}

impl Pace {
    pub(super) fn new(sessions: usize, over: Duration) -> Self {
        let herd = Duration::from_secs_f64(sessions as f64 / HERD);
        Self {
            sessions,
            over,
            back: over.max(herd.min(LONGEST)),
        }
    }

    /// How long after the beginning this one ends.
    pub(super) fn ends_after(&self, nth: usize) -> Duration {
        self.share(self.over, nth as f64)
    }

    /// How long after its end its client is to come back: at a moment of its own, drawn from its
    /// share of the time in which all come back.
    pub(super) fn slot(&self, nth: usize) -> Duration {
        let comes = self.share(self.back, nth as f64 + fastrand::f64());
        comes.saturating_sub(self.ends_after(nth))
    }

    fn share(&self, of: Duration, nth: f64) -> Duration {
        if self.sessions == 0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(of.as_secs_f64() * nth / self.sessions as f64).unwrap_or(of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many come back in the fullest tenth of a second.
    fn peak(pace: Pace) -> usize {
        let mut tenths = std::collections::BTreeMap::<u128, usize>::new();
        for nth in 0..pace.sessions {
            let comes = pace.ends_after(nth) + pace.slot(nth);
            *tenths.entry(comes.as_millis() / 100).or_default() += 1;
        }
        tenths.into_values().max().unwrap_or(0)
    }

    #[test]
    fn they_come_back_evenly() {
        // 50,000 over 25 s are 2,000 a second.
        let even = peak(Pace::new(50_000, Duration::from_secs(25)));
        assert!((195..=205).contains(&even), "{even}");
        // At once they would be 50,000; over 30 s they are 1,667 a second.
        let at_once = peak(Pace::new(50_000, Duration::ZERO));
        assert!((160..=175).contains(&at_once), "{at_once}");
    }

    #[test]
    fn few_wait_for_nothing() {
        let one = Pace::new(1, Duration::ZERO);
        assert!(one.slot(0) <= Duration::from_millis(1));
        let slowly = Pace::new(10, Duration::from_secs(10));
        assert_eq!(slowly.ends_after(3), Duration::from_secs(3));
        assert!(slowly.slot(3) <= Duration::from_secs(1));
    }

    #[test]
    fn no_time_is_too_long_or_too_short() {
        for over in [Duration::ZERO, Duration::MAX] {
            for sessions in [0, 1, usize::MAX] {
                let pace = Pace::new(sessions, over);
                assert!(pace.ends_after(sessions) <= over);
                let _slot = pace.slot(sessions);
            }
        }
    }
}
