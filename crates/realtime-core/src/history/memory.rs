//! Histories in this process.

mod keys;
mod store;
mod stream;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use tokio::time::Instant;

use store::Store;

use super::{
    Append, Appended, History, HistoryError, HistoryErrorKind, HistoryEvent, HistoryEvents, Page,
    Position, Retention, Since,
};
use crate::{Events, RoomName};

/// Keeps the streams of rooms in this process, under a bound of memory.
///
/// A clone is another node's handle on the same streams, so that several gateways in one process
/// share them. Closing one handle leaves the others open.
///
/// It takes at most so many bytes, 64 MiB unless it is made with [`bounded`](Self::bounded), and
/// holds so many streams. What an entry, a key and a stream take beside their bytes is counted, too.
/// Beyond either bound the streams that nobody has used for longest are lost, so that their next
/// epoch is another one; a single stream that fills it all loses its oldest entries.
///
/// Entries and keys that have ended are freed when something is appended, to whatever room; nothing
/// runs in the background. Ages are measured by a clock that doesn't jump.
///
/// ```
/// use realtime::history::MemoryHistory;
///
/// let small = MemoryHistory::bounded(4 << 20, 1_000)?;
/// assert!(MemoryHistory::bounded(0, 1_000).is_err());
/// # drop(small);
/// # Ok::<(), realtime::history::InvalidMemoryBounds>(())
/// ```
#[derive(Debug)]
pub struct MemoryHistory {
    store: Arc<Mutex<Store>>,
    closed: AtomicBool,
    /// Nothing ever happens to memory; the streams only end.
    events: Events<HistoryEvent>,
}

/// Bounds under which not even one stream has room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected at least {} bytes and 1 stream; got {bytes} bytes and {streams} streams",
    MemoryHistory::LEAST_BYTES
)]
pub struct InvalidMemoryBounds {
    bytes: usize,
    streams: usize,
}

impl Default for MemoryHistory {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for MemoryHistory {
    fn clone(&self) -> Self {
        Self::with(Arc::clone(&self.store))
    }
}

impl MemoryHistory {
    /// How many bytes it takes at most, unless it is told: 64 MiB.
    pub const DEFAULT_BYTES: usize = 64 << 20;
    /// How many streams it holds at most, unless it is told: 100,000.
    pub const DEFAULT_STREAMS: usize = 100_000;
    /// The fewest bytes that it can work with: 4 KiB.
    pub const LEAST_BYTES: usize = 4 << 10;

    /// Without streams, bounded by [`DEFAULT_BYTES`](Self::DEFAULT_BYTES) and
    /// [`DEFAULT_STREAMS`](Self::DEFAULT_STREAMS).
    #[must_use]
    pub fn new() -> Self {
        let store = Store::new(Self::DEFAULT_BYTES, Self::DEFAULT_STREAMS);
        Self::with(Arc::new(Mutex::new(store)))
    }

    /// Without streams, bounded by so many bytes and streams.
    ///
    /// # Errors
    /// When it is less than [`LEAST_BYTES`](Self::LEAST_BYTES) or one stream.
    pub fn bounded(bytes: usize, streams: usize) -> Result<Self, InvalidMemoryBounds> {
        if bytes < Self::LEAST_BYTES || streams == 0 {
            return Err(InvalidMemoryBounds { bytes, streams });
        }
        Ok(Self::with(Arc::new(Mutex::new(Store::new(bytes, streams)))))
    }

    /// How many bytes it takes now, as they are counted.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().bytes()
    }

