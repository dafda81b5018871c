//! What happens when all sessions together hold too much: those that hold most are ended.

use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Release};

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
            // Its task lets go of it presently.
            session.held().forfeit();
        };
        self.relieve(budget, |session| session.held().bytes(), end);
    }

    fn relieve(&self, budget: &Budget, bytes: impl Fn(&Session) -> usize, end: impl Fn(&Session)) {
        let Some(_alone) = Alone::get(&self.relieving) else {
            return;
        };
        let mut candidates = Vec::new();
        while budget.is_over() {
            if candidates.is_empty() {
                // What the others hold belongs to sessions that are closing.
                let open = self.all().into_iter().filter(|s| !s.is_closed());
                candidates = open
                    .map(|s| (bytes(&s), s))
                    .filter(|(b, _)| *b > 0)
                    .collect();
                candidates.sort_by_key(|(bytes, _)| *bytes);
            }
            match candidates.pop() {
                Some((_, session)) => end(&session),
                None => return,
            }
        }
    }
}
