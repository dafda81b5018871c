//! What happens to the link between the nodes.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{Stream, StreamExt, stream::BoxStream};

use crate::{
    NodeId,
    events::{Event, push_change},
};

/// How many sources of gaps wait for a listener that doesn't read.
const SOURCES: usize = 1_024;
/// How many causes of invalid messages wait for a listener that doesn't read.
const CAUSES: usize = 16;

/// Something that happened to the link between this node and the others.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BrokerEvent {
    /// The broker refuses publications for now, for example because it is short of memory.
    Blocked,
    /// The link is down; what is published meanwhile is lost to this node.
    Down {
        /// Why, for people.
        cause: String,
    },
    /// Messages of another node did not arrive.
    Gap {
        /// The node that published them.
        source: NodeId,
        /// How many.
        missed: u64,
    },
    /// Something arrived that is not a message of this version, and was dropped.
    InvalidMessage {
        /// What was expected and what came, for people. Nothing of the message itself.
        cause: String,
        /// How many such messages.
        count: u64,
    },
    /// The broker accepts publications again.
    Unblocked,
    /// The link is up.
    Up,
}

impl BrokerEvent {
    fn is_change(&self) -> bool {
        !matches!(self, Self::Gap { .. } | Self::InvalidMessage { .. })
    }

    /// Adds a count to what waits of the same sort, or to the last of its sort where too many
    /// wait. Returns whether it did.
    fn is_added(&self, waiting: &mut VecDeque<Self>) -> bool {
        let (mut last, mut sorts) = (None, 0);
        for event in waiting {
            match (event, self) {
                (
                    Self::Gap { source, missed },
                    Self::Gap {
                        source: other,
                        missed: more,
                    },
                ) => {
                    if source == other {
                        *missed = missed.saturating_add(*more);
                        return true;
                    }
                    (last, sorts) = (Some((missed, *more, SOURCES)), sorts + 1);
                }
                (
                    Self::InvalidMessage { cause, count },
                    Self::InvalidMessage {
                        cause: other,
                        count: more,
                    },
                ) => {
                    if cause == other {
                        *count = count.saturating_add(*more);
                        return true;
                    }
                    (last, sorts) = (Some((count, *more, CAUSES)), sorts + 1);
                }
                _ => {}
            }
        }
        match last {
            Some((last, more, most)) if sorts >= most => {
                *last = last.saturating_add(more);
                true
            }
            _ => false,
        }
    }
}

/// While a listener doesn't read, the gaps of one source are added up, and so are the invalid
/// messages of one cause. Past 1,024 sources and 16 causes they are added to the last one. Of the
/// changes of state the last 63 at least are kept.
impl Event for BrokerEvent {
    fn wait_in(self, waiting: &mut VecDeque<Self>) {
        if self.is_change() {
            push_change(self, waiting, Self::is_change);
        } else if !self.is_added(waiting) {
            waiting.push_back(self);
        }
    }
}

/// A stream of [`BrokerEvent`]s.
pub struct BrokerEvents(BoxStream<'static, BrokerEvent>);

impl BrokerEvents {
    /// Wraps a backend's stream.
    #[must_use]
    pub fn new(stream: impl Stream<Item = BrokerEvent> + Send + 'static) -> Self {
        Self(stream.boxed())
    }
}

impl Stream for BrokerEvents {
    type Item = BrokerEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<BrokerEvent>> {
        self.0.poll_next_unpin(cx)
    }
}

impl fmt::Debug for BrokerEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerEvents").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Events;

    fn invalid(cause: &str, count: u64) -> BrokerEvent {
        let cause = cause.to_owned();
        BrokerEvent::InvalidMessage { cause, count }
    }

    fn gap(source: &str, missed: u64) -> BrokerEvent {
        let source = source.parse().unwrap();
        BrokerEvent::Gap { source, missed }
    }

    fn down() -> BrokerEvent {
        let cause = "no answer".to_owned();
        BrokerEvent::Down { cause }
    }

    #[tokio::test]
    async fn a_flood_of_invalid_messages_pushes_nothing_out() {
        let events = Events::new();
        let unread = events.subscribe();
        for n in 0..5_000 {
            match n {
                1_000 | 4_000 => events.send(gap("a", 7)),
                2_000 => events.send(down()),
                3_000 => events.send(BrokerEvent::Up),
                3_500 => events.send(gap("b", 1)),
                _ => {}
            }
            events.send(invalid("too short", 1));
        }
        events.close();
        let heard: Vec<_> = unread.collect().await;
        let expected = [
            invalid("too short", 5_000),
            gap("a", 14),
            down(),
            BrokerEvent::Up,
            gap("b", 1),
        ];
        assert_eq!(heard, expected);
    }

    #[tokio::test]
    async fn what_waits_is_bounded_and_keeps_its_counts_and_the_last_state() {
        let events = Events::new();
        let unread = events.subscribe();
        for n in 0..5_000 {
            events.send(gap(&format!("n{n}"), 2));
            events.send(invalid(&n.to_string(), 1));
            events.send(down());
            events.send(BrokerEvent::Up);
        }
        events.send(down());
        events.close();
        let heard: Vec<_> = unread.collect().await;
        let (mut missed, mut count, mut changes) = (0, 0, Vec::new());
        for event in &heard {
            match event {
                BrokerEvent::Gap { missed: n, .. } => missed += n,
                BrokerEvent::InvalidMessage { count: n, .. } => count += n,
                change => changes.push(change.clone()),
            }
        }
        assert_eq!((missed, count), (10_000, 5_000));
        assert_eq!(heard.len(), SOURCES + CAUSES + changes.len());
        assert!((62..=64).contains(&changes.len()), "{}", changes.len());
        assert!(changes.chunks(2).all(|pair| pair[0] == down()));
        assert_eq!(changes.last(), Some(&down()), "as it is now");
    }

    #[tokio::test]
    async fn a_listener_that_waits_is_woken() {
        let events = Events::new();
        let (mut one, two) = (events.subscribe(), events.subscribe());
        let told = async {
            tokio::task::yield_now().await;
            events.send(down());
            tokio::task::yield_now().await;
            events.send(BrokerEvent::Up);
            tokio::task::yield_now().await;
            drop(events);
        };
        let read = async { [one.next().await, one.next().await, one.next().await] };
        let ((), read) = tokio::join!(told, read);
        assert_eq!(read, [Some(down()), Some(BrokerEvent::Up), None]);
        assert_eq!(two.collect::<Vec<_>>().await.len(), 2);
    }
}
