//! A part of the node's sessions, with the log that they follow.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use crate::{dialects::DialectId, outbound::Log, sync::Mutex};

/// Some of the sessions, and what is broadcast to them.
#[derive(Debug)]
pub(crate) struct Shard<M> {
    log: Arc<Log>,
    members: Mutex<Members<M>>,
}

/// By the order in which they came. So a walk costs what there are members, whatever there once
/// were, and a member that joins or leaves meanwhile moves no other.
#[derive(Debug)]
struct Members<M> {
    next: u64,
    by_number: BTreeMap<u64, M>,
}

impl<M: Clone> Shard<M> {
    pub(crate) fn new(number: u32, dialect: DialectId) -> Self {
        Self {
            log: Arc::new(Log::new(number, dialect)),
            members: Mutex::new(Members {
                next: 0,
                by_number: BTreeMap::new(),
            }),
        }
    }

    pub(crate) fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Adds a member, which is to follow the log after this and not before: a round that begins
    /// once it does is then sure to come by.
    pub(crate) fn insert(&self, member: M) -> u64 {
        let mut members = self.members.lock();
        let number = members.next;
        members.next += 1;
        members.by_number.insert(number, member);
        number
    }

    pub(crate) fn remove(&self, number: u64) {
        let member = self.members.lock().by_number.remove(&number);
        // Dropped without the lock: it may be the last hold on a session.
        drop(member);
    }

    /// The first member from this number on, and which that is.
    pub(crate) fn next_from(&self, from: u64) -> Option<(u64, M)> {
        let members = self.members.lock();
        let mut walk = members.by_number.range(from..);
        walk.next()
            .map(|(number, member)| (*number, member.clone()))
    }

    /// Copies the next `count` members, so that nothing is locked while they are written to.
    /// Returns where to continue, or `None` when there are no more.
    pub(crate) fn members_from(&self, from: u64, count: usize, into: &mut Vec<M>) -> Option<u64> {
        self.pick_from(from, count, |_| true, into)
    }

    /// Of the next `count` members copies those that `pick` chooses.
    pub(crate) fn pick_from(
        &self,
        from: u64,
        count: usize,
        pick: impl Fn(&M) -> bool,
        into: &mut Vec<M>,
    ) -> Option<u64> {
        let members = self.members.lock();
        let mut walk = members.by_number.range(from..);
        let mut last = None;
        for (number, member) in walk.by_ref().take(count.max(1)) {
            if pick(member) {
                into.push(member.clone());
            }
            last = Some(*number);
        }
        let behind = (Bound::Excluded(last?), Bound::Unbounded);
        let next = members.by_number.range(behind).next();
        next.map(|(number, _)| *number)
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use super::*;

    fn walk(shard: &Shard<char>, turn: usize) -> (String, usize) {
        let (mut all, mut from, mut turns) = (Vec::new(), Some(0), 0);
        while let Some(next) = from {
            from = shard.members_from(next, turn, &mut all);
            turns += 1;
        }
        (all.into_iter().collect(), turns)
    }

    #[test]
    fn a_walk_sees_everybody_once_in_as_many_turns_as_there_are_members() {
        let shard = Shard::new(0, DialectId::CODEC);
        let numbers: Vec<u64> = "abcde".chars().map(|c| shard.insert(c)).collect();
        assert_eq!(walk(&shard, 2), ("abcde".to_owned(), 3));
        shard.remove(numbers[1]);
        shard.remove(numbers[3]);
        shard.remove(numbers[3]);
        assert_eq!(walk(&shard, 2), ("ace".to_owned(), 2));
        assert_eq!(walk(&shard, 3).1, 1);
    }

    #[test]
    fn a_member_that_leaves_on_the_way_hides_no_other() {
        let shard = Shard::new(0, DialectId::CODEC);
        let numbers: Vec<u64> = "abcd".chars().map(|c| shard.insert(c)).collect();
        let mut seen = Vec::new();
        let next = shard.members_from(0, 2, &mut seen);
        shard.remove(numbers[0]);
        shard.remove(numbers[2]);
        shard.insert('e');
        let rest = shard.members_from(next.unwrap(), 9, &mut seen);
        assert_eq!((seen, rest), (vec!['a', 'b', 'd', 'e'], None));
    }

    #[test]
    fn a_peak_is_not_walked_again() {
        let shard = Shard::new(0, DialectId::CODEC);
        let numbers: Vec<u64> = (0..8_000)
            .map(|n| shard.insert(if n == 4_000 { 'x' } else { 'y' }))
            .collect();
        for number in numbers.into_iter().filter(|n| *n != 4_000) {
            shard.remove(number);
        }
        assert_eq!(walk(&shard, 128), ("x".to_owned(), 1));
    }
}
