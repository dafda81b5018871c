//! The memory of answers that clients have given and nobody has read yet.

use std::sync::Arc;

use realtime_core::{ClientError, Message};

use crate::budget::{Budget, Share};

/// How many bytes an answer to an audience may have: its data, its route and its metadata.
pub(crate) const LONGEST_ANSWER: usize = 64 * 1024;
/// What it takes beside these.
const OVERHEAD: usize = 128;

/// What one answer takes, until this is dropped.
#[derive(Debug)]
pub(crate) struct Unread(
    #[expect(dead_code, reason = "it is given back when it is dropped")] Share,
);

impl Unread {
    /// `None` if it is too long, or too much is unread already.
    pub(crate) fn book(budget: &Arc<Budget>, said: &Result<Message, ClientError>) -> Option<Self> {
        let bytes = match said {
            Ok(message) => size(message),
            Err(refusal) => {
                let data = refusal.data().map_or(0, |data| data.len());
                refusal.code().len() + refusal.message().len() + data
            }
        };
        if bytes > LONGEST_ANSWER {
            return None;
        }
        let share = Share::new(Arc::clone(budget));
        share.set(bytes + OVERHEAD);
        // It was the last straw.
        (!budget.is_over()).then_some(Self(share))
    }
}

fn size(message: &Message) -> usize {
    let metadata = message.metadata().into_iter().flatten();
    let metadata: usize = metadata.map(|(name, value)| name.len() + value.len()).sum();
    message.data().len() + message.route().len() + metadata
}

#[cfg(all(test, not(realtime_loom)))]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use realtime_core::Payload;

    use super::*;

    fn answer(bytes: usize) -> Result<Message, ClientError> {
        let data = Payload::json(&"x".repeat(bytes.saturating_sub(2))).unwrap();
        Ok(Message::plain(None, "".into(), data))
    }

    #[test]
    fn what_is_unread_is_bounded_and_given_back() {
        let budget = Arc::new(Budget::new(2 * (1_000 + OVERHEAD)));
        let book = |bytes| Unread::book(&budget, &answer(bytes));
        let (one, two) = (book(1_000).unwrap(), book(1_000).unwrap());
        assert!(book(2).is_none(), "there is no memory for it");
        assert_eq!(budget.used(), 2 * (1_000 + OVERHEAD));
        drop(one);
        assert!(book(2).is_some());
        drop(two);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn one_answer_is_bounded() {
        let budget = Arc::new(Budget::new(1 << 30));
        assert!(Unread::book(&budget, &answer(LONGEST_ANSWER)).is_some());
        assert!(Unread::book(&budget, &answer(LONGEST_ANSWER + 1)).is_none());
        let refusal = ClientError::new("no", "x".repeat(LONGEST_ANSWER));
        assert!(Unread::book(&budget, &Err(refusal)).is_none());
        assert_eq!(budget.used(), 0);
    }
}
