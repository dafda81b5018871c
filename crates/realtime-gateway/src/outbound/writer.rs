//! The queue and the socket behind it, under the outbox's lock.

use std::{
    io::{self, IoSlice},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use super::{
    outbox::{Accepted, Refused},
    queue::{Dropped, Push, Queue, QueueLimits, WRITE_BYTES, WRITE_FRAMES},
};
use crate::{tap::TapPoint, transport::Sink};

/// How many frames mostly wait at the most.
const FEW: usize = 4;
/// Smaller ones mostly lie in a buffer that is larger than they are.
const SMALL: usize = 1024;

/// Writes to the socket, and keeps in the queue what the socket doesn't accept.
pub(super) struct Writer<W> {
    pub(super) queue: Queue,
    /// `None` after the end: a session that is kept must not keep its socket.
    pub(super) socket: Option<W>,
    /// The socket accepts nothing of what waits, for now.
    pub(super) blocked: bool,
    /// The bytes that the socket has accepted so far.
    pub(super) written: u64,
    /// How often it accepted nothing and then more.
    pub(super) relieved: u32,
    /// Who looks at what is written.
    pub(super) tap: TapPoint,
    limits: Arc<QueueLimits>,
    unflushed: bool,
    failed: Option<io::Error>,
}

/// What is left to do after a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pumped {
    /// Everything is written.
    Done,
    /// The socket accepts no more for now; the session's task is woken when it does.
    Blocked,
    /// So many messages were dropped: report it to the peer before any more data is written.
    NoticeDue(u64),
}

impl<W: Sink> Writer<W> {
    pub(super) fn new(socket: W, limits: Arc<QueueLimits>) -> Self {
        Self {
            queue: Queue::new(),
            socket: Some(socket),
            blocked: false,
            written: 0,
            relieved: 0,
            tap: TapPoint::default(),
            limits,
            unflushed: false,
            failed: None,
        }
    }

    /// Whether a write of the next frame would neither wait nor overtake anything.
    pub(super) fn is_clear(&self) -> bool {
        !self.blocked
            && self.failed.is_none()
            && !self.unflushed
            && self.socket.is_some()
            && self.queue.is_empty()
    }

    /// Hands over frames under the policy: to the socket where it accepts them, else to the queue.
    /// `joined` is all of them in one piece, where there is one.
    ///
    /// `task` is the session's, once it has looked at the socket; before that, everything waits.
    pub(super) fn hand_over(
        &mut self,
        task: Option<&Waker>,
        frames: &[Bytes],
        joined: Option<&[u8]>,
        accepted: &mut Accepted,
    ) -> Result<(), Refused> {
        let Some(task) = task.filter(|_| self.is_clear()) else {
            let offered = self.offer_all(task, frames, accepted);
            self.write_now(task);
            return offered;
        };
        let mut written = self.write_straight(task, frames, joined);
        if self.unflushed {
            self.write_now(Some(task));
        }
        for (at, frame) in frames.iter().enumerate() {
            if written == 0 {
                return self.offer_all(Some(task), &frames[at..], accepted);
            }
            let copied = self.tap.copy(frame);
            self.tap.sent(copied);
            if frame.len() > written {
                self.queue.set_partial(frame.slice(written..));
            }
            written = written.saturating_sub(frame.len());
            accepted.sent += 1;
        }
        Ok(())
    }

    /// Puts frames into the queue, under the policy. The result is that of the last.
    pub(super) fn offer_all(
        &mut self,
        task: Option<&Waker>,
        frames: &[Bytes],
        accepted: &mut Accepted,
    ) -> Result<(), Refused> {
        let mut offered = Ok(());
        for frame in frames {
            offered = self.offer(task, frame.clone(), accepted);
            // No caller receives this error.
            if offered == Err(Refused::Full) {
                accepted.dropped.add(Dropped::new(1, frame.len()));
            }
        }
        offered
    }

    /// Puts a frame into the queue, under the policy.
    pub(super) fn offer(
        &mut self,
        task: Option<&Waker>,
        frame: Bytes,
        accepted: &mut Accepted,
    ) -> Result<(), Refused> {
        if !self.queue.has_room(frame.len(), *self.limits) {
            self.write_now(task);
        }
        let frame = self.settled(frame);
        let copied = self.tap.copy(&frame);
        let (before, bytes) = (self.queue.policy_bytes(), frame.len());
        match self.queue.push(frame, *self.limits) {
            Push::Queued { dropped } => {
                self.tap.sent(copied);
                accepted.sent += 1;
                if dropped > 0 {
                    let lost = before + bytes - self.queue.policy_bytes();
                    accepted.dropped.add(Dropped::new(dropped, lost));
                }
                Ok(())
            }
            Push::Dropped => {
                accepted.dropped.add(Dropped::new(1, bytes));
                Err(Refused::Dropped)
            }
            Push::Full => {
                accepted.full = true;
                Err(Refused::Full)
            }
        }
    }

    /// Puts an answer into the queue.
    pub(super) fn reply(&mut self, frame: Bytes) {
        let copied = self.tap.copy(&frame);
        self.tap.sent(copied);
        self.queue.push_reply(frame);
    }

