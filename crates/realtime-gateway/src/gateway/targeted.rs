//! Messages to one identity, wherever it is online.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::{StreamExt, stream};
use realtime_core::{
    IdentityKey, IntoPayload, Message, NodeId, Text,
    broker::{
        Broker, BrokerError, BrokerErrorKind, Published, Topic,
        envelope::{Except, Target},
    },
    presence::{NodeSessions, Presence, PresenceError},
};

use super::Gateway;
use crate::{
    DeliverError, DeliverErrorKind, Delivery, ErrorStage, PresenceDown, Remote,
    config::RECONNECTING,
    escape::Chain,
    outgoing::{envelope, not_accepted, prepare, tell_unsaid},
    session::check_route,
};

/// To how many nodes a message is published at the same time.
const AT_ONCE: usize = 64;

impl Gateway {
    /// Sends data on a route to every session of an identity, on all nodes.
    ///
    /// Presence is asked first, and only nodes that hold a session of the identity get a message.
    /// It costs what the number of those nodes costs, however many sessions there are.
    /// A node that can't be reached is skipped for a second, or until it sends; what presence
    /// says of it ends with its leases. When presence can't be asked,
    /// [`Config::presence_down`](crate::Config::presence_down) says what happens.
    ///
    /// Once a session of this node or another node has the message, it is a success: of nodes that
    /// didn't get it [`Delivery::unreached`] tells. So an error never asks to send again what
    /// somebody has already.
    ///
    /// # Cancel safety
    /// Dropped before it returns, some sessions may have received the message and others not.
    ///
    /// # Errors
    /// Kind [`NotOnline`](DeliverErrorKind::NotOnline) when the identity has no session that can be
    /// reached; [`Presence`](DeliverErrorKind::Presence) when that can't be found out;
    /// [`Broker`](DeliverErrorKind::Broker) when it is online on other nodes alone, and the broker
    /// has confirmed it for none of them; [`Encode`](DeliverErrorKind::Encode) and
    /// [`Closed`](DeliverErrorKind::Closed) as for [`broadcast`](Self::broadcast).
    ///
    /// ```
    /// use realtime::{Identity, IdentityKey, Json, error::DeliverErrorKind};
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut phone = connect(&gateway, Identity::new("ann")).await?;
    /// let ann = IdentityKey::new("ann");
    /// match gateway.send_to_identity(&ann, "invoice", Json(42)).await {
    ///     Ok(delivery) => println!("handed to {} sessions of this node", delivery.local),
    ///     Err(error) if error.kind() == DeliverErrorKind::NotOnline => println!("kept for later"),
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # assert_eq!(phone.receive_on("invoice").await?.decode::<u32>()?, 42);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn send_to_identity(
        &self,
        identity: &IdentityKey,
        route: impl Into<Text>,
        data: impl IntoPayload,
    ) -> Result<Delivery, DeliverError> {
        let message = Message::new(route, data)?;
        check_route(&message)?;
        self.send_to_one(identity, &[], &message).await
    }

    pub(super) async fn send_to_one(
        &self,
        identity: &IdentityKey,
        except: &[Except],
        message: &Message,
    ) -> Result<Delivery, DeliverError> {
        let mut out = prepare(self.node(), message)?;
        if identity.is_too_long() {
            return Err(not_online(Delivery::none()));
        }
        let node = self.node();
        let asked = self.nodes_to_ask(identity).await;
        let policy = node.config.presence_down;
        let asked = match asked {
            Err(error) if policy == PresenceDown::Fail => {
                return Err(no_answer(error, Delivery::none()));
            }
            asked => asked,
        };
        let local = node.hub.hand_to_one(&out.frames, identity, except).await;
        let target = Target::Identity(identity.clone());
        let unsaid = out.unsaid.take();
        tell_unsaid(node, unsaid, ErrorStage::Message, (&target, except)).await;
        let mut delivery = Delivery {
            local,
            ..Delivery::none()
        };
        if node.reaches_others() {
            let envelope = envelope(node, &out, target, except, None);
            let traced = node.tracer().publish(&envelope);
            let envelope = traced.sign(envelope).encode();
            match asked {
                Ok(nodes) => {
                    let reached = self.reach(identity, nodes, envelope, &mut delivery);
                    let reached = traced.around(reached).await;
                    if let Err(error) = &reached {
                        traced.failed(|| match error.kind() {
                            DeliverErrorKind::Presence => (true, "presence"),
                            _ => (true, "unreached"),
                        });
                    }
                    reached?;
                }
                Err(_) if policy == PresenceDown::Broadcast => {
                    let published = self.publish(&Topic::All, envelope);
                    match traced.around(published).await {
                        Ok(_any_number) => delivery.remote = Remote::Published,
                        Err(error) if delivery.is_taken() => {
                            traced.unpublished(error.kind());
                            tracing::debug!(
                                target: crate::log_targets::RELAY, error = %Chain(&error),
                                "other nodes did not get a targeted message",
                            );
                            delivery.remote = Remote::Nodes(0);
                            delivery.unreached = 1;
                        }
                        Err(error) => {
                            traced.unpublished(error.kind());
                            return Err(not_confirmed(error, delivery));
                        }
                    }
                }
                Err(_) => delivery.remote = Remote::Nodes(0),
            }
        }
        match delivery.is_taken() {
            true => Ok(delivery),
            false => Err(not_online(delivery)),
        }
    }

    /// The other nodes on which an identity is online. What presence still says of former lives, of
    /// this node or of others, doesn't count.
    async fn nodes_to_ask(
        &self,
        identity: &IdentityKey,
    ) -> Result<BTreeSet<NodeId>, PresenceError> {
        let node = self.node();
        let nodes = node.registry.presence.nodes(identity).await?;
        let others = nodes
            .into_iter()
            .map(|NodeSessions { node, .. }| node)
            .filter(|other| other.id != node.info.id && !node.unreachable.is_former_life(other));
        Ok(others.map(|other| other.id).collect())
    }

    /// Publishes to each node. Where a message comes back, presence is asked once more: the
    /// identity may have moved. A node from which it comes back again is cut off, or gone for good:
    /// it is skipped for a moment, and its leases say when its sessions leave presence.
    ///
    /// A failure at one node doesn't keep the others from getting the message, and is no error
    /// where somebody has it.
    async fn reach(
        &self,
        identity: &IdentityKey,
        nodes: BTreeSet<NodeId>,
        envelope: Bytes,
        delivery: &mut Delivery,
    ) -> Result<(), DeliverError> {
        let node = self.node();
        let (mut tried, mut not_asked) = (Tried::default(), None);
        let mut returned = self.try_each(nodes, &envelope, &mut tried).await;
        if !returned.is_empty() {
            match self.nodes_to_ask(identity).await {
                Ok(now) => returned = self.try_each(now, &envelope, &mut tried).await,
                Err(error) => not_asked = Some(error),
            }
        }
        delivery.remote = Remote::Nodes(tried.reached);
        delivery.unreached = returned.len() + tried.failed + tried.skipped.len();
        // Others may be on their way back, as this node was a moment ago.
        let is_settled = node.broker_link.age() >= RECONNECTING;
        if is_settled && not_asked.is_none() {
            for unreachable in &returned {
                tracing::info!(
                    target: crate::log_targets::RELAY, node = %unreachable, "a node can't be reached",
                );
                node.unreachable.add(unreachable.clone());
            }
        }
        if delivery.is_taken() {
            return Ok(());
        }
        if let Some(error) = tried.error {
            return Err(not_confirmed(error, *delivery));
        }
        if let Some(error) = not_asked {
            return Err(no_answer(error, *delivery));
        }
        if !returned.is_empty() && !is_settled {
            let context = "nobody has the message: the only nodes on which the identity is online \
                           can't be reached; they may be reconnecting to the broker: try again";
            let kind = DeliverErrorKind::Broker;
            return Err(DeliverError::new(kind, context, *delivery));
        }
        Ok(())
    }

    /// Publishes to each of these nodes that has not been tried or found to be unreachable, to many
    /// at the same time. Returns those where nobody listens.
    async fn try_each(
        &self,
        nodes: BTreeSet<NodeId>,
        envelope: &Bytes,
        tried: &mut Tried,
    ) -> BTreeSet<NodeId> {
        let mut to_try = Vec::new();
        for node in nodes {
            if tried.done.contains(&node) {
                continue;
            }
            if self.node().unreachable.contains(&node) {
                tried.skipped.insert(node);
                continue;
            }
            to_try.push(node);
        }
        let published = to_try.into_iter().map(|node| async {
            let topic = Topic::Node(node);
            let published = self.publish(&topic, envelope.clone()).await;
            (topic, published)
        });
        let mut published = stream::iter(published).buffer_unordered(AT_ONCE);
        let mut returned = BTreeSet::new();
        while let Some((topic, published)) = published.next().await {
            let Topic::Node(node) = topic else {
                continue;
            };
            match published {
                Ok(Published::NoRoute) => {
                    returned.insert(node);
                    continue;
                }
                // Where the broker can't know whether somebody listens, presence does.
                Ok(_) => tried.reached += 1,
                // Not tried again: the message may have gone out.
                Err(error) => {
                    tried.failed += 1;
                    tried.error.get_or_insert(error);
                }
            }
            tried.done.insert(node);
        }
        returned
    }

    pub(super) async fn publish(
        &self,
        topic: &Topic,
        envelope: Bytes,
    ) -> Result<Published, BrokerError> {
        self.node().broker.publish(topic, envelope).await
    }
}

