//! How many requests and sessions there may be at once.

use std::sync::Arc;

use crate::sync::Mutex;

/// Counts requests that are authenticating, and sessions from their 101 to their end.
#[derive(Debug)]
pub(crate) struct Slots {
    max_open: usize,
    max_authenticating: usize,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    authenticating: usize,
    open: usize,
}

/// A place among those that are authenticating or open. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    counts: Arc<Mutex<Counts>>,
    open: bool,
}

impl Slots {
    pub(crate) fn new(max_open: Option<usize>, max_authenticating: usize) -> Self {
        let max_open = max_open.filter(|max| *max > 0).unwrap_or(usize::MAX);
        Self {
            max_open,
            max_authenticating,
            counts: Arc::default(),
        }
    }

    /// A place for a request that is about to authenticate, while there is one.
    pub(crate) fn enter(&self) -> Option<Slot> {
        let mut counts = self.counts.lock();
        let all = counts.open + counts.authenticating;
        if all >= self.max_open || counts.authenticating >= self.max_authenticating {
            return None;
        }
        counts.authenticating += 1;
        Some(Slot {
            counts: Arc::clone(&self.counts),
            open: false,
        })
    }
}

impl Slot {
    /// The request is authenticated: its place is now that of a session.
    pub(crate) fn open(&mut self) {
        if !std::mem::replace(&mut self.open, true) {
            let mut counts = self.counts.lock();
            counts.authenticating -= 1;
            counts.open += 1;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        if self.open {
            counts.open -= 1;
        } else {
            counts.authenticating -= 1;
        }
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
}
