//! What a history answers.

use bytes::Bytes;

use super::Position;

/// One message of a stream, as it was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Its offset: 1 for the first of the stream, and one more for each that follows.
    pub offset: u64,
    /// The bytes that were appended.
    pub data: Bytes,
}

impl Entry {
    /// The entry with this offset.
    #[must_use]
    pub const fn new(offset: u64, data: Bytes) -> Self {
        Self { offset, data }
    }
}

/// The answer of [`since`](super::History::since): all or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum Since {
    /// All that came after the position in question.
    Complete {
        /// In their order, each once, without a hole. Empty where nothing is missing.
        entries: Vec<Entry>,
        /// The end of the stream: that of the last entry, where there is one.
        position: Position,
    },
    /// What came after it isn't all there any more, or isn't given. Whoever asked has to begin
    /// anew.
    Lost {
        /// The end of the stream, to go on from; `None` where there is no stream.
        position: Option<Position>,
    },
}

/// Some of the newest entries of a stream; the answer of [`latest`](super::History::latest).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct Page {
    /// In their order, without a hole.
    pub entries: Vec<Entry>,
    /// The end of the stream, which may be far beyond this page; `None` where there is no stream.
    pub position: Option<Position>,
    /// What to ask for next, where older entries are there: those before this offset.
    pub before: Option<u64>,
}

impl Page {
    /// These entries of the stream that ends there, and where the next page begins.
    pub const fn new(entries: Vec<Entry>, position: Option<Position>, before: Option<u64>) -> Self {
        Self {
            entries,
            position,
            before,
        }
    }
}
