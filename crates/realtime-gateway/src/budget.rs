//! Memory that all sessions of a gateway share.

use std::sync::{
    Arc,
    atomic::{AtomicIsize, AtomicUsize, Ordering::Relaxed},
};

/// Counts bytes against a limit.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    /// Signed: a share is given back before it is booked, where two threads meet at it.
    used: AtomicIsize,
    /// How many messages that is, where somebody counts them. Signed for the same reason.
    messages: AtomicIsize,
}

impl Budget {
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            limit,
            used: AtomicIsize::new(0),
            messages: AtomicIsize::new(0),
        }
    }

    /// One share went from `before` to `after`.
    fn moved(&self, before: usize, after: usize) {
        self.used
            .fetch_add(after.cast_signed() - before.cast_signed(), Relaxed);
    }

    pub(crate) fn used(&self) -> usize {
        usize::try_from(self.used.load(Relaxed)).unwrap_or(0)
    }

    /// How many messages it is made of.
    #[cfg(any(feature = "admin", feature = "metrics"))]
    pub(crate) fn messages(&self) -> usize {
        usize::try_from(self.messages.load(Relaxed)).unwrap_or(0)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.used() > self.limit
    }
}

/// One session's share of a budget, which is given back when it is dropped.
///
/// It holds what was booked, so that booking anew can't go wrong: neither a panic between two
/// bookings nor a second clean-up makes the budget count what isn't there.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    booked: AtomicUsize,
}

/// Nothing is booked any more.
const FORFEITED: usize = usize::MAX;

impl Share {
    pub(crate) const fn new(budget: Arc<Budget>) -> Self {
        Self {
            budget,
            booked: AtomicUsize::new(0),
        }
    }

    /// So many bytes are held now.
    pub(crate) fn set(&self, bytes: usize) {
        if self.booked.load(Relaxed) == bytes {
            return;
        }
        // The share before the budget: a look that finds the budget exceeded must find the one that
        // exceeds it.
        let booked = self.booked.fetch_update(Relaxed, Relaxed, |booked| {
            (booked != FORFEITED).then_some(bytes)
        });
        if let Ok(before) = booked {
            self.budget.moved(before, bytes);
        }
    }

    /// It is made of so many messages more, or less.
    #[inline(always)]
    pub(crate) fn add_messages(&self, more: isize) {
        if more != 0 {
            self.budget.messages.fetch_add(more, Relaxed);
        }
    }

    /// The session is ending, and what it holds is as good as free: it counts no longer, though
    /// its task has yet to let go of it. So a search for memory doesn't end one session more
    /// for each moment that this takes.
    pub(crate) fn forfeit(&self) {
        let booked = self.booked.swap(FORFEITED, Relaxed);
        if booked != FORFEITED {
            self.budget.moved(booked, 0);
        }
    }

    /// Whether it was given up.
    pub(crate) fn is_forfeited(&self) -> bool {
        self.booked.load(Relaxed) == FORFEITED
    }

    /// The bytes that are held.
    pub(crate) fn bytes(&self) -> usize {
        match self.booked.load(Relaxed) {
            FORFEITED => 0,
            bytes => bytes,
        }
    }

    /// Whether it has a part in a budget that is exceeded.
    pub(crate) fn is_part_of_too_much(&self) -> bool {
        self.bytes() > 0 && self.budget.is_over()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.forfeit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_booked_once_and_given_back() {
        let budget = Arc::new(Budget::new(10));
        let (one, two) = (Share::new(budget.clone()), Share::new(budget.clone()));
        one.set(8);
        two.set(5);
        assert!(budget.is_over() && one.is_part_of_too_much());
        one.set(2);
        assert_eq!((budget.used(), one.bytes()), (7, 2));
        drop(two);
        assert_eq!(budget.used(), 2);
        drop(one);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn what_is_forfeited_counts_no_longer_whatever_is_booked_after_it() {
        let budget = Arc::new(Budget::new(10));
        let share = Share::new(budget.clone());
        share.set(8);
        share.forfeit();
        share.set(9);
        share.forfeit();
        assert_eq!((budget.used(), share.bytes()), (0, 0));
        drop(share);
        assert_eq!(budget.used(), 0);
    }
}
