//! The queue and the socket behind it, for whoever holds the outbox's lock.

use std::{
    future::{self, Future},
    io::{self, IoSlice},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use tokio::{task::unconstrained, time::Instant};

use super::{Refused, Taken};
use crate::{
    session::queue::{Push, Queue, QueueLimits, WRITE_BYTES, WRITE_FRAMES},
    transport::Sink,
};

/// How many frames mostly wait at the most.
const FEW: usize = 4;

/// Writes to the socket, and keeps in the queue what it doesn't take.
pub(super) struct Pen<W> {
    pub(super) queue: Queue,
    /// `None` after the end: whoever keeps a session must not keep its socket.
    pub(super) writer: Option<W>,
    /// Since when the socket takes nothing of what waits.
    pub(super) blocked: Option<Instant>,
    limits: Arc<QueueLimits>,
    unflushed: bool,
    failed: Option<io::Error>,
}

/// What is left to do after a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pumped {
    /// Everything is written.
    Done,
    /// The socket takes no more for now; the session's task is woken when it does.
    Blocked,
    /// So many messages were dropped: tell the peer before any more data is written.
    TellGap(u64),
}

impl<W: Sink> Pen<W> {
    pub(super) fn new(writer: W, limits: Arc<QueueLimits>) -> Self {
        Self {
            queue: Queue::new(),
            writer: Some(writer),
            blocked: None,
            limits,
            unflushed: false,
            failed: None,
        }
    }

    /// Whether a write of the next frame would neither wait nor overtake anything.
    pub(super) fn is_clear(&self) -> bool {
        self.blocked.is_none()
            && self.failed.is_none()
            && !self.unflushed
            && self.writer.is_some()
            && self.queue.is_empty()
    }

    /// Hands over frames under the policy: to the socket where it takes them, else to the queue.
    /// `joined` is all of them in one piece, where there is one.
    ///
    /// `task` is the session's, once it has looked at the socket; before that, everything waits.
    pub(super) fn hand_over(
        &mut self,
        task: Option<&Waker>,
        frames: &[Bytes],
        joined: Option<&[u8]>,
        taken: &mut Taken,
    ) -> Result<(), Refused> {
        let Some(task) = task.filter(|_| self.is_clear()) else {
            let offered = self.offer_all(task, frames, taken);
            self.write_now(task);
            return offered;
        };
        let mut written = self.write_straight(task, frames, joined);
        if self.unflushed {
            self.write_now(Some(task));
        }
        for (at, frame) in frames.iter().enumerate() {
            if written == 0 {
                return self.offer_all(Some(task), &frames[at..], taken);
            }
            if frame.len() > written {
                self.queue.set_partial(frame.slice(written..));
            }
            written = written.saturating_sub(frame.len());
            taken.sent += 1;
        }
        Ok(())
    }

    /// Puts frames into the queue, under the policy. The result is that of the last.
    pub(super) fn offer_all(
        &mut self,
        task: Option<&Waker>,
        frames: &[Bytes],
        taken: &mut Taken,
    ) -> Result<(), Refused> {
        let mut offered = Ok(());
        for frame in frames {
            offered = self.offer(task, frame.clone(), taken);
            // Nobody else is told.
            taken.dropped += u64::from(offered == Err(Refused::Full));
        }
        offered
    }

    /// Puts a frame into the queue, under the policy.
    pub(super) fn offer(
        &mut self,
        task: Option<&Waker>,
        frame: Bytes,
        taken: &mut Taken,
    ) -> Result<(), Refused> {
        let _asked = self.has_room(task, frame.len());
        match self.queue.push(frame, *self.limits) {
            Push::Queued { dropped } => {
                taken.sent += 1;
                taken.dropped += dropped;
                Ok(())
            }
            Push::Dropped => {
                taken.dropped += 1;
                Err(Refused::Dropped)
            }
            Push::Full => {
                taken.full = true;
                Err(Refused::Full)
            }
        }
    }

    /// Whether nothing is lost by a frame of this size, after the socket was asked to take what
    /// waits.
    pub(super) fn has_room(&mut self, task: Option<&Waker>, bytes: usize) -> bool {
        if !self.queue.has_room(bytes, *self.limits) {
            self.write_now(task);
        }
        self.queue.has_room(bytes, *self.limits)
    }

    /// Writes what waits, unless it is known that the socket takes nothing.
    pub(super) fn write_now(&mut self, task: Option<&Waker>) {
        let Some(task) = task else { return };
        if self.blocked.is_some() || self.failed.is_some() {
            return;
        }
        match at_once(task, |cx| self.pump(cx, true)) {
            Some(Ok(Pumped::Done)) | None => {}
            // The task keeps the time of a peer that takes nothing, and tells it of gaps.
            Some(Ok(Pumped::Blocked | Pumped::TellGap(_))) => task.wake_by_ref(),
            Some(Err(error)) => self.fail(task, error),
        }
    }

    /// The session's task reports it.
    fn fail(&mut self, task: &Waker, error: io::Error) {
        self.failed = Some(error);
        task.wake_by_ref();
    }

    /// Writes frames past the empty queue. Returns how many bytes the socket took.
    fn write_straight(&mut self, task: &Waker, frames: &[Bytes], joined: Option<&[u8]>) -> usize {
        let Some(writer) = &mut self.writer else {
            return 0;
        };
        let total: usize = frames.iter().map(Bytes::len).sum();
        let mut written = 0;
        while written < total {
            let wrote = at_once(task, |cx| match joined {
                Some(joined) => writer.poll_write(cx, &[IoSlice::new(&joined[written..])]),
                None => {
                    let mut slices = [IoSlice::new(&[]); WRITE_FRAMES];
                    let count = slices_from(frames, written, &mut slices);
                    writer.poll_write(cx, &slices[..count])
                }
            });
            match wrote {
                Some(Poll::Ready(Ok(more @ 1..))) => {
                    written += more;
                    self.unflushed = !writer.is_unbuffered();
                }
                Some(Poll::Ready(Ok(0))) => {
                    self.fail(task, io::ErrorKind::WriteZero.into());
                    break;
                }
                Some(Poll::Ready(Err(error))) => {
                    self.fail(task, error);
                    break;
                }
                Some(Poll::Pending) | None => {
                    self.blocked = Some(Instant::now());
                    // It keeps the time of a peer that takes nothing.
                    task.wake_by_ref();
                    break;
                }
            }
        }
        written
    }

    /// Writes as much of the queue as the socket takes. With `tell`, it stops where the peer is to
    /// be told of a gap.
    pub(super) fn pump(&mut self, cx: &mut Context<'_>, tell: bool) -> io::Result<Pumped> {
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
            match writer.poll_write(cx, &slices[..count]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(taken)) => {
                    self.queue.advance(taken);
                    self.unflushed = !writer.is_unbuffered();
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

/// Polls something for the session's task, now and by whoever is here.
///
/// Whoever sends a lot in one turn has used up its budget of tokio's for that turn, and would find
/// every socket blocked, however fast its peer reads.
fn at_once<R>(task: &Waker, mut poll: impl FnMut(&mut Context<'_>) -> R) -> Option<R> {
    let polled = pin!(unconstrained(future::poll_fn(|cx| Poll::Ready(poll(cx)))));
    match polled.poll(&mut Context::from_waker(task)) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}
