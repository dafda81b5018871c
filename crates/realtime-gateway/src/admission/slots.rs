//! How many requests and sessions there may be at once.

use std::sync::Arc;

use crate::sync::Mutex;

/// Counts requests that are authenticating, among them connections that have not shown yet who they
/// are, sessions from their 101 to the end of their connection, and what of a session outlives that.
#[derive(Debug, Clone)]
pub(crate) struct Slots {
    max_authenticating: usize,
    counts: Arc<Counts>,
}

#[derive(Debug)]
struct Counts {
    max_open: usize,
    /// Of those that are authenticating: who shows nothing keeps nobody out who does.
    max_at_the_door: usize,
    now: Mutex<Now>,
}

#[derive(Debug, Default)]
struct Now {
    authenticating: usize,
    /// Connections whose first message is waited for, or that are asked about since it has come.
    at_the_door: usize,
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
    AtTheDoor,
    Open,
    Outlived,
}

impl Now {
    fn of(&mut self, held: Held) -> &mut usize {
        match held {
            Held::Authenticating => &mut self.authenticating,
            Held::AtTheDoor => &mut self.at_the_door,
            Held::Open => &mut self.open,
            Held::Outlived => &mut self.outlived,
        }
    }

    fn have_yet_to_come_in(&self) -> usize {
        self.authenticating + self.at_the_door
    }
}

impl Slots {
    pub(crate) fn new(max_open: Option<usize>, max_authenticating: usize) -> Self {
        let counts = Counts {
            max_open: max_open.filter(|max| *max > 0).unwrap_or(usize::MAX),
            max_at_the_door: max_authenticating.div_ceil(2),
            now: Mutex::default(),
        };
        Self {
            max_authenticating,
            counts: Arc::new(counts),
        }
    }

    /// A place for a request that is about to authenticate, while there is one.
    pub(crate) fn enter(&self) -> Option<Slot> {
        let mut now = self.counts.now.lock();
        let coming = now.have_yet_to_come_in();
        if now.open + coming >= self.counts.max_open || coming >= self.max_authenticating {
            return None;
        }
        now.authenticating += 1;
        Some(Slot {
            counts: Arc::clone(&self.counts),
            held: Held::Authenticating,
        })
    }

    /// How many are authenticating, or have not shown yet who they are.
    pub(crate) fn authenticating(&self) -> usize {
        self.counts.now.lock().have_yet_to_come_in()
    }

    /// How many sessions have no connection any more, though a handler or a hook of theirs runs.
    pub(crate) fn outlived(&self) -> usize {
        self.counts.now.lock().outlived
    }
}

impl Slot {
    /// The client is to show who it is behind its 101. Returns whether one more may wait with that: they
    /// leave half of the places to those who show something, of those that are left as of all.
    #[must_use]
    pub(crate) fn wait_at_the_door(&mut self) -> bool {
        self.held == Held::Authenticating && self.become_one(Held::AtTheDoor)
    }

    /// It is known who it is: its place is now that of a session.
    pub(crate) fn open(&mut self) {
        if matches!(self.held, Held::Authenticating | Held::AtTheDoor) {
            let _there_is_one = self.become_one(Held::Open);
        }
    }

    /// The session's connection is gone. What is left of it, a handler that still runs, keeps
    /// nobody from connecting, unless there are as many of those as sessions may be open: nobody
    /// can make more and more of them by leaving and coming again.
    pub(crate) fn outlive(&mut self) {
        if self.held == Held::Open {
            let _keeps_its_place_otherwise = self.become_one(Held::Outlived);
        }
    }

    /// Returns whether there was room for one more of these.
    fn become_one(&mut self, held: Held) -> bool {
        let mut now = self.counts.now.lock();
        let most = match held {
            Held::AtTheDoor => {
                let left = self.counts.max_open.saturating_sub(now.open);
                self.counts.max_at_the_door.min(left.div_ceil(2))
            }
            Held::Outlived => self.counts.max_open,
            // There is, since it was counted among those before it had come so far.
            Held::Authenticating | Held::Open => usize::MAX,
        };
        if *now.of(held) >= most {
            return false;
        }
        *now.of(self.held) -= 1;
        *now.of(held) += 1;
        self.held = held;
        true
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

    #[test]
    fn those_who_show_nothing_leave_half_to_the_others() {
        let slots = Slots::new(None, 5);
        let mut waiting = Vec::new();
        for _ in 0..3 {
            let mut slot = slots.enter().unwrap();
            assert!(slot.wait_at_the_door());
            waiting.push(slot);
        }
        let mut one_more = slots.enter().unwrap();
        assert!(!one_more.wait_at_the_door(), "three wait");
        let other = slots.enter().unwrap();
        assert!(slots.enter().is_none(), "five in all");
        assert_eq!(slots.authenticating(), 5);
        waiting[0].open();
        assert!(one_more.wait_at_the_door());
        assert_eq!(slots.authenticating(), 4);
        drop((waiting, one_more, other));
        assert_eq!(slots.authenticating(), 0);
        let mut alone = Slots::new(None, 1).enter().unwrap();
        assert!(alone.wait_at_the_door());
    }

    #[test]
    fn those_who_show_nothing_leave_half_of_what_is_left() {
        let slots = Slots::new(Some(10), 100);
        let at_the_door = || {
            let mut waiting = Vec::new();
            while let Some(mut slot) = slots.enter() {
                if !slot.wait_at_the_door() {
                    break;
                }
                waiting.push(slot);
            }
            waiting.len()
        };
        assert_eq!(at_the_door(), 5);
        let mut open: Vec<_> = (0..7).map(|_| opened(&slots).unwrap()).collect();
        assert_eq!(at_the_door(), 2);
        open.extend((0..2).map(|_| opened(&slots).unwrap()));
        assert_eq!(at_the_door(), 1, "the last place is anybody's");
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
