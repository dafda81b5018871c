//! A node that is no gateway: what it hears and says is the test's affair.

use axum::body::Bytes;
use futures::StreamExt;
use realtime::{
    broker::{
        Broker, Join, LocalBroker, NodeInfo, Subscription, Topic,
        envelope::{Envelope, EnvelopeKind, Target},
    },
    codec::FrameKind,
    node::{Incarnation, NodeId},
};
use realtime_testkit::wait::within;

pub(crate) struct ByHand {
    pub(crate) broker: LocalBroker,
    pub(crate) node: NodeInfo,
    messages: Subscription,
}

impl ByHand {
    pub(crate) async fn join(bus: &LocalBroker, name: &str) -> Self {
        let (broker, id) = (bus.clone(), name.parse::<NodeId>().unwrap());
        let node = NodeInfo::new(id, Incarnation::random());
        let messages = broker.subscribe(Join::new(node.clone())).await.unwrap();
        Self {
            broker,
            node,
            messages,
        }
    }

    /// The next thing that another node says.
    pub(crate) async fn next(&mut self) -> Envelope {
        let message = within("a message", self.messages.next()).await.unwrap();
        Envelope::decode(message.data).unwrap()
    }

    pub(crate) async fn say(
        &self,
        topic: Topic,
        kind: EnvelopeKind,
        correlation: u64,
        body: impl Into<Bytes>,
    ) {
        let envelope = Envelope::new(Target::All, "", FrameKind::Binary, body.into());
        let envelope = envelope.with_kind(kind).with_correlation(correlation);
        let _routed = self.broker.publish(&topic, envelope.encode()).await;
    }
}
