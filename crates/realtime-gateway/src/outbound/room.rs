//! A room as a session's outbox knows it: which messages of the log concern the session.
//!
//! Only the session's own state decides what it gets: from the place in the log at which it joined
//! to the one at which it leaves. All of it is kept under the outbox's lock, and what is counted of
//! it changes under the log's, so that a message is counted for exactly those who get it.

use std::{
    ptr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use realtime_core::RoomName;

/// A room with members on this node.
#[derive(Debug)]
pub(crate) struct Room {
    /// Drawn anew each time that the room gets its first member, so that what was sent to an
    /// earlier one of that name concerns nobody.
    id: u64,
    name: RoomName,
    /// How many sessions of each shard follow it.
    following: Box<[AtomicUsize]>,
}

/// Whom a message in the log is for, where it isn't for everybody.
#[derive(Debug)]
pub(crate) struct Audience {
    /// The members of any of these.
    rooms: Vec<Arc<Room>>,
    /// But not these: the places of their outboxes.
    except: Vec<usize>,
    /// Its place in the history of its room, where the room has one.
    place: Option<Offset>,
}

/// A session's membership of one room.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) room: Arc<Room>,
    /// The session's number among the members.
    pub(crate) number: u64,
}

/// A room that a session is in.
#[derive(Debug)]
struct Joined {
    room: Arc<Room>,
    /// From which place in the log on.
    since: u64,
}

/// What else a session knows of a membership.
#[derive(Debug)]
struct Held {
    number: u64,
    /// Behind which place in the room's history.
    after: Offset,
}

/// A place in the history of a room: in which of its lives, as this node counts them, and which
/// offset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Offset {
    pub(crate) life: u64,
    pub(crate) offset: u64,
}

/// How a session begins in a room.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    /// The answer to its client, where that has asked: it comes before what is sent to the room.
    pub(crate) answer: Option<Bytes>,
    /// What was sent to the room since the answer was made.
    pub(crate) frames: Vec<Bytes>,
    /// The place that the client is at, then.
    pub(crate) after: Offset,
}

/// The rooms of a session, by where they are in memory: while two are held, one place is one room.
/// Each delivery looks for one, mostly in memory that the processor has to fetch first: so they are
/// close together, apart from what else is held of each, and nothing is looked at in the room.
#[derive(Debug, Default)]
pub(crate) struct Memberships {
    rooms: Vec<Joined>,
    /// Of each room, in the same order.
    held: Vec<Held>,
}

impl Room {
    pub(crate) fn new(name: RoomName, shards: usize) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT.fetch_add(1, Relaxed),
            name,
            following: (0..shards).map(|_| AtomicUsize::new(0)).collect(),
        }
    }

    pub(crate) fn name(&self) -> &RoomName {
        &self.name
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        self.id == other.id
    }

    fn followers(&self, shard: u32) -> Option<&AtomicUsize> {
        self.following.get(shard as usize)
    }

    pub(super) fn follow(&self, shard: u32) {
        if let Some(followers) = self.followers(shard) {
            followers.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn unfollow(&self, shard: u32) {
        if let Some(followers) = self.followers(shard) {
            followers.fetch_sub(1, Relaxed);
        }
    }
}

impl Audience {
    pub(crate) fn new(rooms: Vec<Arc<Room>>, except: Vec<usize>) -> Self {
        Self {
            rooms,
            except,
            place: None,
        }
    }

    /// It has this place in the history of its room.
    pub(crate) fn at(mut self, place: Offset) -> Self {
        self.place = Some(place);
        self
    }

    pub(crate) fn rooms(&self) -> &[Arc<Room>] {
        &self.rooms
    }

    /// How many sessions of a shard are members; those of several rooms are counted for each.
    pub(super) fn followers(&self, shard: u32) -> usize {
        let followers = |room: &Arc<Room>| room.followers(shard).map_or(0, |f| f.load(Relaxed));
        self.rooms.iter().map(followers).sum()
    }
}

impl Memberships {
    pub(crate) fn names(&self) -> impl Iterator<Item = &RoomName> {
        self.rooms.iter().map(|joined| joined.room.name())
    }

    pub(super) fn len(&self) -> usize {
        self.rooms.len()
    }

    fn place(&self, room: &Room) -> Result<usize, usize> {
        self.rooms
            .binary_search_by_key(&ptr::from_ref(room), |joined| Arc::as_ptr(&joined.room))
    }

    pub(super) fn contains(&self, room: &Room) -> bool {
        self.place(room).is_ok()
    }

    pub(super) fn insert(&mut self, room: Arc<Room>, number: u64, since: u64, after: Offset) {
        if let Err(place) = self.place(&room) {
            self.rooms.insert(place, Joined { room, since });
            self.held.insert(place, Held { number, after });
        }
    }

    /// The room of this name.
    pub(super) fn get(&self, name: &RoomName) -> Option<&Arc<Room>> {
        self.all().find(|room| room.name() == name)
    }

    pub(super) fn remove(&mut self, name: &RoomName) -> Option<Membership> {
        let place = self
            .rooms
            .iter()
            .position(|joined| joined.room.name() == name)?;
        Some(Membership {
            room: self.rooms.remove(place).room,
            number: self.held.remove(place).number,
        })
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Room>> {
        self.rooms.iter().map(|joined| &joined.room)
    }

    pub(super) fn into_all(self) -> Vec<Membership> {
        let all = self.rooms.into_iter().zip(self.held);
        all.map(|(joined, held)| Membership {
            room: joined.room,
            number: held.number,
        })
        .collect()
    }

    /// Whether a message at this place in the log is for the session whose outbox is there.
    pub(super) fn concern(&self, audience: &Audience, place: u64, outbox: usize) -> bool {
        let is_member = |room: &Arc<Room>| {
            let Ok(at) = self.place(room) else {
                return false;
            };
            let is_new = |offset: Offset| self.held.get(at).is_some_and(|held| offset > held.after);
            let joined = self.rooms.get(at);
            joined.is_some_and(|joined| joined.since <= place) && audience.place.is_none_or(is_new)
        };
        audience.rooms.iter().any(is_member) && !audience.except.contains(&outbox)
    }
}
