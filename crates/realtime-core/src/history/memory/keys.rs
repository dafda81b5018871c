//! The idempotency keys of one stream.

use std::collections::{HashMap, VecDeque};

use tokio::time::Instant;

use crate::history::{IDEMPOTENCY_KEYS, IDEMPOTENCY_WINDOW, IdempotencyKey};

/// What a key takes beside its text: it stands in a table and in a line.
const KEY: usize = 256;

/// Keys in the order of their first use, each with the offset that it had.
#[derive(Debug, Default)]
pub(super) struct Keys {
    offsets: HashMap<IdempotencyKey, u64>,
    order: VecDeque<(Instant, IdempotencyKey)>,
    bytes: usize,
}

/// What a key takes.
pub(super) fn size(key: &IdempotencyKey) -> usize {
    KEY + key.as_str().len()
}

impl Keys {
    pub(super) fn offset(&self, key: &IdempotencyKey) -> Option<u64> {
        self.offsets.get(key).copied()
    }

    pub(super) fn insert(&mut self, key: IdempotencyKey, offset: u64, now: Instant) {
        if self.len() >= IDEMPOTENCY_KEYS {
            self.pop();
        }
        self.bytes += size(&key);
        self.offsets.insert(key.clone(), offset);
        self.order.push_back((now, key));
    }

    /// Forgets those whose window has ended.
    pub(super) fn expire(&mut self, now: Instant) {
        let has_ended = |at: Instant| now.duration_since(at) >= IDEMPOTENCY_WINDOW;
        while self.order.front().is_some_and(|(at, _)| has_ended(*at)) {
            self.pop();
        }
        if self.order.is_empty() {
            // What they took, too.
            *self = Self::default();
        }
    }

    /// Forgets the oldest.
    pub(super) fn pop(&mut self) {
        if let Some((_, key)) = self.order.pop_front() {
            self.bytes -= size(&key);
            self.offsets.remove(&key);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the last of them ends.
    pub(super) fn ends(&self) -> Option<Instant> {
        let (at, _) = self.order.back()?;
        at.checked_add(IDEMPOTENCY_WINDOW)
    }
}
