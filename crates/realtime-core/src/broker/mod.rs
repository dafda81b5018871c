//! The broker seam: how messages reach the other nodes.

mod any;
pub mod envelope;
mod event;
mod local;
pub mod stream;

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream::BoxStream};

use crate::{Incarnation, NodeId, error::operation_error};

pub use any::AnyBroker;
pub use event::{BrokerEvent, BrokerEvents};
pub use local::LocalBroker;

/// Moves bytes between the nodes of a cluster.
///
/// One value is one member: the gateway that owns it subscribes once, under its own name, and
/// publishes under the same name. What the bytes mean is the gateway's affair.
pub trait Broker: Send + Sync + 'static {
    /// Joins the cluster under this name and receives what is published on these topics.
    ///
    /// # Behavior
    /// - Nothing is connected under the node's name before this is called.
    /// - What is published on a subscribed topic after this has returned is delivered.
    /// - What one source publishes is delivered in its order, across topics too.
    /// - Own messages are not delivered.
    /// - A second subscription of the same member fails with kind
    ///   [`Config`](BrokerErrorKind::Config).
    /// - A node id under which another incarnation is alive fails with kind
    ///   [`DuplicateNode`](BrokerErrorKind::DuplicateNode).
    /// - Dropping the subscription leaves the cluster.
    /// - It ends after [`close`](Self::close) only: any other end is an outage that lasts.
    ///
    /// # Errors
    /// As above; kind [`Unavailable`](BrokerErrorKind::Unavailable) when the broker can't be
    /// reached, kind [`Closed`](BrokerErrorKind::Closed) after [`close`](Self::close).
    fn subscribe(
        &self,
        node: NodeInfo,
        topics: &[Topic],
    ) -> impl Future<Output = Result<Subscription, BrokerError>> + Send;

    /// Publishes to every other node that is subscribed to the topic.
    ///
    /// # Behavior
    /// - A targeted message for a node that is not there is reported as
    ///   [`NoRoute`](Published::NoRoute).
    /// - A targeted message reaches its node and no other.
    /// - The bytes arrive as they were given, also empty ones and large ones.
    /// - It fails before [`subscribe`](Self::subscribe), with kind
    ///   [`Unavailable`](BrokerErrorKind::Unavailable).
    /// - It fails at once when the broker is down or blocked, and never hangs.
    ///
    /// # Errors
    /// As above; kind [`Unknown`](BrokerErrorKind::Unknown) when it may or may not have been
    /// published.
    fn publish(
        &self,
        topic: &Topic,
        data: Bytes,
    ) -> impl Future<Output = Result<Published, BrokerError>> + Send;

    /// What happens to the link, from now on.
    ///
    /// # Behavior
    /// - Every caller gets a stream of its own.
    /// - A stream that isn't read stays bounded: it loses the oldest changes of state, never a
    ///   count.
    /// - The stream ends after [`close`](Self::close).
    fn events(&self) -> BrokerEvents;

    /// Leaves the cluster and frees what the broker holds.
    ///
    /// # Behavior
    /// - It is idempotent.
    /// - Subscriptions end.
    /// - Publishing afterwards fails with kind [`Closed`](BrokerErrorKind::Closed).
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// A node as it joins the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct NodeInfo {
    /// The node's name.
    pub id: NodeId,
    /// Drawn at random for each start of the gateway.
    pub incarnation: Incarnation,
}

impl NodeInfo {
    /// A node with this name and incarnation.
    #[must_use]
    pub const fn new(id: NodeId, incarnation: Incarnation) -> Self {
        Self { id, incarnation }
    }
}

/// Where a message is published.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Topic {
    /// Every node.
    All,
    /// One node.
    Node(NodeId),
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Node(id) => write!(f, "n.{id}"),
        }
    }
}

/// What became of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
pub enum Published {
    /// Nobody listens there: the node is gone.
    NoRoute,
    /// The broker has accepted it.
    Routed,
}

/// A message from another node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokerMessage {
    /// The topic on which it was published.
    pub topic: Topic,
    /// The bytes that were published.
    pub data: Bytes,
    /// The node that published it.
    pub source: NodeId,
    /// The start of that node from which it comes.
    pub incarnation: Incarnation,
    /// Its number among the messages of that incarnation on that topic, from 1.
    pub seq: u64,
}

impl BrokerMessage {
    /// A message, as a backend yields it.
    #[must_use]
    pub fn new(topic: Topic, data: Bytes, from: NodeInfo, seq: u64) -> Self {
        Self {
            topic,
            data,
            source: from.id,
            incarnation: from.incarnation,
            seq,
        }
    }
}

/// What a node receives: one ordered stream. Dropping it leaves the cluster.
pub struct Subscription(BoxStream<'static, BrokerMessage>);

impl Subscription {
    /// Wraps a backend's stream, whose `Drop` unsubscribes.
    #[must_use]
    pub fn new(stream: impl Stream<Item = BrokerMessage> + Send + 'static) -> Self {
        Self(stream.boxed())
    }
}

impl Stream for Subscription {
    type Item = BrokerMessage;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<BrokerMessage>> {
        self.0.poll_next_unpin(cx)
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

operation_error! {
    /// A broker that could not do what it was asked.
    BrokerError, BrokerErrorKind
}

/// The sorts of [`BrokerError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BrokerErrorKind {
    /// The broker is up but accepts no publications for now.
    Blocked,
    /// The broker was closed.
    Closed,
    /// The broker is misconfigured or misused; trying again won't help.
    Config,
    /// Another node is alive under this node's id.
    DuplicateNode,
    /// Bytes from another node that are not a message of this protocol.
    InvalidMessage,
    /// The broker can't be reached.
    Unavailable,
    /// The outcome is not known: the message may or may not be delivered.
    Unknown,
}

impl BrokerError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        use BrokerErrorKind as K;
        matches!(self.kind, K::Blocked | K::Unavailable | K::Unknown)
    }
}
