//! How many requests and sessions there may be at once.

use std::sync::Arc;

use crate::sync::Mutex;

/// Counts requests that are authenticating, connections that have not shown yet who they are among
/// them, sessions from their 101 to the end of their
/// connection, and what of a session outlives that.
#[derive(Debug)]
pub(crate) struct Slots {
    max_authenticating: usize,
    counts: Arc<Counts>,
}

#[derive(Debug)]
struct Counts {
    max_open: usize,
    now: Mutex<Now>,
}

#[derive(Debug, Default)]
struct Now {
    authenticating: usize,
    open: usize,
    /// Sessions without a connection, of which a handler or a hook still runs.
    outlived: usize,
}

/// A place among those that are authenticating, open, or outlived. It is free again when this is
/// dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    counts: Arc<Counts>,
    held: Held,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Authenticating,
    Open,
    Outlived,
}

impl Now {
    fn of(&mut self, held: Held) -> &mut usize {
        match held {
            Held::Authenticating => &mut self.authenticating,
            Held::Open => &mut self.open,
            Held::Outlived => &mut self.outlived,
        }
    }
}

impl Slots {
    pub(crate) fn new(max_open: Option<usize>, max_authenticating: usize) -> Self {
        let max_open = max_open.filter(|max| *max > 0).unwrap_or(usize::MAX);
        let now = Mutex::default();
        Self {
            max_authenticating,
            counts: Arc::new(Counts { max_open, now }),
        }
    }

    /// A place for a request that is about to authenticate, while there is one.
    pub(crate) fn enter(&self) -> Option<Slot> {
        let mut now = self.counts.now.lock();
        let all = now.open + now.authenticating;
        if all >= self.counts.max_open || now.authenticating >= self.max_authenticating {
            return None;
        }
        now.authenticating += 1;
        Some(Slot {
            counts: Arc::clone(&self.counts),
            held: Held::Authenticating,
        })
    }

    /// How many are authenticating.
    pub(crate) fn authenticating(&self) -> usize {
        self.counts.now.lock().authenticating
    }

    /// How many sessions have no connection any more, though a handler or a hook of theirs runs.
    pub(crate) fn outlived(&self) -> usize {
        self.counts.now.lock().outlived
    }
}

impl Slot {
    /// The request is authenticated: its place is now that of a session.
    pub(crate) fn open(&mut self) {
        if self.held == Held::Authenticating {
            self.become_one(Held::Open);
        }
    }

    /// The session's connection is gone. What is left of it, a handler that still runs, keeps
    /// nobody from connecting, unless there are as many of those as sessions may be open: nobody
    /// can make more and more of them by leaving and coming again.
    pub(crate) fn outlive(&mut self) {
        if self.held == Held::Open {
            self.become_one(Held::Outlived);
        }
    }

    fn become_one(&mut self, held: Held) {
        let mut now = self.counts.now.lock();
        if held == Held::Outlived && now.outlived >= self.counts.max_open {
            return;
        }
        *now.of(self.held) -= 1;
        *now.of(held) += 1;
        self.held = held;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        *self.counts.now.lock().of(self.held) -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_bounds_hold_and_places_come_back() {
        let slots = Slots::new(Some(3), 2);
        let mut first = slots.enter().unwrap();
        let second = slots.enter().unwrap();
        assert!(slots.enter().is_none(), "two authenticate");
        first.open();
        let mut third = slots.enter().unwrap();
        third.open();
        assert!(slots.enter().is_none(), "three in all");
        drop((first, second));
        assert!(slots.enter().is_some());
        assert!(Slots::new(Some(0), 1).enter().is_some(), "0 is no limit");
    }
    fn opened(slots: &Slots) -> Option<Slot> {
        let mut slot = slots.enter()?;
        slot.open();
        Some(slot)
    }

    #[test]
    fn what_outlives_its_connection_has_a_bound_of_its_own() {
        let slots = Slots::new(Some(2), 2);
        let mut outlived = Vec::new();
        for _ in 0..2 {
            let mut slot = opened(&slots).unwrap();
            slot.outlive();
            outlived.push(slot);
        }
        assert_eq!(slots.outlived(), 2);
        let mut keeps = opened(&slots).unwrap();
        keeps.outlive();
        assert_eq!(
            slots.outlived(),
            2,
            "it keeps its place among the open ones"
        );
        let last = opened(&slots).unwrap();
        assert!(slots.enter().is_none(), "two are open");
        drop((keeps, outlived));
        assert_eq!(slots.outlived(), 0);
        let next = opened(&slots).unwrap();
        assert!(slots.enter().is_none(), "two are open again");
        drop((last, next));
        assert_eq!(slots.counts.now.lock().open, 0);
    }
}
