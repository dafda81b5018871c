//! What happens to the link between the nodes.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{Stream, StreamExt, stream::BoxStream};

use super::{NodeInfo, Topic};
use crate::{
    NodeId,
    events::{Event, push_change},
};

/// How many sources of gaps wait for a listener that doesn't read.
const SOURCES: usize = 1_024;
/// How many causes of invalid messages wait for a listener that doesn't read.
const CAUSES: usize = 16;
/// How many comings and goings of nodes wait for a listener that doesn't read.
const NODES: usize = 1_024;

/// Something that happened to the link between this node and the others, or to one of those.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BrokerEvent {
    /// The broker refuses publications for now, for example because it is short of memory.
    Blocked,
    /// The link is down; what is published meanwhile is lost to this node.
    #[non_exhaustive]
    Down {
        /// Why, for people.
        cause: String,
    },
    /// Messages of another node did not arrive.
    #[non_exhaustive]
    Gap {
        /// The node that published them.
        source: NodeId,
        /// The topic on which it did, where that is known.
        topic: Option<Topic>,
        /// How many.
        missed: u64,
    },
    /// Something arrived that this node can't read, and was dropped.
    #[non_exhaustive]
    InvalidMessage {
        /// What was expected and what came, for people. Nothing of the message itself.
        cause: String,
        /// How many such messages.
        count: u64,
    },
    /// Another node has left, was started again, or hasn't been heard for three of its beacons.
    #[non_exhaustive]
    NodeDown {
        /// That start of the node.
        node: NodeInfo,
    },
    /// Another node is there: it has joined, or is heard again.
    #[non_exhaustive]
    NodeUp {
        /// That start of the node.
        node: NodeInfo,
    },
    /// The broker accepts publications again.
    Unblocked,
    /// The link is up.
    Up,
}

impl BrokerEvent {
    /// The link is down, for this reason.
    pub fn down(cause: impl Into<String>) -> Self {
        let cause = cause.into();
        Self::Down { cause }
    }

    /// So many messages of a node did not arrive, on this topic where it is known.
    #[must_use]
    pub const fn gap(source: NodeId, topic: Option<Topic>, missed: u64) -> Self {
        Self::Gap {
            source,
            topic,
            missed,
        }
    }

    /// So many messages could not be read, for this reason.
    pub fn invalid_message(cause: impl Into<String>, count: u64) -> Self {
        let cause = cause.into();
        Self::InvalidMessage { cause, count }
    }

    /// Another node has gone.
    #[must_use]
    pub const fn node_down(node: NodeInfo) -> Self {
        Self::NodeDown { node }
    }

    /// Another node is there.
    #[must_use]
    pub const fn node_up(node: NodeInfo) -> Self {
        Self::NodeUp { node }
    }

    fn sort(&self) -> Sort {
        match self {
            Self::Gap { .. } => Sort::Gap,
            Self::InvalidMessage { .. } => Sort::Invalid,
            Self::NodeDown { .. } | Self::NodeUp { .. } => Sort::Node,
            Self::Blocked | Self::Down { .. } | Self::Unblocked | Self::Up => Sort::Link,
        }
    }

    /// How many are missing, of what is counted.
    const fn count(&mut self) -> Option<&mut u64> {
        match self {
            Self::Gap { missed, .. } => Some(missed),
            Self::InvalidMessage { count, .. } => Some(count),
            _ => None,
        }
    }

    /// Whether the two say the same, but for how many.
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Gap { source, topic, .. },
                Self::Gap {
                    source: other,
                    topic: elsewhere,
                    ..
                },
            ) => source == other && topic == elsewhere,
            (Self::InvalidMessage { cause, .. }, Self::InvalidMessage { cause: other, .. }) => {
                cause == other
            }
            _ => false,
        }
    }

    /// Adds a count to what waits of the same sort, or to the last of its sort where `most` wait.
    /// Returns whether it did.
    fn is_added(&mut self, waiting: &mut VecDeque<Self>, most: usize) -> bool {
        let sort = self.sort();
        let alike = waiting.iter().position(|event| event.is_like(self));
        let place = alike.or_else(|| {
            let of_sort = waiting.iter().filter(|event| event.sort() == sort);
            let is_full = of_sort.count() >= most;
            let last = waiting.iter().rposition(|event| event.sort() == sort);
            last.filter(|_| is_full)
        });
        let known = place.and_then(|at| waiting[at].count());
        let (Some(known), Some(more)) = (known, self.count()) else {
            return false;
        };
        *known = known.saturating_add(*more);
        true
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Gap,
    Invalid,
    Link,
    Node,
}

/// While a listener doesn't read, the gaps of one source and topic are added up, and so are the
/// invalid messages of one cause. Past 1,024 and 16 of them they are added to the last one. Of the
/// changes of the link the last 63 at least are kept; of a node the last word, and of 1,024 nodes.
impl Event for BrokerEvent {
    fn wait_in(mut self, waiting: &mut VecDeque<Self>) {
        match self.sort() {
            Sort::Gap if self.is_added(waiting, SOURCES) => {}
            Sort::Invalid if self.is_added(waiting, CAUSES) => {}
            Sort::Gap | Sort::Invalid => waiting.push_back(self),
            Sort::Link => push_change(self, waiting, |event| event.sort() == Sort::Link),
            Sort::Node => {
                let of = node_of(&self).cloned();
                waiting.retain(|event| node_of(event).is_none() || node_of(event) != of.as_ref());
                let is_node = |event: &Self| event.sort() == Sort::Node;
                if waiting.iter().filter(|event| is_node(event)).count() >= NODES
                    && let Some(oldest) = waiting.iter().position(is_node)
                {
                    waiting.remove(oldest);
                }
                waiting.push_back(self);
            }
        }
    }
}

/// The start of a node that an event tells of.
const fn node_of(event: &BrokerEvent) -> Option<&NodeInfo> {
    match event {
        BrokerEvent::NodeDown { node } | BrokerEvent::NodeUp { node } => Some(node),
        _ => None,
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
    use crate::{Events, Incarnation};

    fn invalid(cause: &str, count: u64) -> BrokerEvent {
        BrokerEvent::invalid_message(cause, count)
    }

    fn gap(source: &str, missed: u64) -> BrokerEvent {
        BrokerEvent::gap(source.parse().unwrap(), Some(Topic::All), missed)
    }

    fn down() -> BrokerEvent {
        BrokerEvent::down("no answer")
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
    async fn of_a_node_the_last_word_waits() {
        let node =
            |n: u64| NodeInfo::new(format!("n{n}").parse().unwrap(), Incarnation::from_u64(n));
        let events = Events::new();
        let unread = events.subscribe();
        for n in 0..5_000 {
            events.send(BrokerEvent::node_up(node(n)));
            events.send(BrokerEvent::node_down(node(n)));
            events.send(BrokerEvent::node_up(node(4_999)));
        }
        events.close();
        let heard: Vec<_> = unread.collect().await;
        assert_eq!(heard.len(), NODES);
        assert_eq!(heard.last(), Some(&BrokerEvent::node_up(node(4_999))));
        assert_eq!(heard[NODES - 2], BrokerEvent::node_down(node(4_998)));
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
