//! Messages to one identity, wherever it is online.

use std::collections::BTreeSet;

use bytes::Bytes;
use realtime_core::{
    IdentityKey, IntoPayload, Message, NodeId, Text,
    broker::{Broker, Published, Topic, envelope::Target},
    presence::{Presence, PresenceError, SessionInfo},
};

use super::{Gateway, deliver::hand_over};
use crate::{DeliverError, DeliverErrorKind, Delivery, PresenceDown, Remote, config::RECONNECTING};

impl Gateway {
    /// Sends data on a route to every session of an identity, on all nodes.
    ///
    /// Presence is asked first, and only nodes that hold a session of the identity get a message.
    /// A node that turns out to be gone is taken out of presence for this identity. When presence
    /// can't be asked, [`Config::presence_down`](crate::Config::presence_down) says what happens.
    ///
    /// # Cancel safety
    /// Dropped before it returns, some sessions may have got the message and others not.
    ///
    /// # Errors
    /// Kind [`NotOnline`](DeliverErrorKind::NotOnline) when the identity has no session;
    /// [`Presence`](DeliverErrorKind::Presence) when that can't be found out; and those of
    /// [`broadcast`](Self::broadcast).
    pub async fn send_to_identity(
        &self,
        identity: &IdentityKey,
        route: impl Into<Text>,
        data: impl IntoPayload,
    ) -> Result<Delivery, DeliverError> {
        let out = self.prepare(&Message::new(route, data)?)?;
        let shared = self.shared();
        let asked = self.nodes_of(identity).await;
        let policy = shared.config.presence_down;
        let asked = match asked {
            Err(error) if policy == PresenceDown::Fail => {
                return Err(not_told(error, Delivery::none()));
            }
            asked => asked,
        };
        let local = hand_over(&shared.hub.of(identity), &out.frame).await;
        let mut delivery = Delivery {
            local,
            remote: Remote::NotStarted,
        };
        if self.is_started() {
            let envelope = out.envelope(self, Target::Identity(identity.clone()));
            match asked {
                Ok(nodes) => self.reach(identity, nodes, envelope, &mut delivery).await?,
                Err(_) if policy == PresenceDown::Broadcast => {
                    let _any_number_of_nodes =
                        self.publish(&Topic::All, envelope, delivery).await?;
                    delivery.remote = Remote::Published;
                    return Ok(delivery);
                }
                Err(_) => delivery.remote = Remote::Nodes(0),
            }
        }
        if delivery.local == 0 && !matches!(delivery.remote, Remote::Nodes(1..)) {
            let context = "the identity has no session online";
            let kind = DeliverErrorKind::NotOnline;
            return Err(DeliverError::new(kind, context, delivery));
        }
        Ok(delivery)
    }

    /// The other nodes on which an identity is online.
    async fn nodes_of(&self, identity: &IdentityKey) -> Result<BTreeSet<NodeId>, PresenceError> {
        let sessions = self.shared().presence.sessions(identity).await?;
        let nodes = sessions.into_iter().map(|session| session.node_id);
        Ok(nodes.filter(|node| node != self.node_id()).collect())
    }

    /// Publishes to each node. Where a message comes back, presence is asked once more: the
    /// identity may have moved, or the node may be gone for good.
    async fn reach(
        &self,
        identity: &IdentityKey,
        nodes: BTreeSet<NodeId>,
        envelope: Bytes,
        delivery: &mut Delivery,
    ) -> Result<(), DeliverError> {
        let mut reached = BTreeSet::new();
        let returned = self
            .try_each(&nodes, &envelope, &mut reached, delivery)
            .await?;
        if returned.is_empty() {
            return Ok(());
        }
        let now = self
            .nodes_of(identity)
            .await
            .map_err(|e| not_told(e, *delivery))?;
        let again = now.difference(&reached).cloned().collect();
        let gone = self
            .try_each(&again, &envelope, &mut reached, delivery)
            .await?;
        if gone.is_empty() {
            return Ok(());
        }
        if self.shared().broker_link.age() < RECONNECTING {
            // They may be on their way back, as this node was a moment ago.
            let context = "a node on which the identity is online can't be reached; it may be \
                           reconnecting to the broker: try again";
            return Err(DeliverError::new(
                DeliverErrorKind::Broker,
                context,
                *delivery,
            ));
        }
        self.take_out(identity, &gone)
            .await
            .map_err(|e| not_told(e, *delivery))
    }

    /// Publishes to each of these nodes. Returns those where nobody listens.
    async fn try_each(
        &self,
        nodes: &BTreeSet<NodeId>,
        envelope: &Bytes,
        reached: &mut BTreeSet<NodeId>,
        delivery: &mut Delivery,
    ) -> Result<BTreeSet<NodeId>, DeliverError> {
        let mut returned = BTreeSet::new();
        delivery.remote = Remote::Nodes(reached.len());
        for node in nodes {
            let topic = Topic::Node(node.clone());
            match self.publish(&topic, envelope.clone(), *delivery).await? {
                Published::Routed => reached.insert(node.clone()),
                Published::NoRoute => returned.insert(node.clone()),
            };
            delivery.remote = Remote::Nodes(reached.len());
        }
        Ok(returned)
    }

    /// Takes an identity's sessions on nodes that are gone out of presence.
    async fn take_out(
        &self,
        identity: &IdentityKey,
        gone: &BTreeSet<NodeId>,
    ) -> Result<(), PresenceError> {
        let presence = &self.shared().presence;
        let mut sessions = presence.sessions(identity).await?;
        sessions.retain(|session| gone.contains(&session.node_id));
        tracing::info!(
            target: "realtime::presence", nodes = ?gone, sessions = sessions.len(),
            "took sessions of nodes that are gone out of presence",
        );
        let keys: Vec<_> = sessions.iter().map(SessionInfo::key).collect();
        presence.unregister(&keys).await
    }

    pub(super) async fn publish(
        &self,
        topic: &Topic,
        envelope: Bytes,
        delivery: Delivery,
    ) -> Result<Published, DeliverError> {
        self.shared()
            .broker
            .publish(topic, envelope)
            .await
            .map_err(|e| {
                let context = "the broker did not take the message for other nodes";
                DeliverError::new(DeliverErrorKind::Broker, context, delivery).with_source(e)
            })
    }
}

fn not_told(error: PresenceError, delivery: Delivery) -> DeliverError {
    let context = "presence could not say where the identity is online";
    DeliverError::new(DeliverErrorKind::Presence, context, delivery).with_source(error)
}
