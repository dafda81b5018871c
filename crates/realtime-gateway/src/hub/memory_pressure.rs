//! What happens when all sessions together hold too much: those that hold most are ended.

use std::{
    collections::BinaryHeap,
    sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Release},
};

use super::Hub;
use crate::{
    budget::Budget,
    session::{EndCause, Session},
};

/// One at a time: others that see a budget exceeded don't wait for it. Ends with a panic, too.
struct Alone<'h>(&'h AtomicBool);

impl<'h> Alone<'h> {
    fn get(taken: &'h AtomicBool) -> Option<Self> {
        (!taken.swap(true, AcqRel)).then_some(Self(taken))
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.store(false, Release);
    }
}

impl Hub {
    /// Ends sessions, the one with the fullest queue first, until the budget holds again.
    pub(crate) fn relieve_queues(&self, budget: &Budget) {
        self.relieve(budget, Session::queued_bytes, Session::evict);
    }

    /// Ends sessions, the one that holds most of its client's messages first, until the budget
    /// holds again.
    pub(crate) fn relieve_held(&self, budget: &Budget) {
        let end = |session: &Session| {
            session.end(EndCause::TooMuchHeld);
            // Its task lets go of it presently, also where it had ended and only finishes what
            // came before.
            session.held().forfeit();
            session.wake();
        };
        self.relieve(budget, |session| session.held().bytes(), end);
    }

    /// Those that are closing count like the others, and so does what is left of one that was ended
    /// here: what they still hold must not cost others their place. Done again and again, `end`
    /// leaves nothing.
    fn relieve(&self, budget: &Budget, bytes: impl Fn(&Session) -> usize, end: impl Fn(&Session)) {
        let Some(_alone) = Alone::get(&self.relieving) else {
            return;
        };
        let mut is_relieved = true;
        while budget.is_over() && std::mem::take(&mut is_relieved) {
            let all = self.all();
            let held = all.iter().enumerate().map(|(at, s)| (bytes(s), at));
            let mut candidates: BinaryHeap<_> = held.filter(|(held, _)| *held > 0).collect();
            while budget.is_over()
                && let Some((held, at)) = candidates.pop()
            {
                end(&all[at]);
                let left = bytes(&all[at]);
                is_relieved |= left < held;
                if left > 0 {
                    candidates.push((left, at));
                }
            }
        }
    }
}
