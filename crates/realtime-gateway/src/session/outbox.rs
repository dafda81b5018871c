//! The one place from which a session's socket is written.
//!
//! Whoever has something for the peer takes the lock, takes what the shard's log holds for it,
//! and writes both at once and in order. What the socket doesn't take waits in the queue, and the
//! session's task goes on when the socket is writable again. So the queue holds something only
//! when the peer is slow.
//!
//! What the session's own handlers send is held back until its task has done what it can, so that
//! the answers to all that one read brought leave in one write.

mod cork;
mod pen;

use std::{
    io,
    sync::{Arc, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::queue::{Queue, QueueLimits, WRITE_BYTES};
use crate::{
    budget::Budget,
    hub::{Batch, Log},
    sync::{Mutex, Notify},
    transport::{Sink, Writer},
};

pub(crate) use cork::Cork;
use pen::{Pen, Pumped};

/// Replies beyond this wait make the session stop making more of them.
pub(crate) const REPLY_BYTES: usize = 64 * 1024;
/// How often one write makes the notice of a gap anew because the gap has grown meanwhile.
const NOTICES: usize = 8;

pub(crate) struct Outbox<W: Sink = Writer> {
    /// What waits in the queues of all sessions together.
    budget: Arc<Budget>,
    /// What is broadcast to the session's shard.
    log: Arc<Log>,
    state: Mutex<State<W>>,
    /// Notified whenever there is room again.
    room: Notify,
}

struct State<W> {
    pen: Pen<W>,
    /// Up to where it has got the log; `None` before it joins and after it has left.
    cursor: Option<u64>,
    /// The session's task, once it has looked at the socket.
    task: Option<Waker>,
    /// Nothing more is taken from outside.
    sealed: bool,
    /// Somebody waits for room.
    room_wanted: bool,
}

/// Why a frame was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The session is closing.
    Sealed,
    /// Dropped by the policy.
    Dropped,
    /// No room, and the policy says to close.
    Full,
}

/// What became of messages that were handed over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Written or queued.
    pub(crate) sent: u64,
    /// Dropped by the policy, these or older ones.
    pub(crate) dropped: u64,
    /// There was no room, and the policy says to close.
    pub(crate) full: bool,
}

impl<W: Sink> Outbox<W> {
    pub(crate) fn new(
        writer: W,
        limits: Arc<QueueLimits>,
        budget: Arc<Budget>,
        log: Arc<Log>,
    ) -> Self {
        let state = State {
            pen: Pen::new(writer, limits),
            cursor: None,
            task: None,
            sealed: false,
            room_wanted: false,
        };
        Self {
            budget,
            log,
            state: Mutex::new(state),
            room: Notify::new(),
        }
    }

    /// Does something under the lock, and keeps the books of the budget.
    fn with<R>(&self, act: impl FnOnce(&mut State<W>) -> R) -> R {
        // No code of a user's runs under this lock but for a host's own stream, which a broken
        // session may be left with: a queue is still better served than its session lost to a
        // second panic.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.pen.queue.bytes();
        let result = act(&mut state);
        let after = state.pen.queue.bytes();
        self.budget.moved(before, after);
        if after < before && std::mem::take(&mut state.room_wanted) {
            self.room.notify_waiters();
        }
        result
    }

    /// Follows the log from here on.
    pub(crate) fn join(&self) {
        self.with(|state| {
            if !state.sealed && state.cursor.is_none() {
                state.cursor = Some(self.log.join());
            }
        });
    }

    /// Takes what the log still holds for it, and follows it no longer.
    pub(crate) fn leave(&self) -> Taken {
        let mut taken = Taken::default();
        self.with(|state| {
            let Some(cursor) = state.cursor.take() else {
                return;
            };
            let frames = self.log.leave(cursor);
            if !frames.is_empty() {
                let _counted = state.hand_over(&frames, None, &mut taken);
            }
        });
        taken
    }

    /// Takes a round of the dispatcher, or what of it the session hasn't got yet.
    pub(crate) fn catch_up(&self, batch: &Batch) -> Taken {
        let mut taken = Taken::default();
        self.with(|state| {
            let Some(cursor) = state.cursor.filter(|cursor| *cursor < batch.end()) else {
                return;
            };
            state.cursor = Some(batch.end());
            let frames = batch.after(cursor);
            let _counted = state.hand_over(frames, batch.joined_after(cursor), &mut taken);
        });
        taken
    }

