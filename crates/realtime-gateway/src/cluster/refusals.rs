//! What this node has yet to say to others that have asked in vain.

use std::collections::VecDeque;

use realtime_core::{NodeId, broker::control::Outcome};

use crate::sync::Mutex;

/// How many wait. Only a node that is past that is silent.
const WAITING: usize = 65_536;

/// That nothing was done: who is to hear it, under which number, and why.
pub(crate) type Refusal = (NodeId, u64, Outcome);

/// Refusals that wait for the broker.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Refusal>,
    /// Somebody takes them.
    is_served: bool,
}

impl Refusals {
    /// Puts one behind the others. Returns whether somebody must be found who takes them.
    pub(crate) fn push(&self, refusal: Refusal) -> bool {
        let mut state = self.0.lock();
        if state.waiting.len() < WAITING {
            state.waiting.push_back(refusal);
        }
        !std::mem::replace(&mut state.is_served, true)
    }

    /// Takes the first ones, so many at the most. Whoever gets none is done, and must have said all
    /// the others by then.
    pub(crate) fn take(&self, many: usize) -> Vec<Refusal> {
        let mut state = self.0.lock();
        let many = many.min(state.waiting.len());
        let first: Vec<Refusal> = state.waiting.drain(..many).collect();
        state.is_served = !first.is_empty();
        first
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_takes_them_in_their_order_and_only_so_many_wait() {
        let refusals = Refusals::default();
        let one = |n| ("a".parse().unwrap(), n, Outcome::Busy);
        assert!(refusals.push(one(0)));
        for n in 1..=WAITING as u64 {
            assert!(!refusals.push(one(n)), "somebody takes them already");
        }
        let taken = refusals.take(usize::MAX);
        assert!(taken.into_iter().eq((0..WAITING as u64).map(one)));
        assert!(!refusals.push(one(7)), "it is still at it");
        assert_eq!(refusals.take(1), [one(7)]);
        assert_eq!(refusals.take(1), []);
        assert!(refusals.push(one(8)));
    }
}
