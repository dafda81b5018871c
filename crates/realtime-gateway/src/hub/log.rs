//! The broadcasts that not every session of a shard has got yet: short, bounded, in order.
//!
//! Each session has a cursor into it. Whoever writes to a session, the shard's dispatcher or a
//! sender, first takes what the log holds behind the session's cursor. So what one task
//! broadcasts and sends arrives in that order, and what waits leaves in one write.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::PoisonError,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use super::batch::Batch;
use crate::sync::{AtomicU64, Mutex, MutexGuard, Notify, Ordering};

/// How many messages it holds. No more than a session's queue holds by default, so that a burst
/// which a broadcaster makes at once is no reason to drop anything.
const MESSAGES: usize = 128;
/// How many bytes it holds. A single larger message is taken while it is empty.
const BYTES: usize = 1024 * 1024;

/// The log of one shard.
#[derive(Debug)]
pub(crate) struct Log {
    state: Mutex<State>,
    /// The position behind the last message, for a look without the lock.
    head: AtomicU64,
    /// Notified whenever there is room again.
    room: Notify,
}

#[derive(Debug)]
struct State {
    frames: VecDeque<Bytes>,
    /// The position of the first of them.
    first: u64,
    bytes: usize,
    /// How many sessions there are whom a message concerns.
    readers: usize,
    /// The dispatcher, while it waits for something to do.
    dispatcher: Option<Waker>,
}

impl State {
    fn head(&self) -> u64 {
        self.first + self.frames.len() as u64
    }

    fn is_full_for(&self, bytes: usize) -> bool {
        !self.frames.is_empty()
            && (self.frames.len() >= MESSAGES || self.bytes.saturating_add(bytes) > BYTES)
    }

    fn since(&self, cursor: u64) -> impl Iterator<Item = &Bytes> {
        let from = usize::try_from(cursor.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.frames.iter().skip(from)
    }
}

impl Log {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                frames: VecDeque::new(),
                first: 0,
                bytes: 0,
                readers: 0,
                dispatcher: None,
            }),
            head: AtomicU64::new(0),
            room: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more reader, for whom the log begins here.
    pub(crate) fn join(&self) -> u64 {
        let mut state = self.state();
        state.readers += 1;
        state.head()
    }

    /// One reader less. Returns what it had not got.
    pub(crate) fn leave(&self, cursor: u64) -> Vec<Bytes> {
        let mut state = self.state();
        state.readers -= 1;
        state.since(cursor).cloned().collect()
    }

    /// What is behind a reader's cursor, and where the cursor is then.
    pub(crate) fn read(&self, cursor: u64) -> Option<(Vec<Bytes>, u64)> {
        if self.head.load(Ordering::Acquire) <= cursor {
            return None;
        }
        let state = self.state();
        Some((state.since(cursor).cloned().collect(), state.head()))
    }

    /// Appends a message, as soon as there is room. Returns how many readers will get it.
    ///
    /// Cancel safe: dropped while it waits, the message isn't in the log.
    pub(crate) async fn append(&self, frame: &Bytes) -> usize {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            // Registers before it looks, so that room made between the two is not missed.
            room.as_mut().enable();
            match self.append_if_room(frame) {
                Some(readers) => return readers,
                None => room.await,
            }
        }
    }

    fn append_if_room(&self, frame: &Bytes) -> Option<usize> {
        let (readers, dispatcher) = {
            let mut state = self.state();
            if state.readers == 0 {
                return Some(0);
            }
            if state.is_full_for(frame.len()) {
                return None;
            }
            state.frames.push_back(frame.clone());
            state.bytes += frame.len();
            self.head.store(state.head(), Ordering::Release);
            (state.readers, state.dispatcher.take())
        };
        if let Some(dispatcher) = dispatcher {
            dispatcher.wake();
        }
        Some(readers)
    }

    /// Everything that is in the log, as soon as there is something. It stays in the log until it
    /// is [`release`](Self::release)d, for others to read meanwhile.
    pub(crate) async fn take(&self) -> Batch {
        poll_fn(|cx| self.poll_take(cx)).await
    }

    fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Batch> {
        let mut state = self.state();
        if state.frames.is_empty() {
            state.dispatcher = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let (first, frames) = (state.first, state.frames.iter().cloned().collect());
        drop(state);
        Poll::Ready(Batch::new(first, frames))
    }

    /// Every reader has got this.
    pub(crate) fn release(&self, batch: &Batch) {
        let mut state = self.state();
        while state.first < batch.end()
            && let Some(frame) = state.frames.pop_front()
        {
            state.first += 1;
            state.bytes -= frame.len();
        }
        drop(state);
        self.room.notify_waiters();
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use std::pin::pin;

    use futures::FutureExt;

    use super::*;

    fn frame(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    #[test]
    fn readers_get_what_came_after_them() {
        let log = Log::new();
        assert_eq!(log.append(&frame("nobody")).now_or_never(), Some(0));
        let early = log.join();
        assert_eq!(log.append(&frame("a")).now_or_never(), Some(1));
        let late = log.join();
        assert_eq!(log.append(&frame("b")).now_or_never(), Some(2));
        assert_eq!(
            log.read(early),
            Some((vec![frame("a"), frame("b")], late + 1))
        );
        assert_eq!(log.read(late + 1), None);
        assert_eq!(log.leave(late), [frame("b")]);
        assert_eq!(log.append(&frame("c")).now_or_never(), Some(1));
        let batch = log.take().now_or_never().unwrap();
        assert_eq!(batch.after(late), [frame("b"), frame("c")]);
        log.release(&batch);
        assert!(log.take().now_or_never().is_none(), "all is released");
        assert_eq!(log.leave(batch.end()), Vec::<Bytes>::new());
    }

    #[test]
    fn a_full_log_lets_broadcasts_wait_until_a_batch_is_released() {
        let log = Log::new();
        log.join();
        for _ in 0..MESSAGES {
            assert_eq!(log.append(&frame("a")).now_or_never(), Some(1));
        }
        let last = frame("last");
        let mut waiting = pin!(log.append(&last));
        assert_eq!(waiting.as_mut().now_or_never(), None);
        let batch = log.take().now_or_never().unwrap();
        assert_eq!(
            waiting.as_mut().now_or_never(),
            None,
            "taken isn't released"
        );
        log.release(&batch);
        assert_eq!(waiting.now_or_never(), Some(1));
        let batch = log.take().now_or_never().unwrap();
        assert_eq!(batch.after(0), std::slice::from_ref(&last));
    }

    #[test]
    fn it_is_bounded_in_bytes_though_an_empty_one_takes_anything() {
        let log = Log::new();
        log.join();
        let large = Bytes::from(vec![0; BYTES + 1]);
        assert_eq!(log.append(&large).now_or_never(), Some(1));
        assert_eq!(log.append(&frame("a")).now_or_never(), None);
        log.release(&log.take().now_or_never().unwrap());
        assert_eq!(log.append(&frame("a")).now_or_never(), Some(1));
    }
}
