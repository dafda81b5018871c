//! Broadcasts, and what targeted messages share with them.

use bytes::Bytes;
use realtime_core::{
    IntoPayload, Message, Text,
    broker::{
        BrokerError, Topic,
        envelope::{Envelope, Target},
    },
    codec::FrameKind,
};

use super::Gateway;
use crate::{DeliverError, DeliverErrorKind, Delivery, Remote, Session, relay};

/// After how many sessions a fan-out lets other tasks have a turn.
const TURN: usize = 128;

impl Gateway {
    /// Sends data on a route to every session of every started node, each exactly once: local
    /// sessions first, then the other nodes.
    ///
    /// The message is encoded once. It returns when the message is on its way to every local
    /// session, in the order of the caller's other broadcasts and sends, and has been handed to the
    /// broker. Where more than 128 messages or 1 MiB are on their way, it waits. What a
    /// backpressure policy drops is counted and told to the client, and is no error here.
    ///
    /// # Cancel safety
    /// Dropped before it returns, some sessions may get the message and others not.
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
        shared.hub.keep_running(shared);
        let local = shared.hub.broadcast(&out.frame).await;
        let mut delivery = Delivery {
            local,
            remote: Remote::NotStarted,
        };
        if self.is_started() {
            let envelope = out.envelope(self, Target::All);
            let published = self.publish(&Topic::All, envelope).await;
            let _any_number = published.map_err(|e| not_taken(e, delivery))?;
            delivery.remote = Remote::Published;
        }
        Ok(delivery)
    }

    pub(super) fn is_started(&self) -> bool {
        self.shared()
            .started
            .load(std::sync::atomic::Ordering::SeqCst)
    }

    /// Encodes and frames a message, once for all who get it.
    pub(super) fn prepare(&self, message: &Message) -> Result<Ready, DeliverError> {
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
pub(super) struct Ready {
    /// For sessions of this node.
    pub(super) frame: Bytes,
    /// The same without the frame's header, for other nodes.
    body: Bytes,
    kind: FrameKind,
}

impl Ready {
    pub(super) fn envelope(&self, gateway: &Gateway, target: Target) -> Bytes {
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

pub(super) fn not_taken(error: BrokerError, delivery: Delivery) -> DeliverError {
    let context = "the broker did not take the message for other nodes";
    DeliverError::new(DeliverErrorKind::Broker, context, delivery).with_source(error)
}
