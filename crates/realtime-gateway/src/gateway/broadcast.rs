//! Broadcasts.

use realtime_core::{
    IntoPayload, Message, Text,
    broker::{Topic, envelope::Target},
};

use super::Gateway;
use crate::{
    DeliverError, Delivery, ErrorStage,
    outgoing::{envelope, prepare, publish, tell_unsaid},
    session::check_route,
};

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
    /// Kind [`Encode`](crate::DeliverErrorKind::Encode), also for one of the gateway's own
    /// [routes](realtime_core::codec::routes), such as `gap`;
    /// [`Closed`](crate::DeliverErrorKind::Closed) while the gateway shuts down;
    /// [`Broker`](crate::DeliverErrorKind::Broker) when only local sessions received it, which
    /// [`delivered`](DeliverError::delivered) counts.
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
        let message = Message::new(route, data)?;
        check_route(&message)?;
        self.send_to_all(&message).await
    }

    pub(super) async fn send_to_all(&self, message: &Message) -> Result<Delivery, DeliverError> {
        let node = self.node();
        let mut out = prepare(node, message)?;
        let local = self.background().fan_out(&out.frames).await;
        let delivery = Delivery {
            local,
            ..Delivery::none()
        };
        let unsaid = out.unsaid.take();
        tell_unsaid(node, unsaid, ErrorStage::Message, (&Target::All, &[])).await;
        let envelope = || envelope(node, &out, Target::All, &[], None);
        publish(node, Topic::All, envelope, delivery).await
    }
}
