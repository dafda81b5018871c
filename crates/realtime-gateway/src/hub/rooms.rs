//! The rooms that have members on this node, and who they are.

mod page;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ops::Bound,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use dashmap::DashMap;
use realtime_core::{
    RoomName, SessionId,
    broker::envelope::Except,
    presence::{Group, Member},
};

use super::{
    attendance::Attendance,
    index::Index,
    stream::{Stream, StreamQueue},
};
use crate::{
    outbound::{Audience, Followed, Membership, Opening, Room},
    room_topics::RoomTopic,
    session::Session,
    sync::Mutex,
};

/// Rooms by name. Each has a member, or gets its first or loses its last just now.
#[derive(Debug)]
pub(crate) struct Rooms {
    shards: usize,
    streams: Arc<StreamQueue>,
    attendance: Arc<Attendance>,
    by_name: DashMap<RoomName, Arc<Place>>,
    count: AtomicUsize,
    /// For each topic how many rooms there are, and how many sessions are about to be in one.
    wanted: Box<[AtomicUsize]>,
}

/// A room and its members.
#[derive(Debug)]
struct Place {
    room: Arc<Room>,
    members: Mutex<Members>,
    /// Its messages in order, where it has a history.
    stream: OnceLock<Arc<Stream>>,
    /// It is kept who is in it.
    is_attended: bool,
}

/// A session that is about to become a member: it is among the members before it gets anything, so
/// that a round of the dispatcher that has something for it comes by.
pub(crate) struct Entering<'r> {
    rooms: &'r Rooms,
    session: &'r Session,
    place: Arc<Place>,
    number: u64,
    of_session: usize,
    stays: bool,
}

impl Entering<'_> {
    /// The room's messages, where it has a history.
    pub(crate) fn stream(&self) -> Option<&Arc<Stream>> {
        self.place.stream.get()
    }

    /// Becomes a member, if it isn't one. Returns whether it was one already.
    pub(crate) fn join(&mut self, opening: Opening) -> Result<bool, JoinRefused> {
        let room = &self.place.room;
        match self
            .session
            .follow(room, self.number, self.of_session, opening)
        {
            Followed::Joined => {
                self.stays = true;
                self.place
                    .count(self.session, self.number, &self.rooms.attendance);
                Ok(false)
            }
            Followed::Already => Ok(true),
            Followed::TooMany => Err(JoinRefused::SessionFull),
            Followed::Closed => Err(JoinRefused::Closed),
        }
    }
}

impl Drop for Entering<'_> {
    fn drop(&mut self) {
        if !self.stays {
            let shard = self.session.outbox().shard();
            self.rooms.remove(&self.place.room, shard, self.number);
        }
    }
}

/// A member that leaves and comes in again.
pub(crate) struct Stays<'r> {
    attendance: &'r Attendance,
    member: Option<Member>,
}

impl Drop for Stays<'_> {
    fn drop(&mut self) {
        if let Some(member) = self.member.take() {
            self.attendance.went(member);
        }
    }
}

/// By shard and by the order in which they came, so that each dispatcher walks its own.
#[derive(Debug, Default)]
struct Members {
    next: u64,
    by_number: BTreeMap<(u32, u64), Session>,
    /// Those who count among those of whom it is kept that they are in the room.
    counted: BTreeSet<u64>,
}

impl Place {
    /// A session that has become a member counts, if it hasn't left by now.
    fn count(&self, session: &Session, number: u64, attendance: &Attendance) {
        if !self.is_attended {
            return;
        }
        let place = (session.outbox().shard(), number);
        // Under the lock, so that who leaves at the same time goes after it has come.
        let mut members = self.members.lock();
        if members.by_number.contains_key(&place) && members.counted.insert(number) {
            attendance.came(member(self.room.name(), session));
        }
    }
}

fn member(room: &RoomName, session: &Session) -> Member {
    Member::new(Group::Room(room.clone()), session.identity_key().clone())
}

/// Whom a message for rooms is for.
#[derive(Debug)]
pub(crate) struct Addressed {
    pub(super) audience: Arc<Audience>,
    /// How many they are, where the log can't count them: members of several rooms, or all but
    /// some.
    pub(super) members: Option<usize>,
}

/// Why a session is not in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JoinRefused {
    /// It is in as many rooms as it may be.
    SessionFull,
    /// The node has as many rooms as it may have.
    NodeFull,
    /// It is closing.
    Closed,
}

/// What a room has, beside members.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RoomHas {
    pub(crate) history: bool,
    pub(crate) presence: bool,
}

/// How many rooms there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoomLimits {
    pub(crate) of_session: usize,
    pub(crate) of_node: usize,
}

