//! Messages that were read while a handler runs: bounded, so that a peer that sends faster than it
//! is served waits in its socket.
//!
//! Some are read ahead, and not only one, so that a close frame behind them is seen while the
//! handler still runs.

use std::collections::VecDeque;

use realtime_core::Message;

use crate::metrics::Size;

/// How many bytes they may have together, before the last.
const BYTES: usize = 64 * 1024;
/// The same while somebody waits for an answer of the client's, which may come behind them.
const MORE_BYTES: usize = 1024 * 1024;
/// What a message takes beside its bytes.
const OVERHEAD: usize = size_of::<(Message, usize, Size)>() + 64;
/// What metadata takes beside its entries: the first node of its tree has room for eleven.
const MAP: usize = 11 * size_of::<(String, String)>() + 64;
/// What an entry of metadata takes beside its bytes: a place in a tree that is half empty, and two
/// strings of its own, for which an allocator takes some more.
const ENTRY: usize = 2 * size_of::<(String, String)>() + 64;

/// Boxed, since there seldom are any: an idle session keeps no room for them.
#[derive(Debug, Default)]
pub(super) struct ReadAhead(Option<Box<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<(Message, usize, Size)>,
    bytes: usize,
}

impl ReadAhead {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether no more is to be read for now.
    pub(super) fn is_full(&self) -> bool {
        self.bytes() >= BYTES
    }

    /// Whether no more is to be read either where somebody waits for an answer.
    pub(super) fn is_overfull(&self) -> bool {
        self.bytes() >= MORE_BYTES
    }

    pub(super) fn len(&self) -> usize {
        self.0
            .as_deref()
            .map_or(0, |waiting| waiting.messages.len())
    }

    /// The memory that they take.
    pub(super) fn bytes(&self) -> usize {
        self.0.as_deref().map_or(0, |waiting| waiting.bytes)
    }

    /// How long they were as they came.
    pub(super) fn size(&self) -> Size {
        let messages = self.0.iter().flat_map(|waiting| &waiting.messages);
        messages.fold(Size::default(), |all, (_, _, size)| all.and(*size))
    }

    /// Appends a message that came in so many bytes.
    pub(super) fn push(&mut self, message: Message, bytes: usize) {
        let waiting = self.0.get_or_insert_default();
        let size = Size::of(bytes);
        let bytes = bytes + OVERHEAD + metadata(&message);
        waiting.bytes += bytes;
        waiting.messages.push_back((message, bytes, size));
    }

    pub(super) fn pop(&mut self) -> Option<(Message, Size)> {
        let waiting = self.0.as_mut()?;
        let (message, bytes, size) = waiting.messages.pop_front()?;
        waiting.bytes -= bytes;
        if waiting.messages.is_empty() {
            self.0 = None;
        }
        Some((message, size))
    }
}

/// The memory of its metadata, which is a copy.
fn metadata(message: &Message) -> usize {
    let Some(metadata) = message.metadata().filter(|entries| !entries.is_empty()) else {
        return 0;
    };
    let entries = metadata.iter();
    let entries = entries.map(|(key, value)| ENTRY + key.len() + value.len());
    MAP + entries.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use realtime_core::{MessageParts, Payload};

    use super::*;

    fn message(route: &str) -> Message {
        Message::new(route, ()).unwrap()
    }

    #[test]
    fn it_is_bounded_in_memory_and_keeps_the_order() {
        let mut ahead = ReadAhead::default();
        let mut pushed = 0;
        while !ahead.is_full() {
            ahead.push(message(&pushed.to_string()), 1);
            pushed += 1;
        }
        assert!((64..1_024).contains(&pushed), "{pushed}");
        assert_eq!(ahead.len(), pushed);
        for n in 0..pushed {
            assert_eq!(ahead.pop().unwrap().0.route(), n.to_string());
        }
        assert!(ahead.is_empty() && ahead.pop().is_none());
        let mut parts = MessageParts::new("a".into(), Payload::empty());
        parts.metadata = Some([("k".to_owned(), "v".to_owned())].into());
        ahead.push(Message::from_parts(parts), 1);
        assert!(ahead.bytes() > 11 * size_of::<(String, String)>(), "a node");
        ahead.pop();
        ahead.push(message("large"), BYTES);
        assert!(ahead.is_full());
        assert!(ahead.pop().is_some() && !ahead.is_full());
    }
}
