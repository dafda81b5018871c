//! Targeted messages where one of an identity's nodes can't be reached.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::time::Duration;

use axum::body::Bytes;
use realtime::{
    Gateway, IdentityKey, Json, SessionId,
    broker::{
        Broker, BrokerError, BrokerErrorKind, BrokerEvents, BrokerLimits, Join, LocalBroker,
        NodeInfo, Published, Subscription, Topic, TopicName,
    },
    error::DeliverErrorKind,
    node::{Incarnation, NodeId},
    presence::{MemoryPresence, Presence, SessionInfo},
    report::Remote,
};
use realtime_testkit::wait::within;
use tokio::sync::Barrier;

fn ann() -> IdentityKey {
    IdentityKey::new("ann").with_tenant("t")
}

fn node(name: &str) -> NodeId {
    name.parse().unwrap()
}

async fn is_online_at(presence: &MemoryPresence, name: &str) {
    let at = NodeInfo::new(node(name), Incarnation::random());
    let session = SessionInfo::new(SessionId::random(), &ann(), at);
    let _registered = presence.register(&[session], None).await.unwrap();
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

/// What becomes of a publication for one node.
enum Targeted {
    /// It fails for this one.
    FailsFor(&'static str),
    /// It is confirmed when so many are under way.
    WaitsForOthers(Barrier),
}

struct Odd(Targeted, LocalBroker);

impl Broker for Odd {
    async fn subscribe(&self, join: Join) -> Result<Subscription, BrokerError> {
        self.1.subscribe(join).await
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<Published, BrokerError> {
        match (&self.0, topic) {
            (Targeted::FailsFor(name), Topic::Node(id)) if *id == node(name) => {
                return Err(BrokerError::new(BrokerErrorKind::Unknown, "no answer"));
            }
            (Targeted::WaitsForOthers(barrier), Topic::Node(_)) => {
                let _leader = barrier.wait().await;
            }
            _ => {}
        }
        self.1.publish(topic, data).await
    }

    fn events(&self) -> BrokerEvents {
        self.1.events()
    }

    async fn close(&self) {
        self.1.close().await;
    }

    async fn join(&self, topic: &TopicName) -> Result<(), BrokerError> {
        self.1.join(topic).await
    }

    async fn leave(&self, topic: &TopicName) -> Result<(), BrokerError> {
        self.1.leave(topic).await
    }

    fn limits(&self) -> BrokerLimits {
        self.1.limits()
    }
}

#[tokio::test]
async fn a_failure_at_one_node_keeps_no_other_from_the_message() {
    let (broker, presence) = (LocalBroker::new(), MemoryPresence::new());
    let here = gateway_of(
        "here",
        Odd(Targeted::FailsFor("a"), broker.clone()),
        &presence,
    );
    let b = gateway_of("b", broker, &presence);
    for gateway in [&here, &b] {
        gateway.start().await.unwrap();
    }
    for name in ["a", "b"] {
        is_online_at(&presence, name).await;
    }
    let sent = here.send_to_identity(&ann(), "n", Json(1)).await.unwrap();
    assert_eq!((sent.remote, sent.unreached), (Remote::Nodes(1), 1));
    for gateway in [here, b] {
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn all_nodes_of_an_identity_are_told_at_the_same_time() {
    const NODES: usize = 16;
    let (broker, presence) = (LocalBroker::new(), MemoryPresence::new());
    let waits = Targeted::WaitsForOthers(Barrier::new(NODES));
    let here = gateway_of("here", Odd(waits, broker.clone()), &presence);
    here.start().await.unwrap();
    let mut others = Vec::new();
    for n in 0..NODES {
        let name = format!("node-{n}");
        others.push(gateway_of(&name, broker.clone(), &presence));
        others[n].start().await.unwrap();
        is_online_at(&presence, &name).await;
    }
    let sent = within("all confirmations", send(&here)).await;
    assert_eq!(sent, Ok(Remote::Nodes(NODES)));
    for gateway in others.into_iter().chain([here]) {
        gateway.shutdown().await;
    }
}

/// It may have arrived, so the error doesn't ask to send it again.
#[tokio::test]
async fn an_error_never_asks_to_send_what_may_have_arrived() {
    let (broker, presence) = (LocalBroker::new(), MemoryPresence::new());
    let here = gateway_of("here", Odd(Targeted::FailsFor("a"), broker), &presence);
    here.start().await.unwrap();
    is_online_at(&presence, "a").await;
    let error = here.send_to_identity(&ann(), "n", Json(1)).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), DeliverErrorKind::Broker);
    assert_eq!(error.delivered().unreached, 1);
    let text = error.to_string();
    assert!(
        text.contains("may have arrived") && !text.contains("try again"),
        "{text}"
    );
    here.shutdown().await;
}

/// While a killed node's leases last, who is online elsewhere, too, is reached once, and the sender
/// isn't asked to try again, though its own link is young.
#[tokio::test(start_paused = true)]
async fn a_killed_node_makes_no_error_of_a_message_that_was_delivered() {
    let (broker, presence) = (LocalBroker::new(), MemoryPresence::new());
    let here = gateway_of("here", broker.clone(), &presence);
    let there = gateway_of("there", broker, &presence);
    for gateway in [&here, &there] {
        gateway.start().await.unwrap();
    }
    for name in ["killed", "there"] {
        is_online_at(&presence, name).await;
    }
    for settled in [false, true] {
        let sent = here.send_to_identity(&ann(), "n", Json(1)).await.unwrap();
        assert_eq!(
            (sent.remote, sent.unreached),
            (Remote::Nodes(1), 1),
            "{settled}"
        );
        tokio::time::advance(SETTLED).await;
    }
    // Skipped, and counted still.
    for _ in 0..2 {
        let sent = here.send_to_identity(&ann(), "n", Json(1)).await.unwrap();
        assert_eq!((sent.remote, sent.unreached), (Remote::Nodes(1), 1));
    }
    for gateway in [here, there] {
        gateway.shutdown().await;
    }
}

/// Sessions of former lives are nobody, neither of this node nor of another one.
#[tokio::test(start_paused = true)]
async fn a_node_that_was_started_again_is_not_asked_for_its_former_sessions() {
    let (broker, presence) = (LocalBroker::new(), MemoryPresence::new());
    let here = gateway_of("here", broker.clone(), &presence);
    here.start().await.unwrap();
    is_online_at(&presence, "here").await;
    assert_eq!(send(&here).await, Err(DeliverErrorKind::NotOnline));

    let rest = async || {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    };
    // Two lives of one name, which have said nothing but that they are there.
    let mut lives = Vec::new();
    for _ in 0..2 {
        let life = NodeInfo::new(node("there"), Incarnation::random());
        let joined = broker.clone();
        let inbox = joined.subscribe(Join::new(life.clone())).await.unwrap();
        rest().await;
        drop(inbox);
        lives.push(life);
    }
    let (now, again) = (&lives[1], broker.clone());
    let _topics = [Topic::Node(node("there"))];
    let _inbox = again.subscribe(Join::new(now.clone())).await.unwrap();
    let is_online_in = async |life: &NodeInfo| {
        let session = SessionInfo::new(SessionId::random(), &ann(), life.clone());
        let _registered = presence.register(&[session], None).await.unwrap();
    };
    is_online_in(&lives[0]).await;
    assert_eq!(
        send(&here).await,
        Err(DeliverErrorKind::NotOnline),
        "it is over"
    );
    is_online_in(now).await;
    assert_eq!(send(&here).await, Ok(Remote::Nodes(1)), "it lives");
    here.shutdown().await;
}