/// Keeps a topic wanted until it is dropped.
#[derive(Debug)]
pub(crate) struct Wanted<'r>(&'r AtomicUsize);

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Rooms {
    pub(super) fn new(shards: usize, attendance: Arc<Attendance>) -> Self {
        Self {
            shards,
            attendance,
            streams: Arc::default(),
            by_name: DashMap::new(),
            count: AtomicUsize::new(0),
            wanted: RoomTopic::all().map(|_| AtomicUsize::new(0)).collect(),
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.count.load(SeqCst)
    }

    /// Whether a topic has rooms on this node.
    pub(crate) fn wants(&self, topic: RoomTopic) -> bool {
        self.wanted_of(topic).load(SeqCst) > 0
    }

    /// Wants a topic, from before its first room is there.
    pub(crate) fn want(&self, topic: RoomTopic) -> Wanted<'_> {
        let wanted = self.wanted_of(topic);
        wanted.fetch_add(1, SeqCst);
        Wanted(wanted)
    }

    fn wanted_of(&self, topic: RoomTopic) -> &AtomicUsize {
        &self.wanted[topic.index()]
    }

    /// The messages of rooms with a history, where there is something to do with them.
    pub(crate) fn streams(&self) -> &Arc<StreamQueue> {
        &self.streams
    }

    /// A session is about to become a member. With a history, the room's messages are put into
    /// order from here on.
    pub(crate) fn enter<'r>(
        &'r self,
        session: &'r Session,
        name: &RoomName,
        has: RoomHas,
        limits: RoomLimits,
    ) -> Result<Entering<'r>, JoinRefused> {
        let shard = session.outbox().shard();
        let at_name = match self.by_name.get(name) {
            Some(place) => place,
            None => {
                // A few too many, where several come at once, do no harm.
                if self.len() >= limits.of_node {
                    return Err(JoinRefused::NodeFull);
                }
                let place = self.by_name.entry(name.clone());
                let new_place = || self.new_place(name, has.presence);
                place.or_insert_with(new_place).downgrade()
            }
        };
        // While the name is held, so that the room isn't given up for empty.
        let place = Arc::clone(&at_name);
        if has.history {
            let room = &place.room;
            let stream = || Arc::new(Stream::new(Arc::clone(room), Arc::clone(&self.streams)));
            place.stream.get_or_init(stream);
        }
        let mut members = place.members.lock();
        let number = members.next;
        members.next += 1;
        members.by_number.insert((shard, number), session.clone());
        drop(members);
        drop(at_name);
        Ok(Entering {
            rooms: self,
            session,
            place,
            number,
            of_session: limits.of_session,
            stays: false,
        })
    }

    fn new_place(&self, name: &RoomName, is_attended: bool) -> Arc<Place> {
        self.count.fetch_add(1, SeqCst);
        self.wanted_of(RoomTopic::of(name)).fetch_add(1, SeqCst);
        // A copy: what it is a part of may be much larger.
        let name = RoomName::try_from(name.as_str()).unwrap_or_else(|_| name.clone());
        Arc::new(Place {
            room: Arc::new(Room::new(name, self.shards)),
            members: Mutex::default(),
            stream: OnceLock::new(),
            is_attended,
        })
    }

    /// The messages of a room with a history, where it has members here.
    pub(crate) fn stream(&self, name: &RoomName) -> Option<Arc<Stream>> {
        let place = self.by_name.get(name)?;
        place.stream.get().cloned()
    }

    /// Messages on this topic were lost on their way here: the histories of its rooms know them.
    pub(crate) fn doubt(&self, topic: RoomTopic) {
        if !self.wants(topic) {
            return;
        }
        let on_it = |place: &Arc<Place>| RoomTopic::of(place.room.name()) == topic;
        let places = self.by_name.iter().filter(|place| on_it(place));
        let streams: Vec<Arc<Stream>> = places
            .filter_map(|place| place.stream.get().cloned())
            .collect();
        streams.iter().for_each(Stream::doubt);
    }

    /// The histories may not be what they were.
    pub(crate) fn doubt_all(&self) {
        self.all_streams().iter().for_each(Stream::doubt);
    }

    /// The task that carries messages of rooms with a history has begun, maybe anew.
    /// Returns those whose members may have lost a message.
    pub(crate) fn restart_streams(&self) -> Vec<Arc<Stream>> {
        let mut streams = self.all_streams();
        streams.retain(Stream::restart);
        streams
    }

    fn all_streams(&self) -> Vec<Arc<Stream>> {
        let places = self.by_name.iter();
        places
            .filter_map(|place| place.stream.get().cloned())
            .collect()
    }

    /// Ends a session's membership. Returns whether it was a member.
    pub(crate) fn leave(&self, session: &Session, name: &RoomName) -> bool {
        let Some(Membership { room, number, .. }) = session.unfollow(name) else {
            return false;
        };
        self.remove(&room, session.outbox().shard(), number);
        true
    }

    /// Until it is dropped, a session counts as a member, though it leaves: it comes in again.
    pub(crate) fn stays(&self, session: &Session, name: &RoomName) -> Option<Stays<'_>> {
        let place = self.by_name.get(name).map(|place| Arc::clone(&place))?;
        let member = place.is_attended.then(|| member(name, session))?;
        self.attendance.came(member.clone());
        Some(Stays {
            attendance: &self.attendance,
            member: Some(member),
        })
    }

    /// Ends all memberships of a session that leaves the hub.
    pub(super) fn forget(&self, session: &Session) {
        let shard = session.outbox().shard();
        for Membership { room, number, .. } in session.outbox().take_rooms() {
            self.remove(&room, shard, number);
        }
    }

    fn remove(&self, room: &Room, shard: u32, number: u64) {
        let Some(place) = self.place_of(room) else {
            return;
        };
        let (session, is_empty) = {
            let mut members = place.members.lock();
            let session = members.by_number.remove(&(shard, number));
            if let Some(session) = &session
                && members.counted.remove(&number)
            {
                self.attendance.went(member(room.name(), session));
            }
            (session, members.by_number.is_empty())
        };
        // Without the lock: it may be the last hold on a session.
        drop(session);
        if !is_empty {
            return;
        }
        let removed = self.by_name.remove_if(room.name(), |_, place| {
            place.room.is(room) && place.members.lock().by_number.is_empty()
        });
        if removed.is_some() {
            self.count.fetch_sub(1, SeqCst);
            let topic = RoomTopic::of(room.name());
            self.wanted_of(topic).fetch_sub(1, SeqCst);
        }
    }

    fn place_of(&self, room: &Room) -> Option<Arc<Place>> {
        let place = self.by_name.get(room.name())?;
        place.room.is(room).then(|| Arc::clone(&place))
    }

    /// Copies the next `count` members of a room's shard, so that nothing is locked while they are
    /// written to. Returns where to continue, or `None` when there are no more.
    pub(crate) fn members_from(
        &self,
        room: &Room,
        shard: u32,
        from: u64,
        count: usize,
        into: &mut Vec<Session>,
    ) -> Option<u64> {
        let place = self.place_of(room)?;
        let members = place.members.lock();
        let of_shard = |from| {
            (
                Bound::Included((shard, from)),
                Bound::Excluded((shard + 1, 0)),
            )
        };
        let mut last = None;
        for ((_, number), session) in members.by_number.range(of_shard(from)).take(count.max(1)) {
            into.push(session.clone());
            last = Some(*number);
        }
        let mut behind = members.by_number.range(of_shard(last? + 1));
        behind.next().map(|((_, number), _)| *number)
    }

    /// The members of a room on this node, as they are now.
    pub(crate) fn members(&self, name: &RoomName) -> Vec<Session> {
        let place = self.by_name.get(name).map(|place| Arc::clone(&place));
        place.map_or_else(Vec::new, |place| {
            let members = place.members.lock();
            members.by_number.values().cloned().collect()
        })
    }

    /// The members of this very room, as they are now.
    pub(crate) fn members_of(&self, room: &Room) -> Vec<Session> {
        let place = self.place_of(room);
        place.map_or_else(Vec::new, |place| {
            let members = place.members.lock();
            members.by_number.values().cloned().collect()
        })
    }

    /// The members of all rooms that have no history, of a topic or of any, each once: what others
    /// miss is read from there.
    pub(super) fn members_on(&self, topic: Option<RoomTopic>) -> Vec<Session> {
        if topic.is_some_and(|topic| !self.wants(topic)) {
            return Vec::new();
        }
        let on_it = |place: &Arc<Place>| {
            let is_wanted = |topic| RoomTopic::of(place.room.name()) == topic;
            place.stream.get().is_none() && topic.is_none_or(is_wanted)
        };
        let places = self.by_name.iter().filter(|place| on_it(place));
        let places: Vec<Arc<Place>> = places.map(|place| Arc::clone(&place)).collect();
        let mut members: HashMap<SessionId, Session> = HashMap::new();
        for place in places {
            let place = place.members.lock();
            let sessions = place.by_number.values();
            members.extend(sessions.map(|session| (session.id(), session.clone())));
        }
        members.into_values().collect()
    }

    /// Whom a message for these rooms concerns; `None` where nobody here is in any of them.
    pub(super) fn address(
        &self,
        names: &[RoomName],
        except: &[Except],
        index: &Index,
    ) -> Option<Addressed> {
        let places = names.iter().filter_map(|name| self.by_name.get(name));
        let places: Vec<Arc<Place>> = places.map(|place| Arc::clone(&place)).collect();
        let except: Vec<Session> = except.iter().flat_map(|who| index.those(who)).collect();
        let members = match (places.as_slice(), except.as_slice()) {
            ([], _) => return None,
            ([_], []) => None,
            _ => Some(count(&places, &except)),
        };
        let rooms = places.iter().map(|place| Arc::clone(&place.room)).collect();
        let except = except.iter().map(|session| session.outbox().address());
        let audience = Arc::new(Audience::new(rooms, except.collect()));
        Some(Addressed { audience, members })
    }
}

/// How many sessions are members of any of these rooms, but for some.
fn count(places: &[Arc<Place>], except: &[Session]) -> usize {
    let mut members: HashSet<SessionId> = HashSet::new();
    for place in places {
        let place = place.members.lock();
        members.extend(place.by_number.values().map(Session::id));
    }
    for session in except {
        members.remove(&session.id());
    }
    members.len()
}
