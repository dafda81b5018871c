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

mod rooms;

#[cfg(feature = "admin")]
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::{
    io, mem,
    ops::{Deref, DerefMut},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
#[cfg(feature = "admin")]
use realtime_core::{Message, SessionId};

pub(crate) use rooms::Followed;

use super::{
    batch::Batch,
    cork::Cork,
    cursor::Cursor,
    log::{Log, Reader},
    queue::{Discarded, Dropped, Queue, QueueLimits, WRITE_BYTES},
    room::Memberships,
    turnstile::Turnstile,
    writer::{Pumped, Writer},
};
#[cfg(feature = "admin")]
use crate::tap::Line;
use crate::{
    budget::Share,
    dialects::DialectId,
    metrics::{Metrics, Noted},
    sync::{Mutex, MutexGuard},
    transport::{Lost, Sink, SocketWriter},
};

/// Replies that take more than this and wait make the session stop making more of them.
pub(crate) const REPLY_BYTES: usize = 64 * 1024;
/// How often one write makes the notice of a gap again because the gap has grown meanwhile.
const NOTICES: usize = 8;

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

struct State<W> {
    writer: Writer<W>,
    /// Up to where it has read the log; nowhere before it joins and after it has left.
    cursor: Cursor,
    /// The rooms that the session is in, once there are some.
    rooms: Option<Box<Memberships>>,
    /// The session's task, once it has looked at the socket.
    task: Option<Waker>,
    phase: Phase,
    /// Where senders wait for room, once some have.
    turnstile: Option<Arc<Turnstile>>,
    /// A sender waits for room.
    room_wanted: bool,
}

/// What is still accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Everything.
    Open,
    /// The session has ended: only the answers to what came before.
    Ended,
    /// The close frame is in its place: nothing.
    Sealed,
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

/// How the peer accepts what is written to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Something waits that the socket doesn't accept for now.
    pub(crate) blocked: bool,
    /// The bytes that the socket has accepted so far.
    pub(crate) written: u64,
    /// How often it accepted nothing and then more.
    pub(crate) relieved: u32,
    /// A ping waits.
    pub(crate) ping_waits: bool,
}

/// The state under its lock, which keeps the books when it is let go of, also by a panic.
struct Locked<'o, W: Sink> {
    outbox: &'o Outbox<W>,
    state: MutexGuard<'o, State<W>>,
    noted: Noted,
}

impl<W: Sink> Deref for Locked<'_, W> {
    type Target = State<W>;

    fn deref(&self) -> &State<W> {
        &self.state
    }
}

