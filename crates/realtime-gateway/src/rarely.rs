//! Lines in the log that anybody can cause: one a minute, with a count of those left out.

use std::time::{Duration, Instant};

use crate::sync::Mutex;

/// How often a line is written.
const EVERY: Duration = Duration::from_secs(60);

/// Says when a line may be written.
#[derive(Debug, Default)]
pub(crate) struct Rarely(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    /// How often it has happened since then.
    unsaid: u64,
}

impl Rarely {
    /// It has happened again. Returns how often since the last line, where a line is due.
    pub(crate) fn count(&self) -> Option<u64> {
        self.count_at(Instant::now())
    }

    fn count_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        state.unsaid += 1;
        let is_due = |last| now.saturating_duration_since(last) >= EVERY;
        if !state.last.is_none_or(is_due) {
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_minute_says_how_often_it_has_happened() {
        let (rarely, start) = (Rarely::default(), Instant::now());
        assert_eq!(rarely.count_at(start), Some(1));
        for _ in 0..5_000 {
            assert_eq!(rarely.count_at(start + EVERY / 2), None);
        }
        assert_eq!(rarely.count_at(start + EVERY), Some(5_001));
        assert_eq!(rarely.count_at(start + EVERY), None);
    }
}
