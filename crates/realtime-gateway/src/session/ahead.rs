//! Messages that were read while a handler runs: bounded, so that a peer that sends faster than it
//! is served waits in its socket.
//!
//! Some are read ahead, and not only one, so that a goodbye behind them is heard while the handler
//! still runs.

use std::collections::VecDeque;

use realtime_core::Message;

/// How many messages are read ahead.
const MESSAGES: usize = 16;
/// How many bytes they may have together, before the last.
const BYTES: usize = 64 * 1024;

#[derive(Debug, Default)]
pub(super) struct Ahead {
    messages: VecDeque<(Message, usize)>,
    bytes: usize,
}

impl Ahead {
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether no more is to be read for now.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= BYTES || self.messages.len() >= MESSAGES
    }

    /// Appends a message that came in so many bytes.
    pub(super) fn push(&mut self, message: Message, bytes: usize) {
        self.bytes += bytes;
        self.messages.push_back((message, bytes));
    }

    pub(super) fn pop(&mut self) -> Option<Message> {
        let (message, bytes) = self.messages.pop_front()?;
        self.bytes -= bytes;
        if self.messages.is_empty() {
            // An idle session keeps no room for them.
            self.messages = VecDeque::new();
        }
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(route: &str) -> Message {
        Message::new(route, ()).unwrap()
    }

    #[test]
    fn it_is_bounded_in_messages_and_bytes_and_keeps_the_order() {
        let mut ahead = Ahead::default();
        for n in 0..MESSAGES {
            assert!(!ahead.is_full());
            ahead.push(message(&n.to_string()), 1);
        }
        assert!(ahead.is_full());
        for n in 0..MESSAGES {
            assert_eq!(ahead.pop().unwrap().route(), n.to_string());
        }
        assert!(ahead.is_empty() && ahead.pop().is_none());
        ahead.push(message("large"), BYTES);
        assert!(ahead.is_full());
        assert!(ahead.pop().is_some() && !ahead.is_full());
    }
}
