//! The one place from which a session's socket is written.
//!
//! Whoever has something for the peer takes the lock, puts it into the queue and writes what the
//! socket takes, at once and in order. What it doesn't take waits in the queue, and the session's
//! task goes on when the socket is writable again. So the queue holds something only when the
//! peer is slow.

use std::{
    future::{self, Future},
    io::{self, IoSlice},
    pin::pin,
    sync::{Arc, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use tokio::{task::unconstrained, time::Instant};

use super::queue::{Push, Queue, QueueLimits, WRITE_FRAMES};
use crate::{
    budget::Budget,
    sync::{Mutex, Notify},
    transport::{Sink, Writer},
};

/// Replies beyond this wait make the session stop making more of them.
pub(crate) const REPLY_BYTES: usize = 64 * 1024;
/// How often one write makes the notice of a gap anew because the gap has grown meanwhile.
const NOTICES: usize = 8;

pub(crate) struct Outbox<W: Sink = Writer> {
    limits: QueueLimits,
    /// What waits in the queues of all sessions together.
    budget: Arc<Budget>,
    state: Mutex<State<W>>,
    /// Notified whenever there is room again.
    room: Notify,
}

struct State<W> {
    queue: Queue,
    /// `None` after the end: whoever keeps a session must not keep its socket.
    writer: Option<W>,
    /// The session's task, once it has looked at the socket.
    task: Option<Waker>,
    /// Since when the socket takes nothing of what waits.
    blocked: Option<Instant>,
    unflushed: bool,
    /// Nothing more is taken from outside.
    sealed: bool,
    failed: Option<io::Error>,
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

/// What is left to do after a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pumped {
    /// Everything is written.
    Done,
    /// The socket takes no more for now; the session's task is woken when it does.
    Blocked,
    /// So many messages were dropped: tell the peer before any more data is written.
    TellGap(u64),
}

impl<W: Sink> Outbox<W> {
    pub(crate) fn new(writer: W, limits: QueueLimits, budget: Arc<Budget>) -> Self {
        let state = State {
            queue: Queue::new(),
            writer: Some(writer),
            task: None,
            blocked: None,
            unflushed: false,
            sealed: false,
            failed: None,
        };
        Self {
            limits,
            budget,
            state: Mutex::new(state),
            room: Notify::new(),
        }
    }

    /// Does something under the lock, and keeps the books of the budget.
    fn with<R>(&self, act: impl FnOnce(&mut State<W>) -> R) -> R {
        // No code of a user's runs under this lock, and ours doesn't panic; if it ever did, a
        // queue is still better served than its session lost to a second panic.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.queue.bytes();
        let result = act(&mut state);
        let after = state.queue.bytes();
        self.budget.moved(before, after);
        if after < before {
            self.room.notify_waiters();
        }
        result
    }

    /// Offers a frame under the policy. Returns how many older ones were dropped for it.
    pub(crate) fn push(&self, frame: Bytes) -> Result<u64, Refused> {
        self.with(|state| {
            if state.sealed {
                return Err(Refused::Sealed);
            }
            match state.queue.push(frame, self.limits) {
                Push::Queued { dropped } => {
                    state.write_now();
                    Ok(dropped)
                }
                Push::Dropped => Err(Refused::Dropped),
                Push::Full => Err(Refused::Full),
            }
        })
    }

    /// Takes a frame as soon as nothing is lost by it. Cancel safe.
    pub(crate) async fn push_wait(&self, frame: &Bytes) -> Result<(), Refused> {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            // Registers before it looks, so that room made between the two is not missed.
            room.as_mut().enable();
            match self.push_if_room(frame) {
                Err(Refused::Full) => room.await,
                taken => return taken,
            }
        }
    }

    /// Takes a frame only if nothing is lost by it.
    fn push_if_room(&self, frame: &Bytes) -> Result<(), Refused> {
        self.with(|state| {
            if state.sealed {
                return Err(Refused::Sealed);
            }
            if !state.queue.has_room(frame.len(), self.limits) {
                return Err(Refused::Full);
            }
            state.queue.push(frame.clone(), self.limits);
            state.write_now();
            Ok(())
        })
    }

    /// Appends a reply, outside the policy. It is written with the next [`poll_write`](Self::poll_write), so
    /// that the replies to all frames of one read leave together.
    pub(crate) fn push_reply(&self, frame: Bytes) {
        self.with(|state| {
            if !state.sealed {
                state.queue.push_reply(frame);
            }
        });
    }

    pub(crate) fn set_pong(&self, frame: Bytes) {
        self.with(|state| {
            // One pong waits at the most. A peer that reads gets every one.
            if state.queue.has_pong() {
                state.write_now();
            }
            state.queue.set_pong(frame);
        });
    }

    pub(crate) fn set_ping(&self, frame: Bytes) {
        self.with(|state| state.queue.set_ping(frame));
    }

    /// Messages were lost elsewhere: the peer is told before its next data.
    pub(crate) fn note_missed(&self, messages: u64) {
        self.with(|state| {
            // Nothing follows a close frame.
            if !state.sealed {
                state.queue.note_missed(messages);
            }
        });
        self.wake_task();
    }

    /// Whether so many replies wait that no more should be made for now.
    pub(crate) fn is_full_of_replies(&self) -> bool {
        self.with(|state| state.queue.reply_bytes() >= REPLY_BYTES)
    }

    /// The bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.with(|state| state.queue.bytes())
    }

    /// Since when the peer takes nothing of what waits for it.
    pub(crate) fn blocked_since(&self) -> Option<Instant> {
        self.with(|state| state.blocked)
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
            let lost = if discard { state.queue.discard() } else { 0 };
            state.queue.set_close(close);
            lost
        });
        self.room.notify_waiters();
        lost
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
                    self.with(|state| state.queue.set_notice(notice, missed));
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
            state.pump(cx, tell)
        })
    }

    /// Ends the direction to the peer.
    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|state| match &mut state.writer {
            Some(writer) => writer.poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        })
    }

    /// Gives up what waits, at once. What the socket has begun with must go on before anything
    /// else; where that is much, the socket is given up, too. Returns how many messages were lost.
    pub(crate) fn evict(&self) -> usize {
        // Dropped without the lock: that closes the connection.
        let (lost, _released) = self.with(|state| {
            let lost = state.queue.discard();
            let cut = state.queue.has_large_partial();
            if cut {
                state.sealed = true;
                state.queue = Queue::new();
            }
            (lost, cut.then(|| state.writer.take()))
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
            state.queue = Queue::new();
            (state.writer.take(), state.task.take())
        });
        self.room.notify_waiters();
    }
}

