//! The state of an outbox, which its lock guards, and the books that are kept of it.

use std::{
    mem,
    ops::{Deref, DerefMut},
    sync::Arc,
    task::Waker,
};

use bytes::Bytes;

use super::{Accepted, Outbox, Refused};
use crate::{
    metrics::Noted,
    outbound::{
        cursor::Cursor,
        log::{Log, Reader},
        queue::{Dropped, Queue},
        room::Memberships,
        turnstile::Turnstile,
        writer::Writer,
    },
    sync::MutexGuard,
    transport::Sink,
};

/// What the lock of an outbox guards.
pub(super) struct State<W> {
    pub(super) writer: Writer<W>,
    /// Up to where it has read the log; nowhere before it joins and after it has left.
    pub(super) cursor: Cursor,
    /// The rooms that the session is in, once there are some.
    pub(super) rooms: Option<Box<Memberships>>,
    /// The session's task, once it has looked at the socket.
    pub(super) task: Option<Waker>,
    pub(super) phase: Phase,
    /// Where senders wait for room, once some have.
    pub(super) turnstile: Option<Arc<Turnstile>>,
    /// A sender waits for room.
    pub(super) room_wanted: bool,
}

/// What is still accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Everything.
    Open,
    /// The session has ended: only the answers to what came before.
    Ended,
    /// The close frame is in its place: nothing.
    Sealed,
}

/// The state under its lock, which keeps the books when it is let go of, also by a panic.
pub(super) struct Locked<'o, W: Sink> {
    pub(super) outbox: &'o Outbox<W>,
    pub(super) state: MutexGuard<'o, State<W>>,
    pub(super) noted: Noted,
}

impl<W: Sink> Deref for Locked<'_, W> {
    type Target = State<W>;

    #[inline]
    fn deref(&self) -> &State<W> {
        &self.state
    }
}

impl<W: Sink> DerefMut for Locked<'_, W> {
    #[inline]
    fn deref_mut(&mut self) -> &mut State<W> {
        &mut self.state
    }
}

impl<W: Sink> Drop for Locked<'_, W> {
    fn drop(&mut self) {
        let (before, after) = (self.outbox.queued.bytes(), self.state.writer.queue.memory());
        self.outbox.queued.set(after);
        let noted = self.state.noted();
        self.outbox.queued.add_messages(noted.more_than(self.noted));
        self.outbox.metrics.moved(self.noted, noted);
        if after < before && mem::take(&mut self.state.room_wanted) {
            self.state.notify_waiting();
        }
    }
}

impl<W: Sink> State<W> {
    #[inline]
    pub(super) fn noted(&self) -> Noted {
        Noted::new(self.writer.queue.frames(), self.writer.written)
    }

    /// Reads what the log holds for the session, so that nothing overtakes it.
    #[inline]
    pub(super) fn read_log(&mut self, log: &Log, outbox: usize, accepted: &mut Accepted) {
        let cursor = self.cursor.place();
        let Some((frames, end)) = cursor.and_then(|place| log.read(place, self.reader(outbox)))
        else {
            return;
        };
        self.has_read(&frames, end, accepted);
    }

    #[inline]
    pub(super) fn has_read(&mut self, frames: &[Bytes], end: u64, accepted: &mut Accepted) {
        self.cursor = Cursor::at(end);
        let Self { writer, task, .. } = self;
        let _counted = writer.offer_all(task.as_ref(), frames, accepted);
    }

    /// Reads the log for the last time. Its rooms stay known, for those who must forget it there.
    pub(super) fn leave_log(&mut self, log: &Log, outbox: usize) -> Vec<Bytes> {
        let place = std::mem::replace(&mut self.cursor, Cursor::NOWHERE).place();
        place.map_or_else(Vec::new, |place| log.leave(place, self.reader(outbox)))
    }

    #[inline]
    pub(super) fn reader(&self, outbox: usize) -> Reader<'_> {
        Reader {
            outbox,
            rooms: self.rooms.as_deref(),
        }
    }

    #[inline]
    pub(super) fn hand_over(
        &mut self,
        frames: &[Bytes],
        joined: Option<&[u8]>,
        accepted: &mut Accepted,
    ) -> Result<(), Refused> {
        let Self { writer, task, .. } = self;
        writer.hand_over(task.as_ref(), frames, joined, accepted)
    }

    pub(super) fn notify_waiting(&self) {
        if let Some(turnstile) = &self.turnstile {
            turnstile.notify();
        }
    }

    pub(super) fn give_up_socket(&mut self) -> (Option<W>, Dropped) {
        self.phase = Phase::Sealed;
        let queue = mem::replace(&mut self.writer.queue, Queue::new());
        (self.writer.socket.take(), queue.unsent())
    }
}
