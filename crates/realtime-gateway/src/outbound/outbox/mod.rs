//! The one place from which a session's socket is written, and the one owner of its end.
//!
//! A writer takes the lock, reads what the shard's log holds for the session, and writes both at
//! once and in order. What the socket doesn't accept waits in the queue, and the session's task
//! continues when the socket is writable again. So the queue holds something only when the peer is
//! slow.
//!
//! What the session's own handlers send is held back until its task has done what it can, so that
//! the answers to all that one read brought leave in one write.
//!
//! The end is one step under the same lock: its first cause is recorded, what was broadcast so far
//! is taken from the log, and nothing more is accepted from outside. So a session that
//! was counted before the end gets its message before the close frame, and nothing comes after it.

mod offer;
mod rooms;
mod socket;
mod state;

use std::sync::Arc;
#[cfg(feature = "admin")]
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::{Bytes, BytesMut};
#[cfg(feature = "admin")]
use realtime_core::{Message, SessionId};

use self::state::{Locked, Phase, State};
use super::{
    batch::Batch,
    cork::Cork,
    cursor::Cursor,
    log::Log,
    queue::{Discarded, Dropped, QueueLimits},
    writer::Writer,
};
#[cfg(feature = "admin")]
use crate::tap::Line;
use crate::{
    budget::Share,
    dialects::DialectId,
    metrics::Metrics,
    sync::Mutex,
    transport::{Sink, SocketWriter},
};

pub(crate) use rooms::Followed;
pub(crate) use socket::Progress;

/// Replies that take more than this and wait make the session stop making more of them.
pub(crate) const REPLY_BYTES: usize = 64 * 1024;

// What each delivery looks at comes first, as in its session.
#[repr(C)]
pub(crate) struct Outbox<W: Sink = SocketWriter> {
    state: Mutex<State<W>>,
    /// What waits, as a share of the queues of all sessions together.
    queued: Share,
    /// What is broadcast to the session's shard.
    log: Arc<Log>,
    metrics: Metrics,
}

/// Why a frame was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The session is closing.
    Closed,
    /// Dropped by the policy.
    Dropped,
    /// No room, and the policy says to close.
    Full,
}

/// What became of messages that were handed over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Written or queued.
    pub(crate) sent: u64,
    /// Dropped by the policy, these or older ones.
    pub(crate) dropped: Dropped,
    /// There was no room, and the policy says to close.
    pub(crate) full: bool,
}

impl<W: Sink> Outbox<W> {
    pub(crate) fn new(
        writer: W,
        limits: Arc<QueueLimits>,
        queued: Share,
        log: Arc<Log>,
        metrics: Metrics,
    ) -> Self {
        let state = State {
            writer: Writer::new(writer, limits),
            cursor: Cursor::NOWHERE,
            rooms: None,
            task: None,
            phase: Phase::Open,
            turnstile: None,
            room_wanted: false,
        };
        Self {
            queued,
            log,
            metrics,
            state: Mutex::new(state),
        }
    }

