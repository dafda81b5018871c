//! What other nodes may say: more than anybody can do, what nobody understands or has asked for.

use std::{sync::Arc, time::Duration};

use axum::body::Bytes;
use realtime::{
    broker::{
        Broker, BrokerError, BrokerEvents, BrokerLimits, Join, LocalBroker, Published,
        Subscription, Topic, TopicName,
        control::{Command, Operation, Outcome},
        envelope::EnvelopeKind,
    },
    node::NodeId,
};
use realtime_testkit::wait::until;
use tokio::sync::Semaphore;

use super::{builder, by_hand::ByHand, named, rooms, support::Server};

fn id() -> NodeId {
    "here".parse().unwrap()
}

#[tokio::test]
async fn receipts_that_nobody_waits_for_are_dropped_and_counted() {
    let bus = LocalBroker::new();
    let gateway = builder().node_id(id()).broker(bus.clone()).build().unwrap();
    gateway.start().await.unwrap();
    let server = Server::start(gateway).await;
    let mut ann = named(&server, "ann").await;
    let other = ByHand::join(&bus, "other").await;
    let (to, receipt) = (|| Topic::Node(id()), EnvelopeKind::Receipt);
    for n in 0..100 {
        other
            .say(to(), receipt, n, Outcome::done(1, 0).encode())
            .await;
    }
    for garbage in ["", "\u{9}", "\0\0\0", "\u{3}?"] {
        other.say(to(), receipt, 7, garbage).await;
    }
    let stats = || server.gateway.stats();
    until("all are counted", async || {
        (stats().receipts_unmatched, stats().invalid_broker_messages) == (100, 4)
    })
    .await;
    // Nobody has missed a message by that.
    assert!(rooms(&mut ann).await.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_understood_is_answered_as_that() {
    let bus = LocalBroker::new();
    let gateway = builder().node_id(id()).broker(bus.clone()).build().unwrap();
    gateway.start().await.unwrap();
    let server = Server::start(gateway).await;
    let mut ann = named(&server, "ann").await;
    let mut other = ByHand::join(&bus, "other").await;
    let control = EnvelopeKind::Control;
    for (n, body) in ["", "\u{63}\0\0\u{7}\u{7}more", "\u{1}\0\0\u{7}\u{7}\0\0"]
        .into_iter()
        .enumerate()
    {
        other.say(Topic::All, control, n as u64 + 1, body).await;
        let answer = other.next().await;
        assert_eq!(answer.kind(), EnvelopeKind::Receipt);
        assert_eq!(answer.correlation(), Some(n as u64 + 1));
        let outcome = Outcome::decode(answer.body().clone()).unwrap();
        assert_eq!(outcome, Outcome::NotUnderstood);
    }
    assert_eq!(server.gateway.stats().controls_refused, 3);
    // Without a number it is done, and nobody hears of it.
    let join = Operation::Join("a".parse().unwrap());
    let join = Command::new(join, Duration::from_secs(9)).encode();
    other.say(Topic::All, control, 0, join).await;
    until("it is done", async || rooms(&mut ann).await == ["a"]).await;
    server.stop().await;
}

/// A broker whose topics are joined when the test says so.
struct Stuck(LocalBroker, Arc<Semaphore>);

impl Broker for Stuck {
    async fn subscribe(&self, join: Join) -> Result<Subscription, BrokerError> {
        self.0.subscribe(join).await
    }

    async fn join(&self, topic: &TopicName) -> Result<(), BrokerError> {
        let _allowed = self.1.acquire().await;
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
        self.0.events()
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

#[tokio::test]
async fn a_node_that_is_asked_for_too_much_says_that_it_is_busy() {
    let (bus, allowed) = (LocalBroker::new(), Arc::new(Semaphore::new(0)));
    let broker = Stuck(bus.clone(), Arc::clone(&allowed));
    let gateway = builder().node_id(id()).broker(broker).build().unwrap();
    gateway.start().await.unwrap();
    let server = Server::start(gateway).await;
    let mut ann = named(&server, "ann").await;
    let mut other = ByHand::join(&bus, "other").await;
    let join = Operation::Join("a".parse().unwrap());
    let join = Command::new(join, Duration::from_secs(50)).encode();
    for n in 1..=300 {
        other
            .say(Topic::All, EnvelopeKind::Control, n, join.clone())
            .await;
    }
    // Those that were too many are answered first: the others wait.
    for n in 257..=300 {
        let answer = other.next().await;
        assert_eq!(answer.correlation(), Some(n));
        let outcome = Outcome::decode(answer.body().clone()).unwrap();
        assert_eq!(outcome, Outcome::Busy);
    }
    assert_eq!(server.gateway.stats().controls_refused, 44);
    // What is for sessions doesn't wait behind it.
    let message = realtime::broker::envelope::Envelope::new(
        realtime::broker::envelope::Target::All,
        "realtime.json",
        realtime::codec::FrameKind::Text,
        Bytes::from_static(br#"{"route":"n"}"#),
    );
    let _routed = other.broker.publish(&Topic::All, message.encode()).await;
    assert_eq!(ann.recv_json().await.unwrap()["route"], "n");
    allowed.add_permits(1);
    for _ in 1..=256 {
        let answer = other.next().await;
        let outcome = Outcome::decode(answer.body().clone()).unwrap();
        assert_eq!(outcome, Outcome::done(1, 0));
    }
    assert_eq!(rooms(&mut ann).await, ["a"]);
    server.stop().await;
}