impl<W: Sink> Drop for Outbox<W> {
    fn drop(&mut self) {
        self.with(|state| state.queue = Queue::new());
    }
}

impl<W: Sink> State<W> {
    /// Writes at once, unless it is known that the socket takes nothing.
    fn write_now(&mut self) {
        let Some(task) = self.task.clone() else {
            return;
        };
        if self.blocked.is_some() || self.failed.is_some() {
            return;
        }
        // Whoever sends a lot in one turn has used up its budget of tokio's for that turn, and
        // would find every socket blocked, however fast its peer reads.
        let written = {
            let written = unconstrained(future::poll_fn(|cx| Poll::Ready(self.pump(cx, true))));
            pin!(written).poll(&mut Context::from_waker(&task))
        };
        let Poll::Ready(written) = written else {
            return;
        };
        match written {
            Ok(Pumped::Done) => {}
            // The task keeps the time of a peer that takes nothing, and tells it of gaps.
            Ok(Pumped::Blocked | Pumped::TellGap(_)) => task.wake(),
            Err(error) => {
                // The session's task reports it.
                self.failed = Some(error);
                task.wake();
            }
        }
    }

    fn pump(&mut self, cx: &mut Context<'_>, tell: bool) -> io::Result<Pumped> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let Some(writer) = &mut self.writer else {
            return Ok(Pumped::Done);
        };
        loop {
            if let (Some(missed), true) = (self.queue.notice_due(), tell) {
                return Ok(Pumped::TellGap(missed));
            }
            let mut slices = [IoSlice::new(&[]); WRITE_FRAMES];
            let count = self.queue.slices(&mut slices);
            if count == 0 {
                break;
            }
            match writer.poll_write(cx, &slices[..count]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(taken)) => {
                    self.queue.advance(taken);
                    self.unflushed = true;
                    self.blocked = None;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {
                    self.blocked.get_or_insert_with(Instant::now);
                    return Ok(Pumped::Blocked);
                }
            }
        }
        if self.unflushed {
            match writer.poll_flush(cx) {
                Poll::Ready(flushed) => {
                    flushed?;
                    self.unflushed = false;
                }
                Poll::Pending => {
                    self.blocked.get_or_insert_with(Instant::now);
                    return Ok(Pumped::Blocked);
                }
            }
        }
        self.blocked = None;
        Ok(Pumped::Done)
    }
}

impl<W: Sink> std::fmt::Debug for Outbox<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox")
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}
