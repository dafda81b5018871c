//! The broadcasts that not every session of a shard has got yet: short, bounded, in order.
//!
//! Each session has a cursor into it. A writer to a session, the shard's dispatcher or a sender,
//! first reads what the log holds behind the session's cursor. So what one task
//! broadcasts and sends arrives in that order, and what waits leaves in one write.
//!
//! A broadcast that finds it full waits in line: first come, first served, whatever the sizes, and
//! only those whose message fits are woken.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use super::{
    batch::Batch,
    room::{Audience, Memberships, Room},
};
use crate::{
    dialects::DialectId,
    metrics::Stamp,
    sync::{
        AtomicU64, Mutex, Ordering, Semaphore,
        TryAcquireError::{Closed, NoPermits},
    },
};

/// How many messages it holds. No more than a session's queue holds by default, so that a burst
/// which a broadcaster makes at once is no reason to drop anything.
const MESSAGES: u32 = 128;
/// How many bytes it holds. A single larger message is accepted while it is empty.
const BYTES: u32 = 1024 * 1024;

/// The room that a message takes: its bytes, and a share for its being one.
fn room_for(frame: &Bytes) -> u32 {
    let bytes = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    bytes.clamp(BYTES / MESSAGES, BYTES)
}

/// A message in the log, and whom it is for, where that isn't everybody.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) frame: Bytes,
    pub(super) to: Option<Arc<Audience>>,
    /// When it came.
    pub(super) at: Stamp,
}

/// Who reads it: the place of an outbox, and the rooms that its session is in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'r> {
    pub(super) outbox: usize,
    pub(super) rooms: Option<&'r Memberships>,
}

impl Reader<'_> {
    pub(super) fn gets(&self, to: Option<&Arc<Audience>>, place: u64) -> bool {
        match (to, self.rooms) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(audience), Some(rooms)) => rooms.concern(audience, place, self.outbox),
        }
    }
}

/// The log of one shard.
#[derive(Debug)]
pub(crate) struct Log {
    shard: u32,
    /// What its readers speak.
    dialect: DialectId,
    state: Mutex<State>,
    /// The position behind the last message, for a look without the lock.
    head: AtomicU64,
    /// The one behind the last message for everybody, for those who are in no room.
    head_for_all: AtomicU64,
    /// What is free of [`BYTES`]. Closed with the log.
    room: Semaphore,
}

#[derive(Debug)]
struct State {
    entries: VecDeque<Entry>,
    /// The position of the first of them.
    first: u64,
    /// How many sessions there are whom a message concerns. Without any the log is empty.
    readers: usize,
    /// The dispatcher, while it waits for something to do.
    dispatcher: Option<Waker>,
}

