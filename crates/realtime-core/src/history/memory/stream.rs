//! The stream of one room.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use super::keys::{self, Keys};
use crate::history::{
    Append, Appended, Entry, Epoch, KNOWN_FOR, MAX_ANSWER, Page, Position, Retention, Since,
};

/// What an entry takes beside its data.
const ENTRY: usize = 96;

#[derive(Debug)]
pub(super) struct Stream {
    epoch: Epoch,
    /// The offset of the last entry that there ever was. Entries are without holes up to it.
    offset: u64,
    entries: VecDeque<Kept>,
    max_age: Duration,
    data: usize,
    keys: Keys,
    /// Since when, and for how long, the stream is known whatever becomes of its entries.
    known: (Instant, Duration),
}

#[derive(Debug)]
struct Kept {
    at: Instant,
    data: Bytes,
}

/// What it takes to append this to an empty stream.
pub(super) fn size(append: &Append) -> usize {
    ENTRY + append.data.len() + append.key.as_ref().map_or(0, keys::size)
}

impl Stream {
    pub(super) fn new(retention: Retention, now: Instant) -> Self {
        Self {
            epoch: Epoch::random(),
            offset: 0,
            entries: VecDeque::new(),
            max_age: retention.max_age(),
            data: 0,
            keys: Keys::default(),
            known: (now, retention.max_age() + KNOWN_FOR),
        }
    }

    pub(super) fn position(&self) -> Position {
        Position::new(self.epoch.clone(), self.offset)
    }

    /// Keeps it known from now on, and never for less than before.
    pub(super) fn know(&mut self, retention: Retention, now: Instant) {
        let (since, known_for) = self.known;
        let left = known_for.saturating_sub(now.duration_since(since));
        self.known = (now, left.max(retention.max_age() + KNOWN_FOR));
    }

    pub(super) fn is_known(&self, now: Instant) -> bool {
        let (since, known_for) = self.known;
        now.duration_since(since) < known_for
    }

    pub(super) fn append(&mut self, append: Append, now: Instant) -> Appended {
        self.know(append.retention, now);
        self.max_age = append.retention.max_age();
        let before = append.key.as_ref().and_then(|key| self.keys.offset(key));
        if let Some(offset) = before {
            return Appended::before(Position::new(self.epoch.clone(), offset));
        }
        self.offset += 1;
        self.data += append.data.len();
        self.entries.push_back(Kept {
            at: now,
            // What was given may be a small part of something large, which would stay with it.
            data: Bytes::copy_from_slice(&append.data),
        });
        while self.entries.len() > append.retention.max_messages() {
            self.pop();
        }
        if let Some(key) = append.key {
            self.keys.insert(key, self.offset, now);
        }
        Appended::now(self.position())
    }

    /// Frees entries and keys that have ended.
    pub(super) fn expire(&mut self, now: Instant) {
        let max_age = self.max_age;
        let has_ended = |kept: &Kept| now.duration_since(kept.at) >= max_age;
        while self.entries.front().is_some_and(has_ended) {
            self.pop();
        }
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
        self.keys.expire(now);
    }

    /// Gives up the oldest of what it holds, but not the last. Returns whether there was something.
    pub(super) fn shed(&mut self) -> bool {
        if self.entries.len() > 1 {
            self.pop();
        } else if self.keys.len() > 1 {
            self.keys.pop();
        } else {
            return false;
        }
        true
    }

    fn pop(&mut self) {
        if let Some(oldest) = self.entries.pop_front() {
            self.data -= oldest.data.len();
        }
    }

    /// When all that it holds has ended, or where it holds nothing, when it isn't known any more.
    pub(super) fn ends(&self) -> Option<Instant> {
        let last = self.entries.back();
        let entries = last.and_then(|kept| kept.at.checked_add(self.max_age));
        let held = entries.into_iter().chain(self.keys.ends()).max();
        let (since, known_for) = self.known;
        held.or_else(|| since.checked_add(known_for))
    }

    pub(super) fn bytes(&self) -> usize {
        self.data + ENTRY * self.entries.len() + self.keys.bytes()
    }

    /// Of what has not ended, which is to be freed before.
    pub(super) fn since(&self, after: &Position, limit: usize) -> Since {
        let position = self.position();
        let missing = self.offset.checked_sub(after.offset);
        let missing = missing.and_then(|missing| usize::try_from(missing).ok());
        let first = missing
            .filter(|missing| *missing <= limit && after.epoch == self.epoch)
            .and_then(|missing| self.entries.len().checked_sub(missing));
        let entries = first.and_then(|first| {
            let length: usize = self.data_from(first).sum();
            (length <= MAX_ANSWER).then(|| self.cut(first, self.entries.len()))
        });
        match entries {
            Some(entries) => Since::Complete { entries, position },
            None => Since::Lost {
                position: Some(position),
            },
        }
    }

    fn data_from(&self, first: usize) -> impl Iterator<Item = usize> {
        self.entries.iter().skip(first).map(|kept| kept.data.len())
    }

    /// Of what has not ended, which is to be freed before.
    pub(super) fn page(&self, before: Option<u64>, count: usize) -> Page {
        let oldest = self.oldest();
        let end = before.map_or(self.entries.len(), |before| {
            let older = before.saturating_sub(oldest);
            usize::try_from(older).map_or(self.entries.len(), |n| n.min(self.entries.len()))
        });
        let (mut first, mut length) = (end, 0);
        while first > 0 && end - first < count {
            let data = self.entries.get(first - 1);
            length += data.map_or(0, |kept| kept.data.len());
            if length > MAX_ANSWER && first < end {
                break;
            }
            first -= 1;
        }
        let before = (first > 0).then_some(oldest + first as u64);
        Page::new(self.cut(first, end), Some(self.position()), before)
    }

    /// The offset of the oldest entry, where there is one.
    fn oldest(&self) -> u64 {
        self.offset + 1 - self.entries.len() as u64
    }

    fn cut(&self, first: usize, end: usize) -> Vec<Entry> {
        let kept = self.entries.iter().take(end).skip(first);
        (self.oldest() + first as u64..)
            .zip(kept)
            .map(|(offset, kept)| Entry::new(offset, kept.data.clone()))
            .collect()
    }
}
