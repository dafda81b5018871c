//! What clients answer is bounded in time and in length, and what is lost of it is counted.

use std::time::Duration;

use axum::body::Bytes;
use bytes::BytesMut;
use futures::StreamExt;
use realtime::{
    Identity, Json, Message,
    broker::{
        Broker, LocalBroker, Topic,
        control::{Command, Operation, Outcome},
        envelope::{Envelope, EnvelopeKind, Target},
    },
    codec::{Codec, CodecError, Frame, FrameKind, JsonCodec, Notice},
    control::Answers,
    error::ControlErrorKind,
};
use realtime_testkit::{memory::connect, wait::until};
use serde_json::json;

use super::{
    ByName, builder,
    by_hand::ByHand,
    counts, named, nodes,
    support::{Server, builder_of},
};

#[tokio::test]
async fn an_answer_that_is_too_long_has_failed() {
    let [here, there] = nodes().await;
    until("each knows the other", async || {
        here.gateway.nodes().len() == 2
    })
    .await;
    let mut clients = Vec::new();
    for server in [&here, &there] {
        for length in [Answers::MAX_ANSWER / 2, Answers::MAX_ANSWER] {
            let client = named(server, "ann").await;
            clients.push((client, "x".repeat(length)));
        }
    }
    let everybody = here.gateway.everybody().within(Duration::from_secs(50));
    let mut answers = everybody.request("say", Json(())).unwrap();
    let (heard, ()) = tokio::join!(answers.by_ref().count(), async {
        for (client, data) in &mut clients {
            let id = client.recv_json().await.unwrap()["request"].clone();
            let answer = json!({"reply": id, "data": data});
            client.send_text(&answer.to_string()).await.unwrap();
        }
    });
    assert_eq!(heard, 2);
    let receipt = answers.receipt().unwrap();
    assert_eq!(counts(receipt), [("node-0", 2), ("node-1", 2)]);
    assert_eq!((receipt.failed, receipt.is_complete()), (2, true));
    for server in [here, there] {
        assert_eq!(server.gateway.stats().answers_dropped, 1);
        server.stop().await;
    }
}

#[tokio::test]
async fn once_it_has_ended_nobody_waits_for_more() {
    let bus = LocalBroker::new();
    let id = "here".parse().unwrap();
    let gateway = builder().node_id(id).broker(bus.clone()).build().unwrap();
    gateway.start().await.unwrap();
    let server = Server::start(gateway).await;
    let mut other = ByHand::join(&bus, "other").await;
    until("it is known", async || server.gateway.nodes().len() == 2).await;
    let everybody = server.gateway.everybody().within(Duration::from_secs(50));
    let mut answers = everybody.request("ready?", Json(1)).unwrap();
    let to = || Topic::Node("here".parse().unwrap());
    let (receipt, done) = (EnvelopeKind::Receipt, Outcome::done(0, 0).encode());
    let (heard, number) = tokio::join!(answers.next(), async {
        let number = other.next().await.correlation().unwrap();
        other.say(to(), receipt, number, done.clone()).await;
        number
    });
    assert!(heard.is_none() && answers.receipt().unwrap().is_complete());
    other.say(to(), receipt, number, done).await;
    until("it is for nobody", async || {
        server.gateway.stats().receipts_unmatched == 1
    })
    .await;
    assert_eq!(answers.overflowed(), 0);
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_time_of_clients_begins_when_they_are_asked() {
    let gateway = builder().build().unwrap();
    let mut ann = connect(&gateway, Identity::new("ann")).await.unwrap();
    let everybody = gateway.everybody().within(Duration::from_secs(1));
    let mut answers = everybody.request("ready?", Json(())).unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (heard, ()) = tokio::join!(answers.next(), async {
        let asked = ann.receive_on("ready?").await.unwrap();
        ann.reply(&asked, Json(true)).await.unwrap();
    });
    assert!(heard.is_some());
    assert!(answers.next().await.is_none());
    let receipt = answers.receipt().unwrap();
    assert!(receipt.elapsed < Duration::from_secs(1));
}

/// Panics when a client is to be asked.
#[derive(Debug)]
struct PanicsOnRequests;

impl Codec for PanicsOnRequests {
    fn name(&self) -> &str {
        JsonCodec.name()
    }

    fn encode(&self, message: &Message, out: &mut BytesMut) -> Result<FrameKind, CodecError> {
        JsonCodec.encode(message, out)
    }

    fn decode(&self, frame: Frame) -> Result<Message, CodecError> {
        JsonCodec.decode(frame)
    }

    fn encode_notice(
        &self,
        notice: &Notice<'_>,
        out: &mut BytesMut,
    ) -> Result<Option<FrameKind>, CodecError> {
        assert!(
            !matches!(notice, Notice::Request { .. }),
            "on purpose: a codec that panics on requests"
        );
        JsonCodec.encode_notice(notice, out)
    }
}

#[tokio::test]
async fn a_codec_that_panics_on_requests_is_answered_for_all_the_same() {
    let bus = LocalBroker::new();
    let gateway = builder_of(PanicsOnRequests)
        .authenticator(ByName)
        .node_id("here".parse().unwrap())
        .broker(bus.clone())
        .build()
        .unwrap();
    gateway.start().await.unwrap();
    let server = Server::start(gateway).await;
    let mut other = ByHand::join(&bus, "other").await;
    let _ann = server.connect().await;
    server.until_open(1).await;
    let request = Operation::Request(Bytes::from_static(br#"{"route":"ready?"}"#));
    let request = Command::new(request, Duration::from_secs(50)).encode();
    let envelope = Envelope::new(Target::All, JsonCodec.name(), FrameKind::Text, request)
        .with_kind(EnvelopeKind::Control)
        .with_correlation(7);
    let _routed = other.broker.publish(&Topic::All, envelope.encode()).await;
    let outcome = Outcome::decode(other.next().await.body().clone()).unwrap();
    assert_eq!(outcome, Outcome::done(1, 1));
    let refused = server.gateway.everybody().request("ready?", Json(()));
    assert_eq!(refused.unwrap_err().kind(), ControlErrorKind::Encode);
    server.stop().await;
}
