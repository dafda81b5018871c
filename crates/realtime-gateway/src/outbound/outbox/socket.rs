//! The socket: how what waits is written to it, how its peer accepts that, and how it is given up.

use std::{
    io,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use super::Outbox;
use crate::{
    outbound::{
        queue::{Discarded, Dropped},
        writer::Pumped,
    },
    transport::{Lost, Sink},
};

/// How often one write makes the notice of a gap again because the gap has grown meanwhile.
const NOTICES: usize = 8;

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

impl<W: Sink> Outbox<W> {
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
