//! What other nodes say, as one that is made by hand says it.

use axum::body::Bytes;
use realtime::{
    broker::{
        Broker, BrokerError, BrokerEvent, BrokerEvents, BrokerLimits, Join, LocalBroker, NodeInfo,
        Published, Subscription, Topic, TopicName,
        control::Outcome,
        envelope::{Envelope, EnvelopeKind, Target},
    },
    codec::FrameKind,
    node::Incarnation,
};

use super::{builder, start};

#[tokio::test]
async fn what_nobody_waits_for_or_understands_is_counted() {
    let bus = LocalBroker::new();
    let id = "here".parse().unwrap();
    let (server, metrics) = start(builder().node_id(id).broker(bus.clone())).await;
    let state = [("backend", "broker"), ("state", "up")];
    metrics.is("realtime_backend_state", &state, 1.).await;
    metrics
        .is("realtime_backend_state", &[("backend", "broker")], 1.)
        .await;
    let other = bus.clone();
    let node = NodeInfo::new("other".parse().unwrap(), Incarnation::random());
    let _messages = other.subscribe(Join::new(node)).await.unwrap();
    metrics.is("realtime_broker_nodes", &[], 1.).await;
    let say = async |kind: EnvelopeKind, number: u64, body: Bytes| {
        let envelope = Envelope::new(Target::All, "", FrameKind::Binary, body);
        let envelope = envelope.with_kind(kind).with_correlation(number).encode();
        let _routed = other.publish(&Topic::All, envelope).await.unwrap();
    };
    say(EnvelopeKind::Receipt, 7, Outcome::done(1, 0).encode()).await;
    metrics
        .is("realtime_receipts_unmatched_total", &[], 1.)
        .await;
    say(
        EnvelopeKind::Control,
        8,
        Bytes::from_static(b"c\0\0\x07\x07more"),
    )
    .await;
    metrics.is("realtime_controls_refused_total", &[], 1.).await;
    let _routed = other
        .publish(&Topic::All, Bytes::from_static(b"?"))
        .await
        .unwrap();
    metrics
        .is(
            "realtime_broker_messages_total",
            &[("result", "invalid")],
            1.,
        )
        .await;
    metrics
        .is(
            "realtime_broker_messages_total",
            &[("result", "received")],
            2.,
        )
        .await;
    metrics
        .moves(
            "realtime_broker_messages_total",
            "result",
            &["received", "invalid"],
        )
        .await;
    server.stop().await;
}

/// Its stream of events panics once.
struct Panics(LocalBroker);

impl Broker for Panics {
    async fn subscribe(&self, join: Join) -> Result<Subscription, BrokerError> {
        self.0.subscribe(join).await
    }

    async fn join(&self, topic: &TopicName) -> Result<(), BrokerError> {
        self.0.join(topic).await
    }

    async fn leave(&self, topic: &TopicName) -> Result<(), BrokerError> {
        self.0.leave(topic).await
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<Published, BrokerError> {
        self.0.publish(topic, data).await
    }

    fn limits(&self) -> BrokerLimits {
        self.0.limits()
    }

    fn events(&self) -> BrokerEvents {
        BrokerEvents::new(futures::stream::poll_fn(
            |_| -> std::task::Poll<Option<BrokerEvent>> { panic!("as it should") },
        ))
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

#[tokio::test]
async fn a_background_task_that_dies_is_counted() {
    let (server, metrics) = start(builder().broker(Panics(LocalBroker::new()))).await;
    metrics
        .at_least("realtime_background_restarts_total", &[], 1.)
        .await;
    server.stop().await;
}
