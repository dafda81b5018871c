//! When a node has what to say of itself.

use std::time::Duration;

use tokio::time::Instant;

use super::{beacon, shared::Shared};

/// How often others are told the numbers that they ask for, at the most.
pub(super) const ANSWERS: Duration = Duration::from_secs(1);

/// When the next of each sort is due.
#[derive(Debug)]
pub(super) struct Schedule {
    pub(super) probe: Instant,
    pub(super) beacon: Instant,
    /// When others were last told what they had asked for.
    pub(super) answered: Option<Instant>,
    /// When they are to be told, if they have asked.
    pub(super) answer: Option<Instant>,
}

impl Schedule {
    /// The number for all is another one than was said last.
    pub(super) fn has_news(&mut self, others: usize) {
        self.beacon = self.beacon.min(Instant::now() + beacon::news(others));
    }

    pub(super) fn earliest(&self) -> Instant {
        let first = self.probe.min(self.beacon);
        self.answer.map_or(first, |answer| answer.min(first))
    }

    /// Whether others have asked for numbers, and it is time to tell them: soon, but not all at
    /// once, and not after each question of many.
    pub(super) fn has_to_answer(
        &mut self,
        shared: &Shared,
        now: Instant,
        spread: Duration,
    ) -> bool {
        if !shared.asked().numbers {
            return false;
        }
        let earliest = self
            .answered
            .map_or(now, |answered| (answered + ANSWERS).max(now));
        let at = *self.answer.get_or_insert(earliest + spread);
        if now < at {
            return false;
        }
        (self.answer, self.answered) = (None, Some(now));
        true
    }
}
