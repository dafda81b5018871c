//! When the clients of sessions that all end at once come back: one after the other.

use std::time::Duration;

/// So often one may come.
const EVERY: Duration = Duration::from_millis(1);
/// The longest that one is asked to stay away for that.
const LONGEST: Duration = Duration::from_secs(30);

/// How long after its end the client of the nth of so many sessions is to come back: at a moment of
/// its own, drawn from its share of the time in which all do.
pub(super) fn slot(nth: usize, sessions: usize) -> Duration {
    let longest = LONGEST.as_secs_f64() / sessions.max(1) as f64;
    let share = EVERY.as_secs_f64().min(longest);
    let slot = Duration::try_from_secs_f64(share * (nth as f64 + fastrand::f64()));
    slot.unwrap_or(LONGEST).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many come back in the fullest tenth of a second.
    fn peak(sessions: usize) -> usize {
        let mut tenths = std::collections::BTreeMap::<u128, usize>::new();
        for nth in 0..sessions {
            *tenths
                .entry(slot(nth, sessions).as_millis() / 100)
                .or_default() += 1;
        }
        tenths.into_values().max().unwrap_or(0)
    }

    #[test]
    fn a_thousand_come_a_second_or_all_in_half_a_minute() {
        assert!((98..=102).contains(&peak(5_000)), "{}", peak(5_000));
        assert!((164..=170).contains(&peak(50_000)), "{}", peak(50_000));
    }

    #[test]
    fn few_wait_for_nothing_and_none_for_long() {
        assert!(slot(0, 1) <= Duration::from_millis(1));
        for sessions in [0, 1, usize::MAX] {
            assert!(slot(sessions, sessions) <= LONGEST);
        }
    }
}
