//! Lines in the log that anybody can cause: a few a minute, with a count of those left out.

use std::time::{Duration, Instant};

use crate::sync::Mutex;

/// For how long lines are counted.
const MINUTE: Duration = Duration::from_secs(60);

/// Says when a line may be written.
#[derive(Debug)]
pub struct Rarely {
    /// So many lines a minute.
    lines: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When the present minute began.
    begun: Option<Instant>,
    /// How many lines were written in it.
    written: u32,
    /// How many were left out since the last one.
    left_out: u64,
}

impl Rarely {
    /// So many lines a minute.
    pub fn new(lines: u32) -> Self {
        Self {
            lines,
            state: Mutex::default(),
        }
    }

    /// There is something to say. Returns how many lines were left out before, if this one may be
    /// written.
    pub fn turn(&self) -> Option<u64> {
        self.turn_at(Instant::now())
    }

    /// The line that had its turn was not written after all, nor said how many were left out.
    pub fn give_back(&self, left_out: u64) {
        let mut state = self.state.lock();
        state.written = state.written.saturating_sub(1);
        state.left_out += left_out + 1;
    }

    fn turn_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock();
        let is_over = |begun| now.saturating_duration_since(begun) >= MINUTE;
        if state.begun.is_none_or(is_over) {
            state.begun = Some(now);
            state.written = 0;
        }
        if state.written == self.lines {
            state.left_out += 1;
            return None;
        }
        state.written += 1;
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_lines_a_minute_say_how_many_were_left_out() {
        let (rarely, start) = (Rarely::new(2), Instant::now());
        assert_eq!(rarely.turn_at(start), Some(0));
        assert_eq!(rarely.turn_at(start + MINUTE / 3), Some(0));
        for _ in 0..5_000 {
            assert_eq!(rarely.turn_at(start + MINUTE / 2), None);
        }
        assert_eq!(rarely.turn_at(start + MINUTE), Some(5_000));
        assert_eq!(rarely.turn_at(start + MINUTE), Some(0));
        assert_eq!(rarely.turn_at(start + MINUTE), None);
        // One more that was not written.
        assert_eq!(rarely.turn_at(start + 2 * MINUTE), Some(1));
        rarely.give_back(1);
        assert_eq!(rarely.turn_at(start + 2 * MINUTE), Some(2));
    }
}
