//! The sessions of this node: an index to find them by, and shards to reach all of them.
//!
//! ```text
//!   broadcast ─► log of each shard ─► dispatcher ─► outbox of each session
//!   send ─────────────────────────────────────────►   │ first what the log holds for it
//! ```
//!
//! # Lock order
//! The index and a shard's members are locked for a look and nothing else: no session is written
//! to, ended or dropped under either.

mod attendance;
mod index;
#[cfg(all(test, realtime_loom))]
mod loom;
mod memory_pressure;
mod page;
mod rooms;
mod select;
mod shard;
mod stream;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread::available_parallelism,
};

use realtime_core::{
    IdentityKey, RoomName, SessionId,
    broker::envelope::{Except, Target},
    presence::{Group, Member},
};

use crate::{
    dialects::{DialectId, Frames},
    outbound::{Audience, Log, Offset, Room},
    room_topics::RoomTopic,
    session::Session,
};

pub(crate) use attendance::{Attendance, News};
use index::Index;
pub(crate) use rooms::{Addressed, Entering, JoinRefused, RoomHas, RoomLimits, Rooms};
pub(crate) use shard::Shard;
pub(crate) use stream::{Publication, Step, Stream};

/// More than this share a broadcast's work no better.
const MAX_SHARDS: usize = 16;
/// How many sessions are copied at once when all are wanted.
const COPIED: usize = 1_024;

/// After how many sessions, or bytes for all of them together, it lets other tasks have a turn.
const TURN: usize = 128;
const TURN_BYTES: usize = 1024 * 1024;

/// Every open session of this node. Bounded by the connection limit.
#[derive(Debug)]
pub(crate) struct Hub {
    index: Index,
    rooms: Rooms,
    attendance: Arc<Attendance>,
    /// As many for each dialect: those of the first, those of the second…
    shards: Vec<Shard<Session>>,
    shards_of_each: usize,
    /// For each dialect.
    next_shard: Vec<AtomicUsize>,
    /// A task looks for the sessions that hold most memory.
    relieving: AtomicBool,
}

/// A session's place in the hub: it has one from [`join`](Self::join) until it leaves, or until this
/// is dropped.
///
/// It is small, since each session's task has one for as long as it lives.
#[derive(Debug)]
pub(crate) struct Membership {
    hub: Arc<Hub>,
    session: Session,
    place: Place,
}

/// Which of the shards, and which number there.
#[derive(Debug, Clone, Copy)]
enum Place {
    NotYet {
        shard: u32,
    },
    At {
        shard: u32,
        number: u64,
        /// It counts among those of its tenant who are online.
        is_online: bool,
    },
    Left,
}