impl<W: Sink> DerefMut for Locked<'_, W> {
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

    /// Offers a frame under the policy.
    pub(crate) fn push(&self, frame: Bytes) -> (Accepted, Result<(), Refused>) {
        let mut accepted = Accepted::default();
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return (accepted, Err(Refused::Closed));
        }
        state.read_log(&self.log, self.address(), &mut accepted);
        let offered = self.add(&mut state, frame, &mut accepted);
        (accepted, offered)
    }

    /// Accepts a frame only if nothing is lost by it and nobody waits for room already; else it is
    /// left where it is.
    pub(crate) fn push_if_room(&self, frame: &mut Bytes) -> (Accepted, Result<(), Refused>) {
        self.try_push(frame, false)
    }

    fn try_push(&self, frame: &mut Bytes, is_first: bool) -> (Accepted, Result<(), Refused>) {
        let mut accepted = Accepted::default();
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return (accepted, Err(Refused::Closed));
        }
        state.read_log(&self.log, self.address(), &mut accepted);
        let State {
            writer,
            task,
            turnstile,
            ..
        } = &mut *state;
        let others_wait = !is_first && turnstile.as_ref().is_some_and(|t| t.is_busy());
        if others_wait || !writer.has_room(task.as_ref(), frame.len()) {
            state.room_wanted = true;
            return (accepted, Err(Refused::Full));
        }
        let offered = self.add(&mut state, mem::take(frame), &mut accepted);
        (accepted, offered)
    }

    /// Accepts a frame as soon as nothing is lost by it, and those who came before have had their
    /// turn. Cancel safe. What is accepted meanwhile is passed to `count`.
    pub(crate) async fn push_wait(
        &self,
        mut frame: Bytes,
        mut count: impl FnMut(Accepted),
    ) -> Result<(), Refused> {
        let turnstile = {
            let mut state = self.lock();
            let turnstile = state
                .turnstile
                .get_or_insert_with(|| Arc::new(Turnstile::new()));
            Arc::clone(turnstile)
        };
        let pushed = turnstile.pass(|| {
            let (accepted, offered) = self.try_push(&mut frame, true);
            count(accepted);
            (offered != Err(Refused::Full)).then_some(offered)
        });
        pushed.await
    }

    fn add(
        &self,
        state: &mut State<W>,
        frame: Bytes,
        accepted: &mut Accepted,
    ) -> Result<(), Refused> {
        let corked = self.is_corked();
        if !corked && state.writer.is_clear() {
            return state.hand_over(std::slice::from_ref(&frame), Some(&frame), accepted);
        }
        let State { writer, task, .. } = state;
        let offered = writer.offer(task.as_ref(), frame, accepted);
        if !corked || writer.queue.bytes() >= WRITE_BYTES {
            writer.write_now(task.as_ref());
        }
        offered
    }

    /// Appends a reply, outside the policy. It is written with the next
    /// [`poll_write`](Self::poll_write). Returns whether so many wait that no more should be made
    /// for now.
    pub(crate) fn push_reply(&self, frame: Bytes) -> (Accepted, bool) {
        let mut accepted = Accepted::default();
        let mut state = self.lock();
        if state.phase != Phase::Sealed {
            state.read_log(&self.log, self.address(), &mut accepted);
            let frame = state.writer.settled(frame);
            state.writer.reply(frame);
            accepted.sent += 1;
        }
        (accepted, state.writer.queue.reply_memory() >= REPLY_BYTES)
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

    /// How the peer accepts what is written to it.
    pub(crate) fn progress(&self) -> Progress {
        let writer = &self.lock().writer;
        Progress {
            blocked: writer.blocked,
            written: writer.written,
            relieved: writer.relieved,
            ping_waits: writer.queue.has_ping(),
        }
    }

    /// Makes the next write ask the socket itself, before a peer is judged by what it has accepted.
    pub(crate) fn insist(&self) {
        if let Some(socket) = &mut self.lock().writer.socket {
            socket.insist();
        }
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

    /// Writes what waits, for the session's task, which is woken when the socket accepts more.
    ///
    /// `notice` makes the notice of a gap, which is written before any more data. Should more be
    /// dropped each time while it does so, the rest is in the next one.
    pub(crate) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        notice: impl Fn(u64) -> Bytes,
    ) -> Poll<io::Result<()>> {
        for notices in 0..=NOTICES {
            match self.pump(cx, notices < NOTICES)? {
                // Without the lock: it is a codec that makes it.
                Pumped::NoticeDue(missed) => {
                    let frame = notice(missed);
                    self.lock().writer.queue.set_notice(frame, missed);
                }
                Pumped::Done => return Poll::Ready(Ok(())),
                Pumped::Blocked => return Poll::Pending,
            }
        }
        // The last round makes no notice, so that it has returned.
        Poll::Pending
    }

    fn pump(&self, cx: &mut Context<'_>, notices: bool) -> io::Result<Pumped> {
        let mut state = self.lock();
        let known = |task: &Waker| task.will_wake(cx.waker());
        if !state.task.as_ref().is_some_and(known) {
            state.task = Some(cx.waker().clone());
        }
        state.writer.pump(cx, notices)
    }

    /// Ends the direction to the peer.
    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.lock().writer.socket {
            Some(socket) => socket.poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Gives up what waits, at once. What the socket has begun with must continue before anything
    /// else; where that is much, the socket is given up, too, and with `wholly` also where nothing
    /// behind it is left to give up.
    pub(crate) fn evict(&self, wholly: bool) -> Discarded {
        let mut state = self.lock();
        let queue = &mut state.writer.queue;
        let had_data = queue.frames() > 0;
        let mut lost = queue.discard();
        let is_stuck = queue.has_large_partial() || (wholly && !had_data);
        let mut socket = None;
        if is_stuck {
            let unsent;
            (socket, unsent) = state.give_up_socket();
            lost.unsent.add(unsent);
        }
        if let Some(socket) = &mut socket {
            socket.reset_when_dropped(Lost::Gone);
        }
        drop(state);
        // Without the lock: that closes the connection.
        drop(socket);
        lost
    }

    /// Has the connection reset once the socket is given up: its peer was lost.
    pub(crate) fn reset_when_released(&self, lost: Lost) {
        if let Some(socket) = &mut self.lock().writer.socket {
            socket.reset_when_dropped(lost);
        }
    }

    /// Gives up what waits, and the socket. The session has ended, though the application may keep
    /// it for as long as it likes. Returns what waited.
    pub(crate) fn release(&self) -> Dropped {
        let mut state = self.lock();
        let (mut socket, unsent) = state.give_up_socket();
        if let Some(socket) = &mut socket {
            socket.forget_soon();
        }
        drop(state.leave_log(&self.log, self.address()));
        let task = state.task.take();
        state.notify_waiting();
        drop(state);
        // Without the lock: that closes the connection.
        drop((socket, task));
        self.queued.forfeit();
        unsent
    }
}

impl<W: Sink> State<W> {
    #[inline]
    fn noted(&self) -> Noted {
        Noted::new(self.writer.queue.frames(), self.writer.written)
    }

    /// Reads what the log holds for the session, so that nothing overtakes it.
    fn read_log(&mut self, log: &Log, outbox: usize, accepted: &mut Accepted) {
        let cursor = self.cursor.place();
        let Some((frames, end)) = cursor.and_then(|place| log.read(place, self.reader(outbox)))
        else {
            return;
        };
        self.has_read(&frames, end, accepted);
    }

    fn has_read(&mut self, frames: &[Bytes], end: u64, accepted: &mut Accepted) {
        self.cursor = Cursor::at(end);
        let Self { writer, task, .. } = self;
        let _counted = writer.offer_all(task.as_ref(), frames, accepted);
    }

    /// Reads the log for the last time. Its rooms stay known, for those who must forget it there.
    fn leave_log(&mut self, log: &Log, outbox: usize) -> Vec<Bytes> {
        let place = std::mem::replace(&mut self.cursor, Cursor::NOWHERE).place();
        place.map_or_else(Vec::new, |place| log.leave(place, self.reader(outbox)))
    }

    fn reader(&self, outbox: usize) -> Reader<'_> {
        Reader {
            outbox,
            rooms: self.rooms.as_deref(),
        }
    }

    fn hand_over(
        &mut self,
        frames: &[Bytes],
        joined: Option<&[u8]>,
        accepted: &mut Accepted,
    ) -> Result<(), Refused> {
        let Self { writer, task, .. } = self;
        writer.hand_over(task.as_ref(), frames, joined, accepted)
    }

    fn notify_waiting(&self) {
        if let Some(turnstile) = &self.turnstile {
            turnstile.notify();
        }
    }

    fn give_up_socket(&mut self) -> (Option<W>, Dropped) {
        self.phase = Phase::Sealed;
        let queue = mem::replace(&mut self.writer.queue, Queue::new());
        (self.writer.socket.take(), queue.unsent())
    }
}

impl<W: Sink> std::fmt::Debug for Outbox<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox")
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}
