//! Targeted messages where one of an identity's nodes can't be reached.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::time::Duration;

use axum::body::Bytes;
use realtime::{
    Gateway, IdentityKey, Json, SessionId,
    broker::{
        Broker, BrokerError, BrokerErrorKind, BrokerEvents, LocalBroker, NodeInfo, Published,
        Subscription, Topic,
    },
    error::DeliverErrorKind,
    node::NodeId,
    presence::{MemoryPresence, Presence, SessionInfo},
    report::Remote,
};

fn ann() -> IdentityKey {
    IdentityKey::new("ann").with_tenant("t")
}

fn node(name: &str) -> NodeId {
    name.parse().unwrap()
}

async fn is_online_at(presence: &MemoryPresence, name: &str) {
    let session = SessionInfo::new(SessionId::random(), &ann(), node(name));
    presence.register(&[session], None).await.unwrap();
}

fn gateway_of(name: &str, broker: impl Broker, presence: &MemoryPresence) -> Gateway {
    let builder = realtime::builder().node_id(node(name)).broker(broker);
    builder.presence(presence.clone()).build().unwrap()
}

async fn send(gateway: &Gateway) -> Result<Remote, DeliverErrorKind> {
    let sent = gateway.send_to_identity(&ann(), "n", Json(1)).await;
    sent.map(|delivery| delivery.remote).map_err(|e| e.kind())
}

/// From then on the link of a gateway is old enough for it to judge others.
const SETTLED: Duration = Duration::from_secs(6);

// The clock stands still but for `advance`.
#[tokio::test(start_paused = true)]
async fn a_node_that_could_not_be_reached_is_tried_again_once_it_has_sent_or_after_a_second() {
    let (broker, presence) = (LocalBroker::new(), MemoryPresence::new());
    let here = gateway_of("here", broker.clone(), &presence);
    here.start().await.unwrap();
    is_online_at(&presence, "there").await;
    assert_eq!(
        send(&here).await,
        Err(DeliverErrorKind::Broker),
        "too young"
    );
    tokio::time::advance(SETTLED).await;
    assert_eq!(send(&here).await, Err(DeliverErrorKind::NotOnline));
    assert!(presence.is_online(&ann()).await.unwrap(), "not taken out");

    let there = gateway_of("there", broker.clone(), &presence);
    there.start().await.unwrap();
    assert_eq!(
        send(&here).await,
        Err(DeliverErrorKind::NotOnline),
        "skipped"
    );
    there.broadcast("n", Json(1)).await.unwrap();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(send(&here).await, Ok(Remote::Nodes(1)), "heard");

    is_online_at(&presence, "elsewhere").await;
    assert_eq!(send(&here).await, Ok(Remote::Nodes(1)), "the other is away");
    let elsewhere = gateway_of("elsewhere", broker, &presence);
    elsewhere.start().await.unwrap();
    assert_eq!(send(&here).await, Ok(Remote::Nodes(1)), "skipped");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(send(&here).await, Ok(Remote::Nodes(2)), "tried again");
    for gateway in [here, there, elsewhere] {
        gateway.shutdown().await;
    }
}

/// Takes nothing for this node.
struct FailsFor(&'static str, LocalBroker);

impl Broker for FailsFor {
    async fn subscribe(
        &self,
        node: NodeInfo,
        topics: &[Topic],
    ) -> Result<Subscription, BrokerError> {
        self.1.subscribe(node, topics).await
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<Published, BrokerError> {
        if *topic == Topic::Node(node(self.0)) {
            return Err(BrokerError::new(BrokerErrorKind::Unknown, "no answer"));
        }
        self.1.publish(topic, data).await
    }

    fn events(&self) -> BrokerEvents {
        self.1.events()
    }

    async fn close(&self) {
        self.1.close().await;
    }
}

#[tokio::test]
async fn a_failure_at_one_node_keeps_no_other_from_the_message() {
    let (broker, presence) = (LocalBroker::new(), MemoryPresence::new());
    let here = gateway_of("here", FailsFor("a", broker.clone()), &presence);
    let b = gateway_of("b", broker, &presence);
    for gateway in [&here, &b] {
        gateway.start().await.unwrap();
    }
    for name in ["a", "b"] {
        is_online_at(&presence, name).await;
    }
    let error = here.send_to_identity(&ann(), "n", Json(1)).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), DeliverErrorKind::Broker);
    assert_eq!(error.delivered().remote, Remote::Nodes(1));
    for gateway in [here, b] {
        gateway.shutdown().await;
    }
}
