//! Much at once, from one node or many: nothing of it keeps a ban waiting, and each is answered.

use std::{sync::Arc, time::Duration};

use axum::body::Bytes;
use realtime::{
    CloseCode, IdentityKey,
    broker::{
        Broker, LocalBroker, Topic,
        control::{Command, Operation, Outcome},
        envelope::{Envelope, EnvelopeKind, Target},
    },
    codec::FrameKind,
};

use super::{builder, by_hand::ByHand, named, rooms, stuck::Stuck, support::Server};

/// A control for one identity.
async fn tell(other: &ByHand, name: &str, number: u64, operation: Operation) {
    let body = Command::new(operation, Duration::from_secs(50)).encode();
    let to = Target::Identity(IdentityKey::new(name));
    let envelope = Envelope::new(to, "realtime.json", FrameKind::Text, body);
    let envelope = envelope
        .with_kind(EnvelopeKind::Control)
        .with_correlation(number);
    let _routed = other.broker.publish(&Topic::All, envelope.encode()).await;
}

fn ban() -> Operation {
    Operation::Disconnect {
        code: CloseCode::DISCONNECTED,
        reason: "banned".into(),
    }
}

/// The number of the next answer, and what it says.
async fn heard(other: &mut ByHand) -> (u64, Outcome) {
    let answer = loop {
        let envelope = other.next().await;
        // What others ask for is for this one, too.
        if envelope.kind() == EnvelopeKind::Receipt {
            break envelope;
        }
    };
    let outcome = Outcome::decode(answer.body().clone()).unwrap();
    (answer.correlation().unwrap(), outcome)
}

#[tokio::test]
async fn clients_who_are_waited_for_keep_no_ban_waiting() {
    let bus = LocalBroker::new();
    let id = "here".parse().unwrap();
    let gateway = builder().node_id(id).broker(bus.clone()).build().unwrap();
    gateway.start().await.unwrap();
    let server = Server::start(gateway).await;
    let mut other = ByHand::join(&bus, "other").await;
    let names: Vec<String> = (0..5).map(|n| format!("silent-{n}")).collect();
    let mut silent = Vec::new();
    for name in &names {
        silent.push(named(&server, name).await);
    }
    let mut troll = named(&server, "troll").await;
    let question = Operation::Request(Bytes::from_static(br#"{"route":"ready?"}"#));
    for n in 0..300 {
        tell(&other, &names[n % 5], 1_000, question.clone()).await;
    }
    for client in &mut silent {
        for _ in 0..60 {
            assert_eq!(client.recv_json().await.unwrap()["route"], "ready?");
        }
    }
    tell(&other, "troll", 7, ban()).await;
    assert_eq!(heard(&mut other).await, (7, Outcome::done(1, 0)));
    assert_eq!(troll.closed().await, Some((3503, "banned".to_owned())));
    server.stop().await;
}

#[tokio::test]
async fn a_thousand_bans_at_once_are_all_answered() {
    let bus = LocalBroker::new();
    let broker = Stuck::to_answer(&bus);
    let allowed = Arc::clone(&broker.answers);
    let id = "here".parse().unwrap();
    let gateway = builder().node_id(id).broker(broker).build().unwrap();
    gateway.start().await.unwrap();
    let server = Server::start(gateway).await;
    let mut other = ByHand::join(&bus, "other").await;
    for n in 0..1_000 {
        tell(&other, "troll", n + 1, ban()).await;
    }
    let mut last = named(&server, "last").await;
    tell(&other, "last", 1_001, ban()).await;
    // All have arrived, and no answer has gone out.
    assert!(last.closed().await.is_some());
    allowed.add_permits(1);
    let mut numbers = Vec::new();
    for _ in 0..1_001 {
        let (number, outcome) = heard(&mut other).await;
        assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
        numbers.push(number);
    }
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(1..=1_001));
    assert_eq!(server.gateway.stats().controls_refused, 0);
    server.stop().await;
}

#[tokio::test]
async fn what_a_node_asks_for_is_done_in_its_order() {
    let bus = LocalBroker::new();
    let broker = Stuck::to_join(&bus);
    let allowed = Arc::clone(&broker.joins);
    let id = "here".parse().unwrap();
    let gateway = builder().node_id(id).broker(broker).build().unwrap();
    gateway.start().await.unwrap();
    let server = Server::start(gateway).await;
    let (mut ann, mut troll) = (named(&server, "ann").await, named(&server, "troll").await);
    let mut other = ByHand::join(&bus, "other").await;
    let mut third = ByHand::join(&bus, "third").await;
    let room = || "a".parse().unwrap();
    tell(&other, "ann", 1, Operation::Join(room())).await;
    tell(&other, "ann", 2, Operation::Leave(room())).await;
    tell(&third, "ann", 9, Operation::Leave("b".parse().unwrap())).await;
    tell(&other, "troll", 3, ban()).await;
    // The broker lets nobody join yet: she can't have left. Nobody else waits for that.
    assert_eq!(heard(&mut other).await, (3, Outcome::done(1, 0)));
    assert_eq!(troll.closed().await, Some((3503, "banned".to_owned())));
    assert_eq!(heard(&mut third).await, (9, Outcome::done(1, 0)));
    allowed.add_permits(1);
    for n in [1, 2] {
        assert_eq!(heard(&mut other).await, (n, Outcome::done(1, 0)));
    }
    assert!(rooms(&mut ann).await.is_empty());
    server.stop().await;
}