    /// A frame in a place of its size, where it has to wait there and nobody else has it.
    pub(super) fn settled(&self, frame: Bytes) -> Bytes {
        if self.blocked && frame.len() < SMALL && frame.is_unique() {
            return Bytes::copy_from_slice(&frame);
        }
        frame
    }

    /// Whether nothing is lost by a frame of this size, after the socket was offered what
    /// waits.
    pub(super) fn has_room(&mut self, task: Option<&Waker>, bytes: usize) -> bool {
        if self.queue.has_room(bytes, *self.limits) {
            return true;
        }
        self.write_now(task);
        self.queue.has_room(bytes, *self.limits)
    }

    /// Writes what waits, unless it is known that the socket accepts nothing.
    pub(super) fn write_now(&mut self, task: Option<&Waker>) {
        let Some(task) = task else { return };
        if self.blocked || self.failed.is_some() {
            return;
        }
        match self.pump(&mut Context::from_waker(task), true) {
            Ok(Pumped::Done) => {}
            // The task keeps the time of a peer that reads nothing, and notifies it of gaps.
            Ok(Pumped::Blocked | Pumped::NoticeDue(_)) => task.wake_by_ref(),
            Err(error) => self.fail(task, error),
        }
    }

    /// The session's task reports it.
    fn fail(&mut self, task: &Waker, error: io::Error) {
        self.failed = Some(error);
        task.wake_by_ref();
    }

    /// Writes frames past the empty queue. Returns how many bytes the socket accepted.
    fn write_straight(&mut self, task: &Waker, frames: &[Bytes], joined: Option<&[u8]>) -> usize {
        let Some(socket) = &mut self.socket else {
            return 0;
        };
        let total: usize = frames.iter().map(Bytes::len).sum();
        let mut cx = Context::from_waker(task);
        let mut written = 0;
        while written < total {
            let wrote = match joined {
                Some(joined) => socket.poll_write(&mut cx, &[IoSlice::new(&joined[written..])]),
                None => {
                    let mut slices = [IoSlice::new(&[]); WRITE_FRAMES];
                    let count = slices_from(frames, written, &mut slices);
                    socket.poll_write(&mut cx, &slices[..count])
                }
            };
            match wrote {
                Poll::Ready(Ok(more @ 1..)) => {
                    written += more;
                    self.unflushed = !socket.is_unbuffered();
                }
                Poll::Ready(Ok(0)) => {
                    self.fail(task, io::ErrorKind::WriteZero.into());
                    break;
                }
                Poll::Ready(Err(error)) => {
                    self.fail(task, error);
                    break;
                }
                Poll::Pending => {
                    self.blocked = true;
                    // It keeps the time of a peer that reads nothing.
                    task.wake_by_ref();
                    break;
                }
            }
        }
        self.written += written as u64;
        written
    }

    /// Writes as much of the queue as the socket accepts. With `notices`, it stops where a gap is
    /// to be reported to the peer.
    pub(super) fn pump(&mut self, cx: &mut Context<'_>, notices: bool) -> io::Result<Pumped> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let Some(socket) = &mut self.socket else {
            return Ok(Pumped::Done);
        };
        loop {
            if let (Some(missed), true) = (self.queue.notice_due(), notices) {
                return Ok(Pumped::NoticeDue(missed));
            }
            if self.queue.is_empty() {
                break;
            }
            // Room for many is cleared only where there are many.
            let (mut few, mut many);
            let slices = if self.queue.frames() <= FEW {
                few = [IoSlice::new(&[]); FEW];
                &mut few[..]
            } else {
                many = [IoSlice::new(&[]); WRITE_FRAMES];
                &mut many[..]
            };
            let count = self.queue.slices(slices);
            if count == 0 {
                break;
            }
            match socket.poll_write(cx, &slices[..count]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    self.relieved = self.relieved.wrapping_add(self.blocked.into());
                    self.queue.advance(written);
                    self.written += written as u64;
                    self.unflushed = !socket.is_unbuffered();
                    self.blocked = false;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {
                    self.blocked = true;
                    return Ok(Pumped::Blocked);
                }
            }
        }
        if self.unflushed {
            match socket.poll_flush(cx) {
                Poll::Ready(flushed) => {
                    flushed?;
                    self.unflushed = false;
                }
                Poll::Pending => {
                    self.blocked = true;
                    return Ok(Pumped::Blocked);
                }
            }
        }
        self.blocked = false;
        Ok(Pumped::Done)
    }
}

/// The next slices of frames of which so many bytes are written.
fn slices_from<'f>(
    frames: &'f [Bytes],
    mut written: usize,
    slices: &mut [IoSlice<'f>; WRITE_FRAMES],
) -> usize {
    let (mut count, mut bytes) = (0, 0);
    for frame in frames {
        if frame.len() <= written {
            written -= frame.len();
            continue;
        }
        if count == slices.len() || bytes >= WRITE_BYTES {
            break;
        }
        slices[count] = IoSlice::new(&frame[written..]);
        bytes += frame.len() - written;
        (count, written) = (count + 1, 0);
    }
    count
}