    /// Offers a frame under the policy.
    pub(crate) fn push(&self, frame: Bytes) -> (Taken, Result<(), Refused>) {
        let mut taken = Taken::default();
        let offered = self.with(|state| {
            if state.sealed {
                return Err(Refused::Sealed);
            }
            state.read_log(&self.log, &mut taken);
            self.add(state, frame, &mut taken)
        });
        (taken, offered)
    }

    /// Takes a frame as soon as nothing is lost by it. Cancel safe. What is taken meanwhile is
    /// told to `count`.
    pub(crate) async fn push_wait(
        &self,
        mut frame: Bytes,
        mut count: impl FnMut(Taken),
    ) -> Result<(), Refused> {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            // Registers before it looks, so that room made between the two is not missed.
            room.as_mut().enable();
            let (taken, offered) = self.push_if_room(&mut frame);
            count(taken);
            match offered {
                Err(Refused::Full) => room.await,
                offered => return offered,
            }
        }
    }

    /// Takes a frame only if nothing is lost by it; else it is left where it is.
    pub(crate) fn push_if_room(&self, frame: &mut Bytes) -> (Taken, Result<(), Refused>) {
        let mut taken = Taken::default();
        let offered = self.with(|state| {
            if state.sealed {
                return Err(Refused::Sealed);
            }
            state.read_log(&self.log, &mut taken);
            let State { pen, task, .. } = state;
            if !pen.has_room(task.as_ref(), frame.len()) {
                state.room_wanted = true;
                return Err(Refused::Full);
            }
            self.add(state, std::mem::take(frame), &mut taken)
        });
        (taken, offered)
    }

    fn add(&self, state: &mut State<W>, frame: Bytes, taken: &mut Taken) -> Result<(), Refused> {
        let corked = self.is_corked();
        if !corked && state.pen.is_clear() {
            return state.hand_over(std::slice::from_ref(&frame), Some(&frame), taken);
        }
        let State { pen, task, .. } = state;
        let offered = pen.offer(task.as_ref(), frame, taken);
        if !corked || pen.queue.bytes() >= WRITE_BYTES {
            pen.write_now(task.as_ref());
        }
        offered
    }

    /// Appends a reply, outside the policy. It is written with the next
    /// [`poll_write`](Self::poll_write). Returns whether so many wait that no more should be made
    /// for now.
    pub(crate) fn push_reply(&self, frame: Bytes) -> (Taken, bool) {
        let mut taken = Taken::default();
        let full = self.with(|state| {
            if !state.sealed {
                state.read_log(&self.log, &mut taken);
                state.pen.queue.push_reply(frame);
            }
            state.pen.queue.reply_bytes() >= REPLY_BYTES
        });
        (taken, full)
    }

    pub(crate) fn set_pong(&self, frame: Bytes) {
        self.with(|state| {
            let State { pen, task, .. } = state;
            // One pong waits at the most. A peer that reads gets every one.
            if pen.queue.has_pong() {
                pen.write_now(task.as_ref());
            }
            pen.queue.set_pong(frame);
        });
    }

    pub(crate) fn set_ping(&self, frame: Bytes) {
        self.with(|state| state.pen.queue.set_ping(frame));
    }

    /// Messages were lost elsewhere: the peer is told before its next data.
    pub(crate) fn note_missed(&self, messages: u64) {
        self.with(|state| {
            // Nothing follows a close frame.
            if !state.sealed {
                state.pen.queue.note_missed(messages);
            }
        });
        self.wake_task();
    }

    /// Whether so many replies wait that no more should be made for now.
    pub(crate) fn is_full_of_replies(&self) -> bool {
        self.with(|state| state.pen.queue.reply_bytes() >= REPLY_BYTES)
    }

    /// The bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.with(|state| state.pen.queue.bytes())
    }

    /// Since when the peer takes nothing of what waits for it.
    pub(crate) fn blocked_since(&self) -> Option<Instant> {
        self.with(|state| state.pen.blocked)
    }

    /// Wakes the session's task, for it to look at what has changed.
    pub(crate) fn wake_task(&self) {
        if let Some(task) = self.with(|state| state.task.clone()) {
            task.wake();
        }
    }

    /// Takes nothing more from outside, and puts the close frame behind what waits, or in its
    /// place. Returns how many messages were discarded.
    pub(crate) fn seal(&self, close: Bytes, discard: bool) -> usize {
        let lost = self.with(|state| {
            state.sealed = true;
            let queue = &mut state.pen.queue;
            let lost = if discard { queue.discard() } else { 0 };
            queue.set_close(close);
            lost
        });
        self.room.notify_waiters();
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

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Writes what waits, for the session's task, which is woken when the socket takes more.
    ///
    /// `tell` makes the notice of a gap, which is written before any more data. Should more be
    /// dropped each time while it does so, the rest is told with the next one.
    pub(crate) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        tell: impl Fn(u64) -> Bytes,
    ) -> Poll<io::Result<()>> {
        for notices in 0..=NOTICES {
            match self.pump(cx, notices < NOTICES)? {
                // Without the lock: it is a codec that makes it.
                Pumped::TellGap(missed) => {
                    let notice = tell(missed);
                    self.with(|state| state.pen.queue.set_notice(notice, missed));
                }
                Pumped::Done => return Poll::Ready(Ok(())),
                Pumped::Blocked => return Poll::Pending,
            }
        }
        // The last round tells nothing, so that it has returned.
        Poll::Pending
    }

    fn pump(&self, cx: &mut Context<'_>, tell: bool) -> io::Result<Pumped> {
        self.with(|state| {
            if !state
                .task
                .as_ref()
                .is_some_and(|task| task.will_wake(cx.waker()))
            {
                state.task = Some(cx.waker().clone());
            }
            state.pen.pump(cx, tell)
        })
    }

    /// Ends the direction to the peer.
    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|state| match &mut state.pen.writer {
            Some(writer) => writer.poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        })
    }

    /// Gives up what waits, at once. What the socket has begun with must go on before anything
    /// else; where that is much, the socket is given up, too. Returns how many messages were lost.
    pub(crate) fn evict(&self) -> usize {
        // Dropped without the lock: that closes the connection.
        let (lost, _released) = self.with(|state| {
            let queue = &mut state.pen.queue;
            let lost = queue.discard();
            let cut = queue.has_large_partial();
            if cut {
                state.sealed = true;
                *queue = Queue::new();
            }
            (lost, cut.then(|| state.pen.writer.take()))
        });
        self.room.notify_waiters();
        lost
    }

    /// Gives up what waits, and the socket. The session has ended, though the application may keep
    /// it for as long as it likes.
    pub(crate) fn release(&self) {
        // Dropped without the lock: that closes the connection.
        let _released = self.with(|state| {
            state.sealed = true;
            state.pen.queue = Queue::new();
            if let Some(cursor) = state.cursor.take() {
                self.log.leave(cursor);
            }
            (state.pen.writer.take(), state.task.take())
        });
        self.room.notify_waiters();
    }
}

impl<W: Sink> State<W> {
    /// Takes what the log holds for the session, so that nothing overtakes it.
    fn read_log(&mut self, log: &Log, taken: &mut Taken) {
        let Some((frames, end)) = self.cursor.and_then(|cursor| log.read(cursor)) else {
            return;
        };
        self.cursor = Some(end);
        let Self { pen, task, .. } = self;
        let _counted = pen.offer_all(task.as_ref(), &frames, taken);
    }

    fn hand_over(
        &mut self,
        frames: &[Bytes],
        joined: Option<&[u8]>,
        taken: &mut Taken,
    ) -> Result<(), Refused> {
        let Self { pen, task, .. } = self;
        pen.hand_over(task.as_ref(), frames, joined, taken)
    }
}

impl<W: Sink> Drop for Outbox<W> {
    fn drop(&mut self) {
        self.with(|state| state.pen.queue = Queue::new());
    }
}

impl<W: Sink> std::fmt::Debug for Outbox<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox")
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}
