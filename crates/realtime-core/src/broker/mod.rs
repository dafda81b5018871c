//! The broker seam: how messages reach the other nodes.

mod any;
pub mod control;
pub mod envelope;
mod error;
mod event;
mod fields;
mod join;
mod local;
mod membership;
mod message;
pub mod pubsub;
pub mod stream;
mod topic;

use std::time::Duration;

use bytes::Bytes;

pub use any::AnyBroker;
pub use error::{BrokerError, BrokerErrorKind};
pub use event::{BrokerEvent, BrokerEvents};
pub use join::{BrokerLimits, Join, NodeInfo};
pub use local::LocalBroker;
pub use membership::{Joining, Membership};
pub use message::{BrokerMessage, Subscription};
pub use topic::{InvalidTopicName, Topic, TopicName};

/// Moves bytes between the nodes of a cluster.
///
/// One value is one member: the gateway that owns it subscribes under its own name, and publishes
/// under the same name. What the bytes mean is the gateway's affair.
pub trait Broker: Send + Sync + 'static {
    /// Joins the cluster under this name and receives what is published for all, for this node,
    /// and on the topics that are named.
    ///
    /// # Behavior
    /// - Nothing is connected under the node's name before this is called.
    /// - What is published on a subscribed topic after this has returned is delivered.
    /// - What one source publishes for all and for this node is delivered in its order, across the
    ///   two; what it publishes on a named topic is delivered in its order there.
    /// - Own messages are not delivered.
    /// - A second subscription of the same member fails with kind
    ///   [`Config`](BrokerErrorKind::Config), as long as the first is there.
    /// - A node id under which another incarnation is alive fails with kind
    ///   [`DuplicateNode`](BrokerErrorKind::DuplicateNode).
    /// - Dropping the subscription leaves the cluster, and all topics. After that the member may
    ///   subscribe again.
    /// - It ends after [`close`](Self::close) only: any other end is an outage, and whoever reads
    ///   it subscribes again.
    ///
    /// # Errors
    /// As above; kind [`Unavailable`](BrokerErrorKind::Unavailable) when the broker can't be
    /// reached, kind [`Closed`](BrokerErrorKind::Closed) after [`close`](Self::close).
    fn subscribe(
        &self,
        join: Join,
    ) -> impl Future<Output = Result<Subscription, BrokerError>> + Send;

    /// Receives what is published on a named topic, too.
    ///
    /// # Behavior
    /// - What is published there after this has returned is delivered.
    /// - Joining a topic again changes nothing.
    /// - Where the link is made anew, what was joined is joined again. What is published on named
    ///   topics while there is no link is not counted as missed: after
    ///   [`Up`](BrokerEvent::Up) anything may be.
    ///
    /// # Errors
    /// Kind [`Unavailable`](BrokerErrorKind::Unavailable) before [`subscribe`](Self::subscribe)
    /// and while the link is down, [`Config`](BrokerErrorKind::Config) past the
    /// [limit](BrokerLimits::max_topics): the topic is not joined then.
    fn join(&self, topic: &TopicName) -> impl Future<Output = Result<(), BrokerError>> + Send;

    /// Receives no more of a named topic.
    ///
    /// # Behavior
    /// - What is published there after this has returned is not delivered.
    /// - Leaving what wasn't joined changes nothing.
    /// - It succeeds while the link is down: the topic isn't joined again.
    ///
    /// # Errors
    /// Kind [`Unavailable`](BrokerErrorKind::Unavailable) before [`subscribe`](Self::subscribe);
    /// kind [`Closed`](BrokerErrorKind::Closed).
    fn leave(&self, topic: &TopicName) -> impl Future<Output = Result<(), BrokerError>> + Send;

    /// Publishes to every other node that is subscribed to the topic.
    ///
    /// # Behavior
    /// - A targeted message for a node that is not there is reported as
    ///   [`NoRoute`](Published::NoRoute), where the broker [knows](BrokerLimits::knows_absence).
    /// - A targeted message reaches its node and no other.
    /// - A message on a named topic reaches those who have joined it, and no other; the one who
    ///   publishes needn't be among them.
    /// - The bytes arrive as they were given, also empty ones and large ones.
    /// - A message over the [limit](Self::limits) fails with kind
    ///   [`TooLarge`](BrokerErrorKind::TooLarge), and no other with it.
    /// - It fails before [`subscribe`](Self::subscribe), with kind
    ///   [`Unavailable`](BrokerErrorKind::Unavailable).
    /// - It fails at once when the broker is down or blocked, and never hangs.
    ///
    /// # Cancel safety
    /// Dropped before it returns, the message may reach some nodes, all, or none. Those that don't
    /// get it count it as missed.
    ///
    /// # Errors
    /// As above; kind [`Unknown`](BrokerErrorKind::Unknown) when it may or may not have been
    /// published.
    fn publish(
        &self,
        topic: &Topic,
        data: Bytes,
    ) -> impl Future<Output = Result<Published, BrokerError>> + Send;

    /// What this broker can do. A limit may become known with time, where only the server knows it.
    fn limits(&self) -> BrokerLimits;

    /// What happens to the link, and to the other nodes, from now on.
    ///
    /// # Behavior
    /// - Every caller gets a stream of its own.
    /// - Another node's coming and going is told, also where it goes without a word.
    /// - A stream that isn't read stays bounded: it loses the oldest changes of state, never a
    ///   count.
    /// - The stream ends after [`close`](Self::close).
    fn events(&self) -> BrokerEvents;

    /// How long what this node publishes for itself took to come back, the last time that is known:
    /// for metrics. `None` where nothing is known, as by default.
    fn loopback(&self) -> Option<Duration> {
        None
    }

    /// Leaves the cluster and frees what the broker holds.
    ///
    /// # Behavior
    /// - It is idempotent.
    /// - Subscriptions end.
    /// - Publishing afterwards fails with kind [`Closed`](BrokerErrorKind::Closed).
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// What became of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[must_use]
pub enum Published {
    /// The broker has accepted it, and can't know whether somebody listens there.
    Accepted,
    /// Nobody listens there: the node is gone.
    NoRoute,
    /// The broker has accepted it for those who listen. A broker that doesn't
    /// [know](BrokerLimits::knows_absence) whether anybody does says `Accepted` in place of this and of
    /// `NoRoute`.
    Routed,
}
