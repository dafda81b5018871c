//! What every networked broker needs so that nothing is lost in silence: numbers, gaps, beacons,
//! and who else is there.
//!
//! A backend moves bytes; the two halves of a [`pair`] give them meaning. [`Outgoing`] stamps what
//! a node sends with its name, its incarnation and a number per topic, and knows what the node has
//! to say of itself, and when. [`Incoming`] reads what arrives, drops the node's own messages and
//! duplicates, counts what is missing, and tells of other nodes. `docs/wire.md` has the bytes.
//!
//! ```text
//!   publish ──► Outgoing::message ─┐                         ┌─► Next::Deliver ─► the gateway
//!   in a loop ► Outgoing::next ────┼──► bytes, in order ──► Incoming::receive ─► DuplicateNode
//!   at first ─► Outgoing::hello ───┤                         └─► Events: Gap, NodeUp, NodeDown, …
//!   at last ──► Outgoing::goodbye ─┘
//! ```
//!
//! Six rules keep the numbers true:
//! 1. Stamp in the order in which you send: hold one lock, or use one task, for both.
//! 2. Keep both halves across reconnects, and make new ones with each subscription, whose numbers
//!    [continue](Outgoing::continue_from) behind those of the one before.
//! 3. Before you bind the node's own topic, publish the [question](Outgoing::question) there; if
//!    an answer comes within [`ANSWER_TIMEOUT`], another node is alive under the id.
//! 4. As soon as you are connected, call [`begin`](Outgoing::begin) and publish the
//!    [hello](Outgoing::hello): others tell which numbers they have reached, and this node learns
//!    what it has missed.
//! 5. Publish whatever [`next`](Outgoing::next) yields for as long as the link is there. When it
//!    says that the [link is down](Due::LinkDown), it is, whatever the client library says: what
//!    this node has published for itself did not come back.
//! 6. Join again what [`Topics`] names when the link is made anew, and
//!    [leave](Outgoing::goodbye) with a word. [`Joins`] has what several who ask for one topic at the
//!    same time are promised.
//!
//! While the gateway takes nothing, [`stall`](Incoming::stall): the link is no worse for it. Where
//! named topics come on subscriptions of their own, only the one that has what is for all and for this
//! node stalls; of the others, [`receive_beside`](Incoming::receive_beside).

mod beacon;
mod incoming;
mod joins;
mod loopback;
mod outgoing;
mod peers;
mod schedule;
mod shared;
mod stamp;
mod topics;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{BrokerEvent, BrokerMessage, NodeInfo, Topic};
use crate::{Events, Incarnation};

pub use incoming::{Incoming, Look, look};
pub use joins::{Attempt, Joins};
pub use loopback::{LoopbackTime, Stall};
pub use outgoing::{Numbered, Outgoing};
pub use stamp::MAX_STAMP;
pub use topics::Topics;

/// How often a node sees whether what it publishes for itself comes back, and says in a cluster of
/// up to 34 nodes which numbers it has reached. In a larger one of `n` nodes it is `n`² × 2.5 ms, so
/// that what all of them hear doesn't grow, and 60 s at the most, so that it does past 155 nodes; but
/// where a number for all is news, 0.1 s for each node at the most.
pub const BEACON_INTERVAL: Duration = Duration::from_secs(3);

/// How long a node waits, before it binds its name, for another that has it already.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// The two halves of a node's stream, which report to these listeners. See the [module](self).
///
/// ```
/// use std::sync::Arc;
///
/// use futures::StreamExt;
/// use realtime::{
///     broker::{BrokerEvent, NodeInfo, Topic, stream::{self, Next}},
///     node::{Events, Incarnation, NodeId},
/// };
///
/// let node = |name: &str| Ok::<_, realtime::error::InvalidNodeId>(
///     NodeInfo::new(name.parse::<NodeId>()?, Incarnation::random()),
/// );
/// let events = Arc::new(Events::new());
/// let heard = events.subscribe();
/// let (mut here, _) = stream::pair(node("here")?, Arc::default());
/// let (_, mut there) = stream::pair(node("there")?, Arc::clone(&events));
///
/// there.receive(here.hello().data);
/// let _lost = here.message(&Topic::All, b"one");
/// let Next::Deliver(message) = there.receive(here.message(&Topic::All, b"two")) else {
///     panic!("a message was expected");
/// };
/// assert_eq!(message.data, "two");
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// events.close();
/// let heard: Vec<_> = heard.collect().await;
/// let gap = BrokerEvent::gap("here".parse()?, Some(Topic::All), 1);
/// assert_eq!(heard, [BrokerEvent::node_up(here.node().clone()), gap]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn pair(node: NodeInfo, events: Arc<Events<BrokerEvent>>) -> (Outgoing, Incoming) {
    let shared = Arc::new(shared::Shared::new(node, events));
    (Outgoing::new(Arc::clone(&shared)), Incoming::new(shared))
}

/// What is left to do with some bytes that [`Incoming::receive`] has looked at.
#[derive(Debug)]
#[non_exhaustive]
pub enum Next {
    /// Deliver this message.
    Deliver(BrokerMessage),
    /// Another node is alive under this node's id. Said once of each of its starts.
    #[non_exhaustive]
    DuplicateNode {
        /// That node's incarnation.
        incarnation: Incarnation,
    },
    /// Nothing.
    Nothing,
}

/// What [`Outgoing::next`] has found due.
#[derive(Debug)]
#[non_exhaustive]
pub enum Due {
    /// Publish this.
    Say(Announcement),
    /// The link is down, whatever it looks like.
    #[non_exhaustive]
    LinkDown {
        /// Why, for people.
        cause: &'static str,
    },
}

/// Something that a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Announcement {
    /// Where it is to be published.
    pub topic: Topic,
    /// The bytes.
    pub data: Bytes,
}

#[cfg(test)]
mod tests;
