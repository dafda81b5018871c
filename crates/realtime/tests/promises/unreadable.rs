//! What a node can't read of another: it goes to nobody, and counts as missed.

use axum::body::Bytes;
use realtime::{
    broker::{
        Broker, Join, LocalBroker, NodeInfo, Topic,
        envelope::{Envelope, EnvelopeKind, Target},
    },
    codec::FrameKind,
    node::{Incarnation, NodeId},
};
use realtime_testkit::wait::{until, within};

use crate::support::Server;

#[tokio::test]
async fn what_is_for_somebody_unknown_goes_to_nobody_and_counts_as_missed() {
    let bus = LocalBroker::default();
    let here = crate::support::builder()
        .broker(bus.clone())
        .build()
        .unwrap();
    let server = Server::start(here).await;
    let is_started = async || server.gateway.health().is_good();
    until("it is started", is_started).await;
    let mut client = server.connect().await;
    server.until_open(1).await;
    let later = bus.clone();
    let node = NodeInfo::new(NodeId::random(), Incarnation::random());
    let _inbox = later.subscribe(Join::new(node)).await.unwrap();

    let body = Bytes::from_static(br#"{"route":"secret","data":"for one"}"#);
    let message =
        |codec: &'static str| Envelope::new(Target::All, codec, FrameKind::Text, body.clone());
    let known = message("realtime.json");
    let mut unknown_target = known.encode().to_vec();
    unknown_target[12] = 77;
    // Three that may have been for a session. What is no message was for none.
    let unreadable = [
        unknown_target.into(),
        known.clone().with_kind(EnvelopeKind::Control).encode(),
        known.clone().with_kind(EnvelopeKind::Receipt).encode(),
        message("another").encode(),
        Bytes::from_static(b"garbage"),
    ];
    for bytes in unreadable {
        let _routed = later.publish(&Topic::All, bytes).await.unwrap();
    }
    let next = later.publish(&Topic::All, known.encode()).await;
    let _routed = next.unwrap();
    // Before what follows.
    let gap = within("the gap", client.recv_json()).await.unwrap();
    let expected = (&"gap".into(), &3.into());
    assert_eq!((&gap["route"], &gap["data"]["missed"]), expected);
    let stats = server.gateway.stats();
    assert_eq!(stats.invalid_broker_messages, 4, "the receipt, too");
    assert_eq!(stats.controls_refused, 1);
    let next = within("a message", client.recv_json()).await.unwrap();
    assert_eq!(next["route"], "secret");
}
