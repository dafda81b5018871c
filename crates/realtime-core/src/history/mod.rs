//! The history seam: what was said in a room, and what did I miss?

mod answer;
mod any;
mod append;
mod memory;
mod position;
mod retention;

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, StreamExt, stream::BoxStream};

use crate::{
    RoomName,
    error::operation_error,
    events::{Event, push_change},
};

pub use answer::{Entry, Page, Since};
pub use any::AnyHistory;
pub use append::{Append, Appended, IdempotencyKey, InvalidIdempotencyKey};
pub use memory::{InvalidMemoryBounds, MemoryHistory};
pub use position::{Epoch, InvalidEpoch, Position};
pub use retention::{InvalidRetention, Retention};

/// For how long a stream remembers an [`IdempotencyKey`], from its first use.
pub const IDEMPOTENCY_WINDOW: Duration = Duration::from_secs(300);

/// How many [`IdempotencyKey`]s a stream remembers: the latest.
pub const IDEMPOTENCY_KEYS: usize = 10_000;

/// The longest data of one entry, in bytes: 16 MiB.
pub const MAX_DATA: usize = 16 << 20;

/// The most data that one answer holds, in bytes: 16 MiB. Where more is missing, it is
/// [`Lost`](Since::Lost); a [`Page`] is the shorter.
pub const MAX_ANSWER: usize = 16 << 20;

/// For how long a stream is known beyond the age of its entries, from the last [`append`] or
/// [`position`]: 30 days. Who was away for less, and has missed nothing, can go on.
///
/// [`append`]: History::append
/// [`position`]: History::position
pub const KNOWN_FOR: Duration = Duration::from_secs(30 * 86_400);

/// Remembers what was sent to rooms: for each a stream of entries, under bounds of number and age.
///
/// Entries are numbered from 1, without holes. Together with the stream's epoch, which changes when
/// the stream was lost, such a number is a [`Position`] by which anybody who was away learns what
/// came in between, or that it isn't known any more.
///
/// # What every method promises
/// - **Concurrency.** It may be called at any time, from any task and any node, beside any other
///   call. Each call is one step: no other is seen half done.
/// - **Idempotence.** Every call may be made again. An append without a key that is made again,
///   since it failed, timed out or was dropped, may be there twice; one with a key is there once.
///   What failed may still be carried out afterwards.
/// - **Cancel safety.** A call may be dropped at any time. What it was asked is then done or not;
///   the stream stays whole.
/// - **Time.** It answers or fails within a few seconds. A gateway gives a call 5 s and then drops
///   it. Ages are measured by the store's own clock; those of the nodes don't matter.
/// - **Size.** Names and keys hold any text. Data is at most [`MAX_DATA`] long, an answer at most
///   [`MAX_ANSWER`].
/// - **Loss.** A store may lose a stream, in whole or its oldest entries, since it is full, was
///   emptied or has failed over. It then says so, by another epoch or by [`Lost`](Since::Lost), and
///   never gives one entry for another.
///
/// The suite `history_suite!` of `realtime-testkit` has a test for each bullet below, and
/// `history_faults_suite!` for what happens where something else lies in a stream's place.
///
/// # Example
/// ```
/// use std::time::Duration;
///
/// use realtime::history::{Append, History, MemoryHistory, Retention, Since};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (history, room) = (MemoryHistory::new(), "order:42".parse()?);
/// let retention = Retention::new(100, Duration::from_secs(3_600))?;
///
/// // Ann comes, and her connection is lost.
/// let seen = history.position(&room, retention).await?;
/// let sent = history.append(&room, Append::new("packed", retention)).await?;
/// assert_eq!(sent.position.offset, 1);
///
/// // She is back.
/// match history.since(&room, &seen, 300).await? {
///     Since::Complete { entries, .. } => assert_eq!(entries[0].data, "packed"),
///     _ => println!("load afresh"),
/// }
/// # Ok(())
/// # }
/// ```
pub trait History: Send + Sync + 'static {
    /// Appends an entry at the end of a room's stream, which begins with it where there is none,
    /// and removes what is beyond the retention.
    ///
    /// # Behavior
    /// - The first entry has offset 1, and each has one more than the entry before it.
    /// - Appends at the same time get offsets of their own, without a hole.
    /// - What was appended is found at once, by every node.
    /// - No more than the retention's number of messages is kept, and always the newest.
    /// - An entry that is older than the retention's age is not given any more.
    /// - The retention that was given last counts for the whole stream.
    /// - An append with a key that was used within the window appends nothing, and is answered with
    ///   the position of the first.
    /// - Keys belong to one room: the same key in another room is another one.
    /// - A stream that was lost or removed begins again with another epoch, at offset 1.
    /// - Data may be empty, or large, and comes back as it was.
    /// - Rooms are kept apart, whatever their names hold.
    ///
    /// # Errors
    /// Of kind [`TooLarge`](HistoryErrorKind::TooLarge) where the data is longer than [`MAX_DATA`]
    /// or than all that the store holds; else when the store is closed, can't be reached in time,
    /// is misconfigured, or holds something else where the stream belongs.
    fn append(
        &self,
        room: &RoomName,
        append: Append,
    ) -> impl Future<Output = Result<Appended, HistoryError>> + Send;

    /// What came after a position: all of it, or the answer that it can't be had.
    ///
    /// # Behavior
    /// - All entries after the position are given, in order and each once, with the end of the
    ///   stream; none, where nothing is missing.
    /// - It is lost where one of them is not there any more, where there are more than `limit`, or
    ///   where together they are longer than [`MAX_ANSWER`].
    /// - It is lost where the position has another epoch or is beyond the end.
    /// - It is lost, without a position, where there is no stream.
    /// - An answer is never partial, whatever is appended meanwhile.
    /// - Who has seen everything has lost nothing, though the entries have gone.
    ///
    /// # Errors
    /// When the store is closed, can't be reached in time, is misconfigured, or holds something
    /// else where the stream belongs. An error says nothing of what is there.
    fn since(
        &self,
        room: &RoomName,
        after: &Position,
        limit: usize,
    ) -> impl Future<Output = Result<Since, HistoryError>> + Send;

    /// The newest entries, or the newest of those before an offset, up to `count`.
    ///
    /// To read on into the past, ask again with the [`before`](Page::before) of the page. Where its
    /// epoch is another one than before, the stream was lost in between.
    ///
    /// # Behavior
    /// - The newest entries come in their order, at most `count`, with the end of the stream.
    /// - Paging back leads to every entry that is kept, each once, and ends.
    /// - A room without a stream has an empty page, without a position.
    /// - Data beyond [`MAX_ANSWER`] is left to the next page; a page has at least one entry, where
    ///   there is one and `count` isn't 0.
    ///
    /// # Errors
    /// As for [`since`](Self::since).
    fn latest(
        &self,
        room: &RoomName,
        before: Option<u64>,
        count: usize,
    ) -> impl Future<Output = Result<Page, HistoryError>> + Send;

    /// The end of a room's stream, which begins where there is none: who joins an empty room has a
    /// place to recover from.
    ///
    /// # Behavior
    /// - A new stream has offset 0, and the next append continues it.
    /// - Asked again it is the same, on every node, and also when all entries have gone.
    /// - It keeps the stream known for the age of the retention and [`KNOWN_FOR`] from now, and
    ///   never shortens that. What is kept of the entries stays as it is.
    ///
    /// # Errors
    /// As for [`since`](Self::since).
    fn position(
        &self,
        room: &RoomName,
        retention: Retention,
    ) -> impl Future<Output = Result<Position, HistoryError>> + Send;

    /// Removes a room's stream with all that belongs to it.
    ///
    /// # Behavior
    /// - What was there is not given any more, and keys are forgotten.
    /// - The next stream of the room has another epoch.
    /// - Removing what is not there is fine. Other rooms stay.
    ///
    /// # Errors
    /// When the store is closed, can't be reached in time, or is misconfigured. What lies in the
    /// stream's place is removed whatever it is.
    fn remove(&self, room: &RoomName) -> impl Future<Output = Result<(), HistoryError>> + Send;

    /// Whether streams stay when a node ends, and all nodes share them.
    ///
    /// Provided: yes, as in every store of which more than one process knows.
    fn outlives_nodes(&self) -> bool {
        true
    }

    /// What happens to the store, from now on.
    ///
    /// # Behavior
    /// - Every caller gets a stream of its own.
    /// - A stream that isn't read stays bounded: it loses its oldest events, never the last.
    /// - The stream ends after [`close`](Self::close).
    fn events(&self) -> HistoryEvents;

    /// Frees what the store holds on this side. The streams stay for others.
    ///
    /// # Behavior
    /// - It is idempotent.
    /// - Calls afterwards fail with kind [`Closed`](HistoryErrorKind::Closed).
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// Something that happened to the store of histories.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HistoryEvent {
    /// The store, or a part of it, can't be used. It may be told again in one outage, as more of
    /// the store goes and comes back, or for another reason.
    #[non_exhaustive]
    Down {
        /// What is down and why, for people.
        cause: String,
    },
    /// All of the store can be used again; it may have lost everything.
    Up,
}

