//! A broker for any server that passes bytes on by topics: a backend moves them, the rest is here.
//!
//! What a server such as NATS or MQTT needs of a member is always the same: one link that is made
//! anew without end, one task that stamps and sends in order, readers that put what comes into one
//! inbox, beacons, and a round trip that shows what the server has read. [`PubSubBroker`] has all of
//! that, on top of [`stream`](super::stream). A backend implements [`PubSub`], which connects, and
//! [`PubSubConnection`], which subscribes and publishes; `examples/custom-broker` is one, over NATS.
//!
//! ```text
//!   the gateway ─► PubSubBroker ─► one task ─► PubSubConnection::publish ─► the server
//!               ◄─ inbox ◄─ readers, one for each subscription ◄─ their streams ◄─┘
//! ```
//!
//! A server that says more than that is worth a [`Broker`](super::Broker) of its own. The one for
//! RabbitMQ isn't built on this: it learns from confirmations whether somebody listens, has one
//! connection that publishes and one that consumes, and acknowledges what the gateway has taken.
//! Nor is the one for Redis, which learns from the answer to each publication how many have heard
//! it, reads no more from its socket than the gateway takes, and follows masters of a Cluster and
//! sentinels. What these have in common with this one is in [`stream`](super::stream) and
//! [`Membership`](super::Membership).

mod broker;
mod echoes;
mod link;
mod open;
mod readers;
mod refused;
mod requests;

use bytes::Bytes;
use futures::Stream;

use super::{NodeInfo, Topic};
use crate::{BoxError, NodeId};

pub use broker::PubSubBroker;

/// A server that passes bytes on by topics, to which [`PubSubBroker`] connects.
///
/// ```
/// use bytes::Bytes;
/// use futures::{StreamExt, stream};
/// use realtime::{
///     broker::{NodeInfo, Topic, pubsub::{PubSub, PubSubBroker, PubSubConnection}},
///     BoxError,
///     node::NodeId,
/// };
/// use tokio::sync::broadcast;
///
/// /// A server in this process: everybody hears everything, and picks out what is for them.
/// #[derive(Debug, Clone)]
/// struct Bus(broadcast::Sender<(Topic, Bytes)>);
///
/// impl PubSub for Bus {
///     type Connection = Self;
///
///     async fn connect(&self, _node: &NodeInfo) -> Result<Self, BoxError> {
///         Ok(self.clone())
///     }
/// }
///
/// impl Bus {
///     fn hear(&self, is_for_us: impl Fn(&Topic) -> bool + Send + 'static) -> Messages {
///         let heard = stream::unfold(self.0.subscribe(), async |mut bus| {
///             // What came too fast is lost, and will be counted.
///             loop {
///                 match bus.recv().await {
///                     Ok(heard) => return Some((heard, bus)),
///                     Err(broadcast::error::RecvError::Lagged(_)) => {}
///                     Err(broadcast::error::RecvError::Closed) => return None,
///                 }
///             }
///         });
///         let ours = heard.filter_map(move |(topic, data)| {
///             let data = is_for_us(&topic).then_some(data);
///             async { data }
///         });
///         ours.boxed()
///     }
/// }
///
/// type Messages = stream::BoxStream<'static, Bytes>;
///
/// impl PubSubConnection for Bus {
///     type Messages = Messages;
///
///     async fn subscribe(&self, topic: &Topic) -> Result<Messages, BoxError> {
///         let topic = topic.clone();
///         Ok(self.hear(move |heard| *heard == topic))
///     }
///
///     async fn subscribe_node(&self, node: &NodeId) -> Result<Messages, BoxError> {
///         let own = Topic::Node(node.clone());
///         Ok(self.hear(move |heard| *heard == Topic::All || *heard == own))
///     }
///
///     async fn publish(&self, topic: &Topic, data: Bytes) -> Result<(), BoxError> {
///         self.0.send((topic.clone(), data))?;
///         Ok(())
///     }
///
///     async fn lost(&self) -> BoxError {
///         std::future::pending().await
///     }
/// }
///
/// let bus = Bus(broadcast::Sender::new(1_024));
/// let node = |bus: &Bus| realtime::builder().broker(PubSubBroker::new(bus.clone())).build();
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let (here, there) = (node(&bus)?, node(&bus)?);
/// here.start().await?;
/// there.start().await?;
/// here.broadcast("news", realtime::Json("to the sessions of both")).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait PubSub: Send + Sync + 'static {
    /// What it is connected by.
    type Connection: PubSubConnection;

    /// Connects, for this node.
    ///
    /// # Behavior
    /// - A connection that is lost stays so: nobody but the caller makes another one.
    /// - It is given up after 2 s.
    ///
    /// # Errors
    /// When the server can't be reached or refuses it: the caller tries again.
    fn connect(
        &self,
        node: &NodeInfo,
    ) -> impl Future<Output = Result<Self::Connection, BoxError>> + Send;
}

/// A connection to a [`PubSub`]; dropping it ends it.
///
/// Each call but [`lost`](Self::lost) is given up after 2 s.
pub trait PubSubConnection: Send + Sync + 'static {
    /// What comes on a subscription; dropping it ends that.
    type Messages: Stream<Item = Bytes> + Send + 'static;

    /// Receives what is published on a topic.
    ///
    /// # Behavior
    /// - The server does what it is told on one connection in that order: what is published on it
    ///   later comes back on this subscription.
    /// - What one connection publishes on the topic comes in its order, or not at all.
    /// - What comes faster than it is taken may be dropped, but not kept without a bound; and it holds
    ///   up no other subscription.
    /// - The stream goes on as long as the connection: where it ends before it is dropped, the
    ///   connection is given up.
    ///
    /// # Errors
    /// When it can't be done, such as where the server refuses this topic. The connection is given up
    /// only where it is of no use otherwise, which a round trip shows. Where a server refuses without
    /// an answer to this call, [`lost`](Self::lost) says so: then it costs the connection.
    fn subscribe(
        &self,
        topic: &Topic,
    ) -> impl Future<Output = Result<Self::Messages, BoxError>> + Send;

    /// Receives what is published for all and for this node, in one line: what one connection
    /// publishes on the two comes in its order. As [`subscribe`](Self::subscribe) otherwise.
    ///
    /// What is for other nodes may come as well; it is dropped.
    ///
    /// # Errors
    /// When it can't be done.
    fn subscribe_node(
        &self,
        node: &NodeId,
    ) -> impl Future<Output = Result<Self::Messages, BoxError>> + Send;

    /// Publishes to all who have subscribed to the topic, this connection among them.
    ///
    /// It only hands the message over, and doesn't wait for the server: that the server has read it is
    /// asked for by a round trip. Others wait meanwhile, each for 2 s at the most.
    ///
    /// # Errors
    /// When it wasn't taken; the connection is given up for that.
    fn publish(
        &self,
        topic: &Topic,
        data: Bytes,
    ) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Waits until the connection is lost, and says why. A client library that would connect anew
    /// by itself says so, too, before it has: nothing that comes back later counts.
    ///
    /// # Cancel safety
    /// Dropped before it returns, nothing is lost: it is called again, and by several at once.
    fn lost(&self) -> impl Future<Output = BoxError> + Send;

    /// The largest message that the server takes, in bytes. Without a bound by default.
    fn max_message(&self) -> usize {
        usize::MAX
    }
}