impl Membership {
    /// The place of a session that follows the log of this shard.
    pub(crate) fn new(hub: Arc<Hub>, session: Session, shard: u32) -> Self {
        let place = Place::NotYet { shard };
        Self {
            hub,
            session,
            place,
        }
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// The session comes. It follows the log of its shard from here on.
    pub(crate) fn join(&mut self) {
        let Place::NotYet { shard } = self.place else {
            return;
        };
        let (hub, session) = (&self.hub, &self.session);
        session.env().dialects.came(session.outbox().dialect());
        hub.index.insert(session.clone());
        // Once it can be found: who begins to look meanwhile sees it there, or is seen here.
        session.join_taps();
        if let Some(members) = hub.shards.get(shard as usize) {
            let number = members.insert(session.clone());
            self.place = Place::At {
                shard,
                number,
                is_online: false,
            };
        }
        session.follow_log();
    }

    /// From now on the session counts among those of its tenant who are online.
    pub(crate) fn is_online(&mut self) {
        if let Place::At { is_online, .. } = &mut self.place
            && !*is_online
        {
            *is_online = true;
            self.hub.attendance.came(of_tenant(&self.session));
        }
    }

    /// The session goes.
    pub(crate) fn leave(&mut self) {
        let place = std::mem::replace(&mut self.place, Place::Left);
        if let Place::At {
            shard,
            number,
            is_online,
        } = place
        {
            if is_online {
                self.hub.attendance.went(of_tenant(&self.session));
            }
            if let Some(members) = self.hub.shards.get(shard as usize) {
                members.remove(number);
            }
            self.hub.index.remove(&self.session);
            let session = &self.session;
            session.env().dialects.went(session.outbox().dialect());
            self.hub.rooms.forget(&self.session);
        }
    }
}

/// A session's identity, among those of its tenant who are online.
fn of_tenant(session: &Session) -> Member {
    let identity = session.identity_key();
    let group = Group::Tenant(identity.tenant().into());
    Member::new(group, identity.clone())
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Hub {
    pub(crate) fn new(dialects: impl Iterator<Item = DialectId>) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        let shards_of_each = cores.min(MAX_SHARDS);
        let of_each = dialects.flat_map(|dialect| std::iter::repeat_n(dialect, shards_of_each));
        let shards = (0..).zip(of_each);
        let shards: Vec<_> = shards.map(|(n, dialect)| Shard::new(n, dialect)).collect();
        let attendance = Arc::<Attendance>::default();
        Self {
            index: Index::default(),
            rooms: Rooms::new(shards.len(), Arc::clone(&attendance)),
            attendance,
            next_shard: (0..shards.len().div_ceil(shards_of_each))
                .map(|_| AtomicUsize::new(0))
                .collect(),
            shards,
            shards_of_each,
            relieving: AtomicBool::new(false),
        }
    }

    pub(crate) fn shards(&self) -> &[Shard<Session>] {
        &self.shards
    }

    /// The shard of the next session that speaks this, and its log.
    pub(crate) fn next_shard(&self, dialect: DialectId) -> (u32, Arc<Log>) {
        let its = |(_, shard): &(usize, &Shard<_>)| shard.log().dialect() == dialect;
        let (first, _) = self
            .shards
            .iter()
            .enumerate()
            .find(its)
            .unwrap_or((0, &self.shards[0]));
        let next = self.next_shard[first / self.shards_of_each].fetch_add(1, Relaxed);
        let next = first + next % self.shards_of_each;
        (next as u32, Arc::clone(self.shards[next].log()))
    }

    /// Hands a message to every session, in the log of its shard, and returns how many there are.
    /// It waits while a log is full.
    pub(crate) async fn broadcast(&self, frames: &Frames) -> usize {
        self.append(frames, None).await
    }

    /// The same for the members of rooms.
    pub(crate) async fn send_to(&self, addressed: Addressed, frames: &Frames) -> usize {
        let Addressed { audience, members } = addressed;
        let counted = self.append(frames, Some(&audience)).await;
        members.unwrap_or(counted)
    }

    async fn append(&self, frames: &Frames, to: Option<&Arc<Audience>>) -> usize {
        let mut readers = 0;
        for shard in &self.shards {
            let log = shard.log();
            let dialect = log.dialect();
            // Nothing is compressed for nobody. Who comes just now comes after it.
            if dialect.is_deflated() && log.readers(to) == 0 {
                continue;
            }
            let frame = frames.of(dialect);
            readers += match frame.is_empty() {
                // Who speaks what has no form for it is told nothing, and counts all the same.
                true => log.readers(to),
                false => log.append(frame, to).await,
            };
        }
        readers
    }

    /// Which identities are in which groups here.
    pub(crate) fn attendance(&self) -> &Attendance {
        &self.attendance
    }

    pub(crate) const fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    /// Whom a message for these rooms concerns; `None` where nobody here is in any of them.
    pub(crate) fn address(&self, rooms: &[RoomName], except: &[Except]) -> Option<Addressed> {
        self.rooms.address(rooms, except, &self.index)
    }

    /// How many sessions of this node get a message to a room.
    pub(crate) fn followers(&self, room: &RoomName, except: &[Except]) -> usize {
        let members = self.rooms.members(room).into_iter();
        let gets = |session: &Session| !session.is_closed() && !is_excepted(session, except);
        members.filter(gets).count()
    }

    /// Compresses a message for those who are in a room and get it so. The one task that hands over to
    /// all rooms then finds it ready.
    pub(crate) fn compress(&self, frames: &Frames, room: &Arc<Room>) {
        if !frames.may_be_compressed() {
            return;
        }
        let audience = Arc::new(Audience::new(vec![Arc::clone(room)], Vec::new()));
        let logs = self.shards.iter().map(|shard| shard.log());
        for log in logs.filter(|log| log.dialect().is_deflated()) {
            if log.readers(Some(&audience)) > 0 {
                let _ready = frames.of(log.dialect());
            }
        }
    }

    /// Hands over a message of a room with a history.
    pub(crate) async fn send_in(&self, room: &Arc<Room>, life: u64, publication: &Publication) {
        let Publication {
            offset,
            frames,
            except,
            ..
        } = publication;
        let except = except.iter().flat_map(|who| self.index.those(who));
        let except = except.map(|session| session.outbox().address());
        let offset = Offset {
            life,
            offset: *offset,
        };
        let audience = Audience::new(vec![Arc::clone(room)], except.collect());
        self.append(frames, Some(&Arc::new(audience.at(offset))))
            .await;
    }

    /// Hands a message to the sessions of an identity, but for some, and counts those that accepted
    /// it.
    pub(crate) async fn hand_to_one(
        &self,
        frames: &Frames,
        key: &IdentityKey,
        except: &[Except],
    ) -> usize {
        let mut sessions = self.of(key);
        if !except.is_empty() {
            sessions.retain(|session| !is_excepted(session, except));
        }
        hand_over(&sessions, frames).await
    }

    /// The same for one session: at most one accepts it.
    pub(crate) async fn hand_to_session(
        &self,
        frames: &Frames,
        id: SessionId,
        except: &[Except],
    ) -> usize {
        let session = self.get(id).filter(|session| !is_excepted(session, except));
        hand_over(session.as_slice(), frames).await
    }

    /// The same for everybody or a tenant.
    pub(crate) async fn hand_to_those(
        &self,
        frames: &Frames,
        to: &Target,
        except: &[Except],
    ) -> usize {
        let pick =
            |session: &Session| select::is_meant(session, to) && !is_excepted(session, except);
        self.hand_to(frames, pick).await
    }

    async fn hand_to(&self, frames: &Frames, pick: impl Fn(&Session) -> bool) -> usize {
        let mut accepted = 0;
        let mut sessions = Vec::with_capacity(TURN);
        for shard in &self.shards {
            let mut from = Some(0);
            while let Some(next) = from {
                from = shard.pick_from(next, TURN, &pick, &mut sessions);
                accepted += hand_over(&sessions, frames).await;
                sessions.clear();
                tokio::task::yield_now().await;
            }
        }
        accepted
    }

    /// Notifies the clients of those who are in a room without a history, of this topic or of any,
    /// that they may have missed so many messages.
    pub(crate) async fn note_missed_in_rooms(&self, topic: Option<RoomTopic>, messages: u64) {
        let sessions = self.rooms.members_on(topic);
        for sessions in sessions.chunks(TURN) {
            for session in sessions {
                session.note_missed(messages);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Notifies every session's client that it may have missed so many messages.
    pub(crate) async fn note_missed(&self, messages: u64) {
        let mut sessions = Vec::with_capacity(TURN);
        for shard in &self.shards {
            let mut from = Some(0);
            while let Some(next) = from {
                from = shard.members_from(next, TURN, &mut sessions);
                for session in sessions.drain(..) {
                    session.note_missed(messages);
                }
                tokio::task::yield_now().await;
            }
        }
    }

    /// No broadcast is accepted any more, and those that wait are released.
    pub(crate) fn close_logs(&self) {
        for shard in &self.shards {
            shard.log().close();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    pub(crate) fn get(&self, id: SessionId) -> Option<Session> {
        self.index.get(id)
    }

    /// All sessions, as they are now. A copy, so that nothing is locked while they are written to.
    /// One that joins meanwhile may be missing.
    pub(crate) fn all(&self) -> Vec<Session> {
        let mut all = Vec::with_capacity(self.len());
        for shard in &self.shards {
            let mut from = Some(0);
            while let Some(next) = from {
                from = shard.members_from(next, COPIED, &mut all);
            }
        }
        all
    }

    /// The sessions of an identity, as they are now.
    pub(crate) fn of(&self, key: &IdentityKey) -> Vec<Session> {
        self.index.of(key)
    }

    /// Up to so many of them, and how many there are.
    #[cfg(feature = "admin")]
    pub(crate) fn some_of(&self, key: &IdentityKey, most: usize) -> (Vec<Session>, usize) {
        self.index.some_of(key, most)
    }
}

pub(crate) fn is_excepted(session: &Session, except: &[Except]) -> bool {
    except.iter().any(|who| match who {
        Except::Session(id) => session.id() == *id,
        Except::Identity(key) => session.identity_key() == key,
        _ => false,
    })
}

/// Hands a message to sessions, and counts those that accepted it.
pub(crate) async fn hand_over(sessions: &[Session], frames: &Frames) -> usize {
    let turn = (TURN_BYTES / frames.bytes().max(1)).clamp(1, TURN);
    let mut accepted = 0;
    for (at, sessions) in sessions.chunks(turn).enumerate() {
        if at > 0 {
            tokio::task::yield_now().await;
        }
        let accepts = |session: &&Session| {
            let frame = frames.of(session.outbox().dialect());
            session.deliver(frame.clone()).is_ok()
        };
        accepted += sessions.iter().filter(accepts).count();
    }
    accepted
}
