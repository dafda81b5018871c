//! How a session comes into rooms, and out of them: each at one place in the log, under the lock.

use std::sync::Arc;

use realtime_core::RoomName;

use super::{Accepted, Outbox, State};
use crate::{
    outbound::{Membership, Opening, Room},
    transport::Sink,
};

/// What came of a wish to be in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Followed {
    Joined,
    /// It is in it already.
    Already,
    /// It is in as many rooms as it may be.
    TooMany,
    /// The session is closing, or doesn't follow the log yet.
    Closed,
}

impl<W: Sink> Outbox<W> {
    /// Becomes a member of a room, under this number: gets what is sent to it from here on, behind
    /// the answer to its client. Nothing is changed where the outcome isn't
    /// [`Followed::Joined`], but one that is a member already answers all the same.
    pub(crate) fn follow(
        &self,
        room: &Arc<Room>,
        number: u64,
        most: usize,
        opening: Opening,
    ) -> (Accepted, Followed) {
        let mut accepted = Accepted::default();
        let mut state = self.lock();
        let Some(cursor) = state.cursor.place() else {
            return (accepted, Followed::Closed);
        };
        let rooms = state.rooms.as_deref();
        let is_member = rooms.is_some_and(|rooms| rooms.contains(room));
        if !is_member && rooms.is_some_and(|rooms| rooms.len() >= most) {
            return (accepted, Followed::TooMany);
        }
        let Opening {
            answer,
            frames,
            after,
        } = opening;
        if !is_member {
            let (before, end) = self.log.follow(room, cursor, state.reader(self.address()));
            state.has_read(&before, end, &mut accepted);
            let rooms = state.rooms.get_or_insert_default();
            rooms.insert(Arc::clone(room), number, end, after);
        }
        if is_member {
            state.read_log(&self.log, self.address(), &mut accepted);
        }
        if let Some(answer) = answer {
            state.writer.reply(answer);
            accepted.sent += 1;
        }
        let State { writer, task, .. } = &mut *state;
        if !is_member {
            let _counted = writer.offer_all(task.as_ref(), &frames, &mut accepted);
        }
        if !self.is_corked() {
            writer.write_now(task.as_ref());
        }
        match is_member {
            true => (accepted, Followed::Already),
            false => (accepted, Followed::Joined),
        }
    }

    /// Is a member no more: what was sent before this still comes, and nothing that is sent after
    /// it. `None` where it was none.
    pub(crate) fn unfollow(&self, name: &RoomName) -> (Accepted, Option<Membership>) {
        let mut accepted = Accepted::default();
        let mut state = self.lock();
        let held = state.rooms.as_deref().and_then(|rooms| rooms.get(name));
        let (Some(room), Some(cursor)) = (held.cloned(), state.cursor.place()) else {
            return (accepted, None);
        };
        let (frames, end) = self
            .log
            .unfollow(&room, cursor, state.reader(self.address()));
        let left = state.rooms.as_mut().and_then(|rooms| rooms.remove(name));
        if state.rooms.as_ref().is_some_and(|rooms| rooms.len() == 0) {
            state.rooms = None;
        }
        state.has_read(&frames, end, &mut accepted);
        if !self.is_corked() {
            let State { writer, task, .. } = &mut *state;
            writer.write_now(task.as_ref());
        }
        (accepted, left)
    }

    /// The rooms that it is in.
    pub(crate) fn rooms(&self) -> Vec<RoomName> {
        let state = self.lock();
        let rooms = state
            .rooms
            .as_deref()
            .filter(|_| state.cursor.place().is_some());
        rooms.map_or_else(Vec::new, |rooms| rooms.names().cloned().collect())
    }

    /// Gives up its memberships, and the log, since nobody carries it to it any more.
    pub(crate) fn take_rooms(&self) -> Vec<Membership> {
        let mut state = self.lock();
        drop(state.leave_log(&self.log, self.address()));
        let rooms = state.rooms.take();
        drop(state);
        rooms.map_or_else(Vec::new, |rooms| rooms.into_all())
    }
}