impl State {
    fn head(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    fn since(&self, cursor: u64, reader: Reader<'_>) -> Vec<Bytes> {
        let from = usize::try_from(cursor.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let place = self.first.max(cursor);
        let entries = (place..).zip(self.entries.iter().skip(from));
        let its = entries.filter(|(place, entry)| reader.gets(entry.to.as_ref(), *place));
        its.map(|(_, entry)| entry.frame.clone()).collect()
    }
}

impl Log {
    pub(crate) fn new(shard: u32, dialect: DialectId) -> Self {
        Self {
            shard,
            dialect,
            state: Mutex::new(State {
                entries: VecDeque::new(),
                first: 0,
                readers: 0,
                dispatcher: None,
            }),
            head: AtomicU64::new(0),
            head_for_all: AtomicU64::new(0),
            room: Semaphore::new(BYTES as usize),
        }
    }

    pub(super) const fn shard(&self) -> u32 {
        self.shard
    }

    pub(crate) const fn dialect(&self) -> DialectId {
        self.dialect
    }

    /// One more reader, for whom the log begins here.
    pub(crate) fn join(&self) -> u64 {
        let mut state = self.state.lock();
        state.readers += 1;
        state.head()
    }

    /// One reader less. Returns what it had not got.
    pub(super) fn leave(&self, cursor: u64, reader: Reader<'_>) -> Vec<Bytes> {
        let mut state = self.state.lock();
        let missing = state.since(cursor, reader);
        for room in reader.rooms.into_iter().flat_map(Memberships::all) {
            room.unfollow(self.shard);
        }
        state.readers = state.readers.saturating_sub(1);
        if state.readers == 0 {
            // Nobody is left whom it concerns, so nobody is to wait for room in it.
            let room = state.entries.iter().map(|entry| room_for(&entry.frame));
            let room = room.map(|room| room as usize).sum();
            state.first = state.head();
            state.entries = VecDeque::new();
            drop(state);
            self.room.add_permits(room);
        }
        missing
    }

    /// A reader becomes a member of a room: what is behind its cursor, and the place from which on
    /// it gets what is sent to the room.
    pub(super) fn follow(&self, room: &Room, cursor: u64, reader: Reader<'_>) -> (Vec<Bytes>, u64) {
        let state = self.state.lock();
        room.follow(self.shard);
        (state.since(cursor, reader), state.head())
    }

    /// The other way round.
    pub(super) fn unfollow(
        &self,
        room: &Room,
        cursor: u64,
        reader: Reader<'_>,
    ) -> (Vec<Bytes>, u64) {
        let state = self.state.lock();
        room.unfollow(self.shard);
        (state.since(cursor, reader), state.head())
    }

    /// What is behind a reader's cursor, and where the cursor is then.
    #[inline]
    pub(super) fn read(&self, cursor: u64, reader: Reader<'_>) -> Option<(Vec<Bytes>, u64)> {
        let head = match reader.rooms {
            None => &self.head_for_all,
            Some(_) => &self.head,
        };
        // Nearly always there is nothing.
        (head.load(Ordering::Acquire) > cursor).then(|| self.read_behind(cursor, reader))
    }

    fn read_behind(&self, cursor: u64, reader: Reader<'_>) -> (Vec<Bytes>, u64) {
        let state = self.state.lock();
        (state.since(cursor, reader), state.head())
    }

    /// How many readers a message has that nobody here is told.
    pub(crate) fn readers(&self, to: Option<&Arc<Audience>>) -> usize {
        let state = self.state.lock();
        match to {
            Some(to) => to.followers(self.shard).min(state.readers),
            None => state.readers,
        }
    }

    /// Appends a message, for everybody or for some, as soon as there is room and those who came
    /// before have had theirs. Returns how many readers will receive it.
    ///
    /// Cancel safe: dropped while it waits, the message isn't in the log.
    pub(crate) async fn append(&self, frame: &Bytes, to: Option<&Arc<Audience>>) -> usize {
        if to.is_some_and(|to| to.followers(self.shard) == 0) {
            return 0;
        }
        let (wanted, at) = (room_for(frame), Stamp::now());
        let room = match self.room.try_acquire_many(wanted) {
            Ok(room) => Ok(room),
            // Boxed, since there nearly always is room.
            Err(NoPermits) => Box::pin(self.room.acquire_many(wanted)).await.map_err(drop),
            Err(Closed) => Err(()),
        };
        let Ok(room) = room else {
            // There are no more broadcasts.
            return 0;
        };
        let (readers, dispatcher) = {
            let mut state = self.state.lock();
            let readers = match to {
                Some(to) => to.followers(self.shard),
                None => state.readers,
            };
            if readers == 0 || state.readers == 0 {
                return 0;
            }
            // It is free again when the message leaves the log.
            room.forget();
            state.entries.push_back(Entry {
                frame: frame.clone(),
                to: to.cloned(),
                at,
            });
            self.head.store(state.head(), Ordering::Release);
            if to.is_none() {
                self.head_for_all.store(state.head(), Ordering::Release);
            }
            (readers, state.dispatcher.take())
        };
        if let Some(dispatcher) = dispatcher {
            dispatcher.wake();
        }
        readers
    }

    /// Everything that is in the log, as soon as there is something. It stays in the log until it
    /// is [`release`](Self::release)d, for others to read meanwhile.
    pub(crate) async fn take(&self) -> Batch {
        poll_fn(|cx| self.poll_take(cx)).await
    }

    fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Batch> {
        let mut state = self.state.lock();
        if state.entries.is_empty() {
            state.dispatcher = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let (first, entries) = (state.first, state.entries.iter().cloned().collect());
        drop(state);
        Poll::Ready(Batch::new(first, entries))
    }

    /// Every reader has got this.
    pub(crate) fn release(&self, batch: &Batch) {
        let mut room = 0;
        let mut state = self.state.lock();
        while state.first < batch.end()
            && let Some(entry) = state.entries.pop_front()
        {
            state.first += 1;
            room += room_for(&entry.frame) as usize;
        }
        drop(state);
        self.room.add_permits(room);
    }

    /// When the oldest message came that is in it. While its dispatcher is busy with a round, or hangs,
    /// that is one of the round.
    #[cfg(feature = "metrics")]
    pub(crate) fn oldest(&self) -> Option<Stamp> {
        let state = self.state.lock();
        state.entries.front().map(|entry| entry.at)
    }

    /// Accepts nothing more, and those who wait for room are released. What is in it stays for those
    /// who were counted.
    pub(crate) fn close(&self) {
        self.room.close();
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use std::pin::pin;

    use futures::FutureExt;

    use super::*;

    const NO_ROOMS: Reader<'_> = Reader {
        outbox: 0,
        rooms: None,
    };

    fn frame(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    #[test]
    fn readers_get_what_came_after_them() {
        let log = Log::new(0, DialectId::CODEC);
        assert_eq!(log.append(&frame("nobody"), None).now_or_never(), Some(0));
        let early = log.join();
        assert_eq!(log.append(&frame("a"), None).now_or_never(), Some(1));
        let late = log.join();
        assert_eq!(log.append(&frame("b"), None).now_or_never(), Some(2));
        assert_eq!(
            log.read(early, NO_ROOMS),
            Some((vec![frame("a"), frame("b")], late + 1))
        );
        assert_eq!(log.read(late + 1, NO_ROOMS), None);
        assert_eq!(log.leave(late, NO_ROOMS), [frame("b")]);
        assert_eq!(log.append(&frame("c"), None).now_or_never(), Some(1));
        let batch = log.take().now_or_never().unwrap();
        assert_eq!(batch.after(late), [frame("b"), frame("c")]);
        log.release(&batch);
        assert!(log.take().now_or_never().is_none(), "all is released");
        assert_eq!(log.leave(batch.end(), NO_ROOMS), Vec::<Bytes>::new());
    }

    #[test]
    fn a_full_log_lets_broadcasts_wait_until_a_batch_is_released() {
        let log = Log::new(0, DialectId::CODEC);
        log.join();
        for _ in 0..MESSAGES {
            assert_eq!(log.append(&frame("a"), None).now_or_never(), Some(1));
        }
        let last = frame("last");
        let mut waiting = pin!(log.append(&last, None));
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
    fn it_is_bounded_in_bytes_though_an_empty_one_accepts_anything() {
        let log = Log::new(0, DialectId::CODEC);
        log.join();
        let large = Bytes::from(vec![0; BYTES as usize + 1]);
        assert_eq!(log.append(&large, None).now_or_never(), Some(1));
        assert_eq!(log.append(&frame("a"), None).now_or_never(), None);
        log.release(&log.take().now_or_never().unwrap());
        assert_eq!(log.append(&frame("a"), None).now_or_never(), Some(1));
    }

    #[test]
    fn the_first_to_come_is_served_first_whatever_the_size() {
        let log = Log::new(0, DialectId::CODEC);
        log.join();
        assert_eq!(log.append(&frame("a"), None).now_or_never(), Some(1));
        let (large, small) = (Bytes::from(vec![0; BYTES as usize]), frame("b"));
        let mut first = pin!(log.append(&large, None));
        assert_eq!(first.as_mut().now_or_never(), None);
        let mut second = pin!(log.append(&small, None));
        assert_eq!(
            second.as_mut().now_or_never(),
            None,
            "the large one is before it"
        );
        log.release(&log.take().now_or_never().unwrap());
        assert_eq!(second.as_mut().now_or_never(), None);
        assert_eq!(first.now_or_never(), Some(1));
        log.release(&log.take().now_or_never().unwrap());
        assert_eq!(second.now_or_never(), Some(1));
    }

    #[test]
    fn one_that_gives_up_waiting_holds_up_no_other() {
        let log = Log::new(0, DialectId::CODEC);
        log.join();
        let large = Bytes::from(vec![0; BYTES as usize]);
        assert_eq!(log.append(&large, None).now_or_never(), Some(1));
        let last = frame("last");
        let mut waiting = pin!(log.append(&last, None));
        {
            let mut given_up = pin!(log.append(&large, None));
            assert_eq!(given_up.as_mut().now_or_never(), None);
            assert_eq!(waiting.as_mut().now_or_never(), None);
        }
        log.release(&log.take().now_or_never().unwrap());
        assert_eq!(waiting.now_or_never(), Some(1));
    }

    #[test]
    fn without_readers_or_once_it_is_closed_nobody_waits() {
        let log = Log::new(0, DialectId::CODEC);
        let (one, two) = (log.join(), log.join());
        let large = Bytes::from(vec![0; BYTES as usize]);
        assert_eq!(log.append(&large, None).now_or_never(), Some(2));
        let (next, other) = (frame("next"), frame("other"));
        let mut waiting = pin!(log.append(&next, None));
        assert_eq!(waiting.as_mut().now_or_never(), None);
        assert_eq!(log.leave(one, NO_ROOMS), std::slice::from_ref(&large));
        assert_eq!(waiting.as_mut().now_or_never(), None);
        assert_eq!(log.leave(two, NO_ROOMS), std::slice::from_ref(&large));
        assert_eq!(waiting.now_or_never(), Some(0));
        assert!(log.take().now_or_never().is_none(), "nothing is left in it");

        let three = log.join();
        assert_eq!(log.append(&large, None).now_or_never(), Some(1));
        let mut waiting = pin!(log.append(&next, None));
        assert_eq!(waiting.as_mut().now_or_never(), None);
        log.close();
        assert_eq!(waiting.now_or_never(), Some(0));
        assert_eq!(log.append(&other, None).now_or_never(), Some(0));
        assert_eq!(
            log.leave(three, NO_ROOMS),
            [large],
            "what was counted is kept"
        );
    }
}
