//! Broadcasts, and what targeted messages share with them.

use bytes::Bytes;
use realtime_core::{
    IntoPayload, Message, Text,
    broker::{
        BrokerError, Topic,
        envelope::{Envelope, Target},
    },
};

use super::Gateway;
use crate::{DeliverError, DeliverErrorKind, Delivery, Remote, encoder::Encoded};

impl Gateway {
    /// Sends data on a route to every session of every started node, each exactly once: local
    /// sessions first, then the other nodes.
    ///
    /// The message is encoded once. It returns when the message is on its way to every local
    /// session, in the order of the caller's other broadcasts and sends, and has been handed to the
    /// broker. Where more than 128 messages or 1 MiB are on their way, it waits. What a
    /// backpressure policy drops is counted and reported to the client, and is no error here.
    ///
    /// # Cancel safety
    /// Dropped before it returns, some sessions may receive the message and others not.
    ///
    /// # Errors
    /// Kind [`Encode`](DeliverErrorKind::Encode); [`Closed`](DeliverErrorKind::Closed) while the
    /// gateway shuts down; [`Broker`](DeliverErrorKind::Broker) when only local sessions received
    /// it, which [`delivered`](DeliverError::delivered) counts.
    ///
    /// ```
    /// use realtime::{Identity, Json, report::Remote};
    /// use realtime_testkit::memory::connect;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let gateway = realtime::builder().build()?;
    /// let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// let delivery = gateway.broadcast("news", Json("rain")).await?;
    /// assert_eq!((delivery.local, delivery.remote), (1, Remote::NotStarted));
    /// assert_eq!(ann.receive_on("news").await?.decode::<String>()?, "rain");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn broadcast(
        &self,
        route: impl Into<Text>,
        data: impl IntoPayload,
    ) -> Result<Delivery, DeliverError> {
        let out = self.prepare(&Message::new(route, data)?)?;
        let local = self.background().fan_out(&out.frame).await;
        let mut delivery = Delivery {
            local,
            ..Delivery::none()
        };
        if self.node().reaches_others() {
            let envelope = self.envelope(&out, Target::All);
            let published = self.publish(&Topic::All, envelope).await;
            let _any_number = published.map_err(|e| not_accepted(e, delivery))?;
            delivery.remote = Remote::Published;
        }
        Ok(delivery)
    }

    /// Encodes and frames a message, once for all who receive it.
    pub(super) fn prepare(&self, message: &Message) -> Result<Encoded, DeliverError> {
        let node = self.node();
        if node.is_draining() {
            let context = "the gateway is shutting down and sends no more messages";
            let kind = DeliverErrorKind::Closed;
            return Err(DeliverError::new(kind, context, Delivery::none()));
        }
        Ok(node.env.encoder.encode(message)?)
    }

    /// A message as it travels to other nodes.
    pub(super) fn envelope(&self, message: &Encoded, target: Target) -> Bytes {
        let node = self.node();
        let (codec, body) = (node.env.encoder.name(), message.body.clone());
        let envelope = Envelope::new(target, codec, message.kind, body);
        let traceparent = node.traceparent.as_ref().and_then(|current| current());
        match traceparent {
            Some(traceparent) => envelope.with_traceparent(traceparent).encode(),
            None => envelope.encode(),
        }
    }
}

pub(super) fn not_accepted(error: BrokerError, delivery: Delivery) -> DeliverError {
    let context = "the broker did not accept the message for other nodes";
    DeliverError::new(DeliverErrorKind::Broker, context, delivery).with_source(error)
}