    fn lock(&self) -> Locked<'_, W> {
        let state = self.state.lock();
        Locked {
            outbox: self,
            noted: state.noted(),
            state,
        }
    }

    /// Follows the log from here on, unless the session has ended already.
    pub(crate) fn join(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Open && state.cursor.place().is_none() {
            state.cursor = Cursor::at(self.log.join());
        }
    }

    /// Ends the session, if it hasn't ended: `record` records the cause, what was broadcast until
    /// now is taken, and from now on nothing is accepted but answers. `None` if it has.
    pub(crate) fn end(&self, record: impl FnOnce()) -> Option<Accepted> {
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return None;
        }
        record();
        state.phase = Phase::Ended;
        let mut accepted = Accepted::default();
        let frames = state.leave_log(&self.log, self.address());
        if !frames.is_empty() {
            let _counted = state.hand_over(&frames, None, &mut accepted);
        }
        state.notify_waiting();
        Some(accepted)
    }

    /// Writes a round of the dispatcher, or what of it the session hasn't got yet.
    pub(crate) fn catch_up(&self, batch: &Batch) -> Accepted {
        let mut accepted = Accepted::default();
        let mut state = self.lock();
        let behind = |cursor: &u64| *cursor < batch.end();
        if let Some(cursor) = state.cursor.place().filter(behind) {
            state.cursor = Cursor::at(batch.end());
            let part = batch.part(cursor, state.reader(self.address()));
            if !part.frames.is_empty() {
                let _counted = state.hand_over(&part.frames, part.joined, &mut accepted);
            }
        }
        accepted
    }

    pub(crate) fn set_pong(&self, frame: Bytes) {
        let mut state = self.lock();
        if state.phase == Phase::Sealed {
            return;
        }
        let State { writer, task, .. } = &mut *state;
        // One pong waits at the most. A peer that reads gets every one.
        if writer.queue.has_pong() {
            writer.write_now(task.as_ref());
        }
        writer.queue.set_pong(frame);
    }

    pub(crate) fn set_ping(&self, frame: Bytes) {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            state.writer.queue.set_ping(frame);
        }
    }

    /// Messages were lost elsewhere: the peer is notified before its next data.
    pub(crate) fn note_missed(&self, messages: u64) {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            state.writer.queue.note_missed(messages);
        }
        drop(state);
        self.wake_task();
    }

    /// Whether so many replies wait that no more should be made for now.
    pub(crate) fn is_full_of_replies(&self) -> bool {
        self.lock().writer.queue.reply_memory() >= REPLY_BYTES
    }

    /// The memory of what waits.
    pub(crate) fn bytes(&self) -> usize {
        self.queued.bytes()
    }

    /// Somebody looks at what is written from here on. `tapped` says so, and is written under the
    /// lock, so that whoever finds at the same time that nobody looks any more doesn't overwrite it.
    #[cfg(feature = "admin")]
    pub(crate) fn tap(&self, session: SessionId, line: Arc<Line>, tapped: &AtomicBool) {
        let speaks_codec = self.dialect().is_codec();
        let mut state = self.lock();
        state.writer.tap.add(session, speaks_codec, line);
        tapped.store(state.writer.tap.is_looked_at(), Relaxed);
    }

    /// The client has said something. `tapped` says whether anybody still looks.
    #[cfg(feature = "admin")]
    pub(crate) fn heard(&self, message: &Message, hidden: bool, tapped: &AtomicBool) {
        let mut state = self.lock();
        tapped.store(state.writer.tap.heard(message, hidden), Relaxed);
    }

    /// How many messages wait.
    pub(crate) fn frames(&self) -> usize {
        self.lock().writer.queue.frames()
    }

    /// Wakes the session's task, for it to look at what has changed.
    pub(crate) fn wake_task(&self) {
        let task = self.lock().task.clone();
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Accepts nothing more at all, and puts the close frame behind what waits, or in its place.
    pub(crate) fn seal(&self, close: Bytes, discard: bool) -> Discarded {
        let mut state = self.lock();
        state.phase = Phase::Sealed;
        let queue = &mut state.writer.queue;
        let lost = match discard {
            true => queue.discard(),
            false => Discarded::default(),
        };
        queue.set_close(close);
        lost
    }

    /// Holds back what is sent from this thread, until the guard is dropped and
    /// [`poll_write`](Self::poll_write) is called.
    /// With `shares`, frames made meanwhile are to share a buffer.
    pub(crate) fn cork(&self, shares: bool) -> Cork {
        Cork::begin(self.address(), shares)
    }

    fn is_corked(&self) -> bool {
        Cork::is_of(self.address())
    }

    /// Makes a frame, in the buffer of this turn where there is one.
    pub(crate) fn make<R>(&self, make: impl FnOnce(&mut BytesMut) -> R) -> R {
        Cork::make(self.address(), make)
    }

    /// The shard whose log it follows.
    pub(crate) fn shard(&self) -> u32 {
        self.log.shard()
    }

    /// What the client speaks.
    #[inline]
    pub(crate) fn dialect(&self) -> DialectId {
        self.log.dialect()
    }

    /// Its place in memory, by which it is known as long as it lives.
    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl<W: Sink> std::fmt::Debug for Outbox<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox")
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}