/// What became of a message for several nodes.
#[derive(Debug, Default)]
struct Tried {
    /// The nodes that received it, and those where that failed.
    done: BTreeSet<NodeId>,
    /// How many received it.
    reached: usize,
    /// At how many that failed.
    failed: usize,
    /// Those that were found to be unreachable a moment ago.
    skipped: BTreeSet<NodeId>,
    /// The first failure.
    error: Option<BrokerError>,
}

/// Nobody has it for certain, and where the broker doesn't know, somebody may.
fn not_confirmed(error: BrokerError, delivery: Delivery) -> DeliverError {
    if error.kind() != BrokerErrorKind::Unknown {
        return not_accepted(error, delivery);
    }
    let context = "the broker did not confirm the message; it may have arrived, and to send it \
                   again may double it";
    DeliverError::new(DeliverErrorKind::Broker, context, delivery).with_source(error)
}

fn no_answer(error: PresenceError, delivery: Delivery) -> DeliverError {
    let context = "presence could not be asked where the identity is online; try again, or set \
                   `presence_down` to deliver without it";
    DeliverError::new(DeliverErrorKind::Presence, context, delivery).with_source(error)
}

fn not_online(delivery: Delivery) -> DeliverError {
    let context = "expected a session of the identity on a node that can be reached; there is none";
    DeliverError::new(DeliverErrorKind::NotOnline, context, delivery)
}
