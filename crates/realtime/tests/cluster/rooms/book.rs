//! What is written down: by who publishes, and by who is in a room.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
};

/// The rooms, by what they keep.
pub(super) const ROOMS: [&str; 4] = ["kept:0", "kept:1", "plain:0", "plain:1"];
/// How many publishers there are at the most.
pub(super) const PUBLISHERS: usize = 4;

pub(super) fn is_kept(room: usize) -> bool {
    ROOMS[room].starts_with("kept")
}

/// Who published a message, and which of its messages to the room it is, from 1.
pub(super) type Number = (usize, u64);

/// A number of each publisher.
pub(super) type Numbers = [u64; PUBLISHERS];

/// What one publisher sent to one room: the numbers from 1 to `count`.
#[derive(Debug, Clone, Default)]
pub(super) struct Sent {
    pub(super) count: u64,
    /// Those whose sender was told that not everybody may get them, and that were not repeated.
    pub(super) failed: BTreeSet<u64>,
    /// Those that were repeated under their key.
    pub(super) repeated: BTreeSet<u64>,
}

/// Where a member is in a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct At {
    pub(super) epoch: Arc<str>,
    pub(super) offset: u64,
}

/// What happened to a member in one room, in its order.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    /// It is in. What was begun before needn't come.
    Joined { at: Option<At>, begun: Numbers },
    /// A message came.
    Live { offset: u64, number: Number },
    /// What it had asked for from this position came, up to another one.
    Recovered(Box<Recovered>),
    /// It is in, but what it had asked for can't be had.
    Lost { at: At },
    /// It may have lost something, and the room is there by now, where it has a history.
    Gap(Option<At>),
    /// It has asked to leave: what it is told of from here on may say nothing of the room.
    Leaves,
    /// It has left by its own will.
    Left,
    /// Its connection has ended.
    Cut,
}

#[derive(Debug, Clone)]
pub(super) struct Recovered {
    pub(super) from: At,
    pub(super) to: At,
    pub(super) missed: Vec<(u64, Number)>,
}

/// One member's book of one room.
pub(super) type Book = Vec<Entry>;

/// What all have done by now, while they are still at it.
#[derive(Debug)]
pub(super) struct Progress {
    /// The last message of each publisher to each room that was begun.
    begun: [[AtomicU64; PUBLISHERS]; ROOMS.len()],
    /// The last that each member has got.
    got: Vec<[[AtomicU64; PUBLISHERS]; ROOMS.len()]>,
    /// Whether each is in all rooms, and about to do nothing.
    is_settled: Vec<AtomicBool>,
}

impl Progress {
    pub(super) fn new(members: usize) -> Self {
        Self {
            begun: Default::default(),
            got: (0..members).map(|_| Default::default()).collect(),
            is_settled: (0..members).map(|_| AtomicBool::new(false)).collect(),
        }
    }

    pub(super) fn begins(&self, room: usize, (publisher, n): Number) {
        self.begun[room][publisher].store(n, SeqCst);
    }

    pub(super) fn begun(&self, room: usize) -> Numbers {
        let of_room = &self.begun[room];
        std::array::from_fn(|publisher| of_room[publisher].load(SeqCst))
    }

    pub(super) fn has_got(&self, member: usize, room: usize, (publisher, n): Number) {
        self.got[member][room][publisher].fetch_max(n, SeqCst);
    }

    pub(super) fn settles(&self, member: usize, is_settled: bool) {
        self.is_settled[member].store(is_settled, SeqCst);
    }

    pub(super) fn are_settled(&self) -> bool {
        self.is_settled.iter().all(|settled| settled.load(SeqCst))
    }

    /// Whether each member has got these of each room, or later ones.
    pub(super) fn all_have(&self, numbers: &[Numbers; ROOMS.len()]) -> bool {
        let has = |got: &[AtomicU64; PUBLISHERS], wanted: &Numbers| {
            got.iter()
                .zip(wanted)
                .all(|(got, n)| got.load(SeqCst) >= *n)
        };
        let all = |of: &[[AtomicU64; PUBLISHERS]; ROOMS.len()]| {
            of.iter().zip(numbers).all(|(got, wanted)| has(got, wanted))
        };
        self.got.iter().all(all)
    }
}
