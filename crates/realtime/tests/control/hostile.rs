//! What other nodes may say: more than anybody can do, what nobody understands or has asked for.

use std::{sync::Arc, time::Duration};

use axum::body::Bytes;
use realtime::{
    broker::{
        Broker, LocalBroker, Topic,
        control::{Command, Operation, Outcome},
        envelope::{Envelope, EnvelopeKind, Target},
    },
    codec::FrameKind,
    node::NodeId,
};
use realtime_testkit::wait::until;

use super::{builder, by_hand::ByHand, named, rooms, stuck::Stuck, support::Server};

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
    // Its head is enough to say so, whatever a later version has put behind it.
    for (number, at, is) in [(7, 2, 0x80), (8, 12, 77)] {
        let leave = Operation::Leave("a".parse().unwrap());
        let leave = Command::new(leave, Duration::from_secs(9)).encode();
        let later = Envelope::new(Target::All, "", FrameKind::Binary, leave)
            .with_kind(control)
            .with_correlation(number);
        let mut later = later.encode().to_vec();
        later[at] = is;
        let _routed = other.broker.publish(&Topic::All, later.into()).await;
        let answer = other.next().await;
        assert_eq!(answer.correlation(), Some(number));
        let outcome = Outcome::decode(answer.body().clone()).unwrap();
        assert_eq!(outcome, Outcome::NotUnderstood);
    }
    assert_eq!(server.gateway.stats().controls_refused, 5);
    assert_eq!(ann.recv_json().await.unwrap()["route"], "gap");
    // Without a number it is done, and nobody hears of it.
    let join = Operation::Join("a".parse().unwrap());
    let join = Command::new(join, Duration::from_secs(9)).encode();
    other.say(Topic::All, control, 0, join).await;
    until("it is done", async || rooms(&mut ann).await == ["a"]).await;
    server.stop().await;
}

#[tokio::test]
async fn a_node_that_is_asked_for_too_much_says_that_it_is_busy() {
    let bus = LocalBroker::new();
    let broker = Stuck::to_join(&bus);
    let allowed = Arc::clone(&broker.joins);
    let gateway = builder().node_id(id()).broker(broker).build().unwrap();
    gateway.start().await.unwrap();
    let server = Server::start(gateway).await;
    let mut ann = named(&server, "ann").await;
    let mut other = ByHand::join(&bus, "other").await;
    let join = Operation::Join("a".parse().unwrap());
    let join = Command::new(join, Duration::from_secs(50)).encode();
    for n in 1..=4_140 {
        other
            .say(Topic::All, EnvelopeKind::Control, n, join.clone())
            .await;
    }
    // Those that were too many are answered first: the others wait.
    let mut refused = Vec::new();
    for _ in 4_097..=4_140 {
        let answer = other.next().await;
        let outcome = Outcome::decode(answer.body().clone()).unwrap();
        assert_eq!(outcome, Outcome::Busy);
        refused.push(answer.correlation().unwrap());
    }
    refused.sort_unstable();
    assert!(refused.into_iter().eq(4_097..=4_140));
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
    for _ in 1..=4_096 {
        let answer = other.next().await;
        let outcome = Outcome::decode(answer.body().clone()).unwrap();
        assert_eq!(outcome, Outcome::done(1, 0));
    }
    assert_eq!(rooms(&mut ann).await, ["a"]);
    server.stop().await;
}
