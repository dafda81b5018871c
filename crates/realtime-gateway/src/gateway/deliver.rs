//! Broadcasts and targeted messages.

use std::collections::BTreeSet;

use bytes::Bytes;
use realtime_core::{
    IdentityKey, IntoPayload, Message, NodeId, Text,
    broker::{
        Broker, Published, Topic,
        envelope::{Envelope, Target},
    },
    codec::FrameKind,
    presence::Presence,
};

use super::Gateway;
use crate::{DeliverError, DeliverErrorKind, Delivery, Remote, Session, relay};

/// After how many sessions a fan-out lets other tasks have a turn.
const TURN: usize = 128;

impl Gateway {
    /// Sends data on a route to every session of every started node, each exactly once: local
    /// sessions first, then the other nodes.
    ///
    /// The message is encoded once. It returns when the message has been handed to every local
    /// session and to the broker; what a backpressure policy drops is counted and told to the
    /// client, and is no error here.
    ///
    /// # Cancel safety
    /// Dropped before it returns, some sessions may have got the message and others not.
    ///
    /// # Errors
    /// Kind [`Encode`](DeliverErrorKind::Encode); [`Closed`](DeliverErrorKind::Closed) while the
    /// gateway shuts down; [`Broker`](DeliverErrorKind::Broker) when only local sessions got it,
    /// which [`delivered`](DeliverError::delivered) counts.
    pub async fn broadcast(
        &self,
        route: impl Into<Text>,
        data: impl IntoPayload,
    ) -> Result<Delivery, DeliverError> {
        let out = self.prepare(&Message::new(route, data)?)?;
        let shared = self.shared();
        let local = hand_over(&shared.hub.all(), &out.frame).await;
        let mut delivery = Delivery {
            local,
            remote: Remote::NotStarted,
        };
        if self.is_started() {
            let envelope = out.envelope(self, Target::All);
            let _any_number_of_nodes =
                shared
                    .broker
                    .publish(&Topic::All, envelope)
                    .await
                    .map_err(|e| {
                        let context = "the broker did not take the broadcast for the other nodes";
                        DeliverError::new(DeliverErrorKind::Broker, context, delivery)
                            .with_source(e)
                    })?;
            delivery.remote = Remote::Published;
        }
        Ok(delivery)
    }

    /// Sends data on a route to every session of an identity, on all nodes.
    ///
    /// Presence is asked first, and only nodes that hold a session of the identity get a message.
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
        let sessions = shared.presence.sessions(identity).await.map_err(|e| {
            let context = "presence could not say where the identity is online";
            DeliverError::new(DeliverErrorKind::Presence, context, Delivery::none()).with_source(e)
        })?;
        let local = hand_over(&shared.hub.of(identity), &out.frame).await;
        let nodes: BTreeSet<NodeId> = sessions
            .into_iter()
            .map(|session| session.node_id)
            .filter(|node| *node != shared.node.id)
            .collect();
        let mut delivery = Delivery {
            local,
            remote: Remote::NotStarted,
        };
        if self.is_started() {
            let envelope = out.envelope(self, Target::Identity(identity.clone()));
            let mut reached = 0;
            for node in nodes {
                let published = shared
                    .broker
                    .publish(&Topic::Node(node), envelope.clone())
                    .await;
                delivery.remote = Remote::Nodes(reached);
                let published = published.map_err(|e| {
                    let context = "the broker did not take the message for another node";
                    DeliverError::new(DeliverErrorKind::Broker, context, delivery).with_source(e)
                })?;
                reached += usize::from(published == Published::Routed);
            }
            delivery.remote = Remote::Nodes(reached);
        }
        if delivery.local == 0 && !matches!(delivery.remote, Remote::Nodes(1..)) {
            let context = "the identity has no session online";
            return Err(DeliverError::new(
                DeliverErrorKind::NotOnline,
                context,
                delivery,
            ));
        }
        Ok(delivery)
    }

    fn is_started(&self) -> bool {
        self.shared()
            .started
            .load(std::sync::atomic::Ordering::SeqCst)
    }

    /// Encodes and frames a message, once for all who get it.
    fn prepare(&self, message: &Message) -> Result<Ready, DeliverError> {
        let shared = self.shared();
        if shared.is_draining() {
            let context = "the gateway is shutting down";
            return Err(DeliverError::new(
                DeliverErrorKind::Closed,
                context,
                Delivery::none(),
            ));
        }
        let mut kind = FrameKind::Text;
        let mut start = 0;
        let frame = realtime_websocket::frame::server_frame_with(|out| {
            start = out.len();
            kind = shared.codec.encode(message, out)?;
            start = out.len() - start;
            Ok::<_, realtime_core::codec::CodecError>(relay::frame_kind(kind))
        })?;
        let body = frame.slice(frame.len() - start..);
        Ok(Ready { frame, body, kind })
    }
}

/// A message on its way out.
struct Ready {
    /// For sessions of this node.
    frame: Bytes,
    /// The same without the frame's header, for other nodes.
    body: Bytes,
    kind: FrameKind,
}

impl Ready {
    fn envelope(&self, gateway: &Gateway, target: Target) -> Bytes {
        let shared = gateway.shared();
        let envelope = Envelope::new(target, shared.codec.name(), self.kind, self.body.clone());
        let traceparent = shared.traceparent.as_ref().and_then(|current| current());
        match traceparent {
            Some(traceparent) => envelope.with_traceparent(traceparent).encode(),
            None => envelope.encode(),
        }
    }
}

/// Hands a frame to sessions, and counts those that took it.
pub(crate) async fn hand_over(sessions: &[Session], frame: &Bytes) -> usize {
    let mut taken = 0;
    for (turn, session) in sessions.iter().enumerate() {
        if turn % TURN == TURN - 1 {
            tokio::task::yield_now().await;
        }
        taken += usize::from(session.deliver(frame.clone()).is_ok());
    }
    taken
}
