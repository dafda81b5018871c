//! The rooms that are to be entered, one after the other.

use std::collections::VecDeque;

use realtime_core::RoomName;

/// Each with which object of its name: one that was left, and joined again, is another one.
#[derive(Default)]
pub(super) struct Turns(VecDeque<(RoomName, u64)>);

impl Turns {
    /// One more, which has no turn yet. Where there are more than `most`, those are forgotten that
    /// nobody wants any more.
    pub(super) fn push(
        &mut self,
        name: RoomName,
        generation: u64,
        most: usize,
        is_wanted: impl Fn(&RoomName, u64) -> bool,
    ) {
        if self.0.len() >= 2 * most {
            self.0.retain(|(name, of)| is_wanted(name, *of));
        }
        self.0.push_back((name, generation));
    }

    pub(super) fn pop(&mut self) -> Option<(RoomName, u64)> {
        self.0.pop_front()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

    use super::*;

    #[test]
    fn a_room_that_is_left_and_joined_again_and_again_has_one_turn() {
        let name = |text: &str| RoomName::try_from(text).unwrap();
        let mut turns = Turns::default();
        turns.push(name("b"), 0, 10, |_, _| true);
        for generation in 1..=1_000 {
            let is_wanted = |_: &RoomName, of| of == 0 || of == generation;
            turns.push(name("a"), generation, 10, is_wanted);
            assert!(turns.0.len() <= 20, "{}", turns.0.len());
        }
        assert_eq!(turns.pop(), Some((name("b"), 0)), "in their order");
        assert_eq!(turns.0.back(), Some(&(name("a"), 1_000)));
    }
}