impl HistoryEvent {
    /// The store, or a part of it, can't be used, for this reason.
    pub fn down(cause: impl Into<String>) -> Self {
        let cause = cause.into();
        Self::Down { cause }
    }
}

/// While a listener doesn't read, the last 63 at least are kept.
impl Event for HistoryEvent {
    fn wait_in(self, waiting: &mut VecDeque<Self>) {
        push_change(self, waiting, |_| true);
    }
}

/// A stream of [`HistoryEvent`]s.
pub struct HistoryEvents(BoxStream<'static, HistoryEvent>);

impl HistoryEvents {
    /// Wraps a backend's stream.
    #[must_use]
    pub fn new(stream: impl Stream<Item = HistoryEvent> + Send + 'static) -> Self {
        Self(stream.boxed())
    }
}

impl Stream for HistoryEvents {
    type Item = HistoryEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<HistoryEvent>> {
        self.0.poll_next_unpin(cx)
    }
}

impl fmt::Debug for HistoryEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HistoryEvents").finish_non_exhaustive()
    }
}

operation_error! {
    /// A history that could not do what it was asked.
    HistoryError, HistoryErrorKind
}

/// The sorts of [`HistoryError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HistoryErrorKind {
    /// The store was closed.
    Closed,
    /// The store is misconfigured; trying again won't help.
    Config,
    /// The store holds something that this version can't read.
    Corrupt,
    /// The data is longer than the store takes.
    TooLarge,
    /// The store can't be reached, or didn't answer in time.
    Unavailable,
}

impl HistoryError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.kind == HistoryErrorKind::Unavailable
    }

    /// The error of data that is longer than [`MAX_DATA`].
    ///
    /// # Errors
    /// That error, where it is.
    pub fn check_length(data: &[u8]) -> Result<(), Self> {
        match data.len() {
            0..=MAX_DATA => Ok(()),
            length => Err(Self::new(
                HistoryErrorKind::TooLarge,
                format!("an entry is at most {MAX_DATA} bytes; got {length}"),
            )),
        }
    }
}