    /// How many streams it holds now.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.lock().streams()
    }

    fn with(store: Arc<Mutex<Store>>) -> Self {
        Self {
            store,
            closed: AtomicBool::new(false),
            events: Events::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store and the time, which is read under its lock: times in it never go back.
    fn store(&self) -> Result<(MutexGuard<'_, Store>, Instant), HistoryError> {
        if self.closed.load(SeqCst) {
            return Err(HistoryError::new(
                HistoryErrorKind::Closed,
                "the history is closed",
            ));
        }
        let store = self.lock();
        Ok((store, Instant::now()))
    }
}

impl History for MemoryHistory {
    async fn append(&self, room: &RoomName, append: Append) -> Result<Appended, HistoryError> {
        HistoryError::check_length(&append.data)?;
        let (mut store, now) = self.store()?;
        store.append(room, append, now)
    }

    async fn since(
        &self,
        room: &RoomName,
        after: &Position,
        limit: usize,
    ) -> Result<Since, HistoryError> {
        let (mut store, now) = self.store()?;
        let since = store.look(room, now, |stream| stream.since(after, limit));
        Ok(since.unwrap_or(Since::Lost { position: None }))
    }

    async fn latest(
        &self,
        room: &RoomName,
        before: Option<u64>,
        count: usize,
    ) -> Result<Page, HistoryError> {
        let (mut store, now) = self.store()?;
        let page = store.look(room, now, |stream| stream.page(before, count));
        Ok(page.unwrap_or_default())
    }

    async fn position(
        &self,
        room: &RoomName,
        retention: Retention,
    ) -> Result<Position, HistoryError> {
        let (mut store, now) = self.store()?;
        Ok(store.position(room, retention, now))
    }

    async fn remove(&self, room: &RoomName) -> Result<(), HistoryError> {
        let (mut store, _) = self.store()?;
        store.remove(room);
        Ok(())
    }

    /// It ends with this process, and so do its nodes.
    fn outlives_nodes(&self) -> bool {
        false
    }

    fn events(&self) -> HistoryEvents {
        HistoryEvents::new(self.events.subscribe())
    }

    async fn close(&self) {
        self.closed.store(true, SeqCst);
        self.events.close();
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::Duration};

    use super::*;
    use crate::history::{Epoch, IDEMPOTENCY_KEYS, IDEMPOTENCY_WINDOW, KNOWN_FOR};

    fn room(n: usize) -> RoomName {
        format!("room-{n}").parse().unwrap()
    }

    fn retention(messages: usize, seconds: u64) -> Retention {
        Retention::new(messages, Duration::from_secs(seconds)).unwrap()
    }

    async fn say(history: &MemoryHistory, room: &RoomName, bytes: usize) -> Position {
        let append = Append::new(vec![7; bytes], retention(1_000, 60));
        history.append(room, append).await.unwrap().position
    }

    #[tokio::test(start_paused = true)]
    async fn the_streams_that_nobody_uses_go_first() {
        let history = MemoryHistory::bounded(1 << 20, 1_000).unwrap();
        let mut first = Vec::new();
        for n in 0..10 {
            first.push(say(&history, &room(n), 80_000).await);
        }
        // Looking is using.
        let used = history.since(&room(0), &first[0], 10).await.unwrap();
        assert!(matches!(used, Since::Complete { .. }));
        for n in 10..15 {
            say(&history, &room(n), 80_000).await;
            assert!(history.bytes() <= 1 << 20);
        }
        let used = history.since(&room(0), &first[0], 10).await.unwrap();
        assert!(matches!(used, Since::Complete { .. }));
        let gone = history.since(&room(1), &first[1], 10).await.unwrap();
        assert_eq!(gone, Since::Lost { position: None });
        let again = say(&history, &room(1), 1).await;
        assert_eq!(again.offset, 1);
        assert_ne!(again.epoch, first[1].epoch);
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_streams_is_bounded() {
        let history = MemoryHistory::bounded(1 << 20, 3).unwrap();
        for n in 0..10 {
            history.position(&room(n), retention(1, 1)).await.unwrap();
            assert_eq!(history.streams(), (n + 1).min(3));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_fills_it_all_loses_its_oldest_entries() {
        let history = MemoryHistory::bounded(100_000, 10).unwrap();
        let epoch = say(&history, &room(0), 30_000).await.epoch;
        for _ in 0..9 {
            let at = say(&history, &room(0), 30_000).await;
            assert_eq!(at.epoch, epoch);
            assert!(history.bytes() <= 100_000);
        }
        let page = history.latest(&room(0), None, 10).await.unwrap();
        let offsets: Vec<_> = page.entries.iter().map(|entry| entry.offset).collect();
        assert_eq!(offsets, [8, 9, 10]);
        let append = Append::new(vec![0; 100_000], retention(1, 1));
        let refused = history.append(&room(0), append).await.unwrap_err();
        assert_eq!(refused.kind(), HistoryErrorKind::TooLarge);
        assert_eq!(say(&history, &room(0), 1).await.offset, 11);
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_a_part_of_the_bounds_and_end() {
        let history = MemoryHistory::bounded(50_000, 10).unwrap();
        let keyed = |n: usize| {
            Append::new("", retention(1, 1)).with_key(format!("{n:0>128}").parse().unwrap())
        };
        for n in 0..1_000 {
            let appended = history.append(&room(0), keyed(n)).await.unwrap();
            assert!(!appended.is_duplicate);
            assert!(history.bytes() <= 50_000);
        }
        let again = history.append(&room(0), keyed(999)).await.unwrap();
        assert!(again.is_duplicate && again.position.offset == 1_000);
        tokio::time::advance(IDEMPOTENCY_WINDOW - Duration::from_millis(1)).await;
        assert!(
            history
                .append(&room(0), keyed(999))
                .await
                .unwrap()
                .is_duplicate
        );
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(
            !history
                .append(&room(0), keyed(999))
                .await
                .unwrap()
                .is_duplicate
        );
        assert!(history.bytes() < 2_000, "{}", history.bytes());

        let large = MemoryHistory::new();
        for n in 0..=IDEMPOTENCY_KEYS {
            large.append(&room(0), keyed(n)).await.unwrap();
        }
        assert!(large.append(&room(0), keyed(1)).await.unwrap().is_duplicate);
        assert!(!large.append(&room(0), keyed(0)).await.unwrap().is_duplicate);
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_ended_is_freed_though_nobody_asks_for_it() {
        let history = MemoryHistory::new();
        let mut first = Vec::new();
        for n in 0..1_000 {
            first.push(say(&history, &room(n), 10_000).await);
        }
        assert!(history.bytes() > 10_000_000);
        tokio::time::advance(Duration::from_secs(61)).await;
        for _ in 0..600 {
            say(&history, &room(0), 0).await;
        }
        assert!(history.bytes() < 1_000_000, "{}", history.bytes());
        // Their positions are known still.
        let end = history.since(&room(9), &first[9], 1).await.unwrap();
        let none = Since::Complete {
            entries: Vec::new(),
            position: first[9].clone(),
        };
        assert_eq!(end, none);
        tokio::time::advance(KNOWN_FOR + Duration::from_secs(60)).await;
        let gone = history.since(&room(9), &first[9], 1).await.unwrap();
        assert_eq!(gone, Since::Lost { position: None });
        for _ in 0..600 {
            say(&history, &room(0), 0).await;
        }
        assert_eq!(history.streams(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_known_as_long_as_it_is_asked_for_its_position() {
        let history = MemoryHistory::new();
        let position = history.position(&room(0), retention(1, 60)).await.unwrap();
        for _ in 0..3 {
            tokio::time::advance(KNOWN_FOR).await;
            let short = Retention::new(1, Duration::from_millis(1)).unwrap();
            assert_eq!(history.position(&room(0), short).await.unwrap(), position);
        }
        // A long life isn't cut short.
        let long = retention(1, 365 * 86_400);
        history.position(&room(0), long).await.unwrap();
        history.position(&room(0), retention(1, 1)).await.unwrap();
        tokio::time::advance(Duration::from_secs(360 * 86_400)).await;
        let known = history.since(&room(0), &position, 0).await.unwrap();
        assert!(matches!(known, Since::Complete { .. }));
        tokio::time::advance(KNOWN_FOR + Duration::from_secs(5 * 86_400)).await;
        let anew = history.position(&room(0), retention(1, 1)).await.unwrap();
        assert_ne!(anew, position);
    }

    /// It agrees with a store that keeps everything in one list and looks at all of it.
    #[tokio::test(start_paused = true)]
    async fn it_is_as_a_naive_one() {
        struct Model {
            epoch: Epoch,
            all: Vec<(Instant, Vec<u8>)>,
            age: Duration,
            most: usize,
        }
        let history = MemoryHistory::new();
        let mut models: HashMap<usize, Model> = HashMap::new();
        for step in 0..20_000 {
            let n = fastrand::usize(..3);
            let room = room(n);
            match fastrand::u8(..12) {
                0 => tokio::time::advance(Duration::from_secs(fastrand::u64(..4))).await,
                1 if fastrand::u8(..10) == 0 => {
                    history.remove(&room).await.unwrap();
                    models.remove(&n);
                }
                2..=6 => {
                    let data = vec![fastrand::u8(..); fastrand::usize(..9)];
                    let kept = retention(fastrand::usize(5..9), fastrand::u64(8..12));
                    let append = Append::new(data.clone(), kept);
                    let at = history.append(&room, append).await.unwrap().position;
                    let model = models.entry(n).or_insert_with(|| Model {
                        epoch: at.epoch.clone(),
                        all: Vec::new(),
                        age: kept.max_age(),
                        most: 0,
                    });
                    model.all.push((Instant::now(), data));
                    // What a longer retention finds gone stays gone.
                    (model.age, model.most) = (kept.max_age(), kept.max_messages());
                    let expected = Position::new(model.epoch.clone(), model.all.len() as u64);
                    assert_eq!(at, expected, "step {step}");
                }
                _ => {}
            }
            let page = history.latest(&room, None, 100).await.unwrap();
            let Some(model) = models.get(&n) else {
                assert_eq!(page, Page::default());
                continue;
            };
            let (now, end) = (Instant::now(), model.all.len() as u64);
            assert!(page.entries.len() <= model.most);
            // No retention was less than this.
            let young = model.all.iter().rev().take(5);
            let least = Duration::from_secs(8);
            let young = young.take_while(|(at, _)| now.duration_since(*at) < least);
            assert!(page.entries.len() >= young.count(), "step {step}");
            let first = end + 1 - page.entries.len() as u64;
            for (offset, entry) in (first..).zip(&page.entries) {
                let (at, data) = &model.all[offset as usize - 1];
                assert_eq!(
                    (entry.offset, &*entry.data),
                    (offset, &**data),
                    "step {step}"
                );
                assert!(now.duration_since(*at) < model.age);
            }
            let from = Position::new(model.epoch.clone(), fastrand::u64(..end + 2));
            let limit = fastrand::usize(..8);
            let missing = end.checked_sub(from.offset);
            let answer = history.since(&room, &from, limit).await.unwrap();
            let position = Position::new(model.epoch.clone(), end);
            let kept = page.entries.len();
            let expected = match missing.map(|missing| missing as usize) {
                Some(missing) if missing <= kept.min(limit) => Since::Complete {
                    entries: page.entries[kept - missing..].to_vec(),
                    position,
                },
                _ => Since::Lost {
                    position: Some(position),
                },
            };
            assert_eq!(answer, expected, "step {step}");
        }
    }
}
