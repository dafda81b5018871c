//! Rooms that clients come into and come back to.

use std::{future::pending, time::Duration};

use bytes::{Bytes, BytesMut};
use realtime::{
    BoxError, ClientError, Gateway, Identity, IdentityKey, Json, Message, Router,
    broker::{
        Broker, BrokerError, BrokerErrorKind, BrokerEvents, BrokerLimits, Join, LocalBroker,
        Published, Subscription, Topic, TopicName,
    },
    codec::{Codec, CodecError, CodecErrorKind, Frame, FrameKind, JsonCodec, Notice},
    error::JoinErrorKind,
    history::Retention,
    middleware::TimeoutLayer,
    room::{RoomName, RoomRule},
};
use realtime_testkit::{client::Client, memory::connect};
use serde_json::{Value, json};

use super::{
    ByName, builder, named,
    scrape::{self, Metrics},
    start,
    support::Server,
};

const JOINS: &str = "realtime_room_joins_total";

async fn ask(client: &mut Client, route: &str, data: Value) -> Value {
    client.request(route, data).await.unwrap()["data"].clone()
}

#[tokio::test]
async fn rooms_joins_and_recoveries_are_counted_by_their_outcomes() {
    let retention = Retention::new(10, Duration::from_secs(600)).unwrap();
    let kept = RoomRule::open().history(retention);
    let router = Router::new().room("{room}", kept);
    let (server, metrics) = start(builder().router(router).max_rooms_per_session(2)).await;
    let mut ann = named(&server, "ann").await;
    let mut position = json!(null);
    for room in ["a", "b"] {
        let answer = ask(&mut ann, "join", json!({"room": room})).await;
        position = answer["position"].clone();
    }
    metrics.is("realtime_rooms", &[], 2.).await;
    metrics
        .is("realtime_room_joins_total", &[("outcome", "ok")], 2.)
        .await;
    let refused = ask(&mut ann, "join", json!({"room": "c"})).await;
    assert_eq!(refused["code"], "too_many_rooms", "{refused}");
    metrics
        .is(
            "realtime_room_joins_total",
            &[("outcome", "too_many_rooms")],
            1.,
        )
        .await;
    server.gateway.room("b").send("n", Json(1)).await.unwrap();
    ann.recv_json().await.unwrap();
    for (call, outcome) in [("append", "ok"), ("position", "ok")] {
        let labels = [("backend", "history"), ("call", call), ("outcome", outcome)];
        metrics
            .at_least("realtime_backend_call_duration_seconds", &labels, 1.)
            .await;
    }
    let (epoch, offset) = (&position["epoch"], &position["offset"]);
    let mut from = json!({"room": "b", "epoch": epoch, "offset": offset});
    let answer = ask(&mut ann, "recover", from.clone()).await;
    assert_eq!(answer["recovered"], true, "{answer}");
    metrics
        .is(
            "realtime_room_recoveries_total",
            &[("outcome", "complete")],
            1.,
        )
        .await;
    from["epoch"] = json!("another");
    let answer = ask(&mut ann, "recover", from).await;
    assert_eq!(answer["recovered"], false, "{answer}");
    metrics
        .is("realtime_room_recoveries_total", &[("outcome", "lost")], 1.)
        .await;
    metrics
        .moves(
            "realtime_room_recoveries_total",
            "outcome",
            &["complete", "lost"],
        )
        .await;
    metrics
        .moves(
            "realtime_room_joins_total",
            "outcome",
            &["ok", "too_many_rooms"],
        )
        .await;
    drop(ann);
    metrics.is("realtime_rooms", &[], 0.).await;
    server.stop().await;
}

/// A codec that has no words for what the server says of itself.
#[derive(Debug)]
struct Wordless;

impl Codec for Wordless {
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
        if matches!(notice, Notice::Joined { .. }) {
            return Err(CodecError::new(CodecErrorKind::Encode, "it has no words"));
        }
        JsonCodec.encode_notice(notice, out)
    }
}

/// Rooms of other nodes that can't be asked for.
struct Roomless(LocalBroker);

impl Broker for Roomless {
    async fn subscribe(&self, join: Join) -> Result<Subscription, BrokerError> {
        self.0.subscribe(join).await
    }

    async fn join(&self, _: &TopicName) -> Result<(), BrokerError> {
        Err(BrokerError::new(BrokerErrorKind::Unavailable, "away"))
    }

    async fn leave(&self, topic: &TopicName) -> Result<(), BrokerError> {
        self.0.leave(topic).await
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<Published, BrokerError> {
        self.0.publish(topic, data).await
    }

    fn events(&self) -> BrokerEvents {
        self.0.events()
    }

    fn limits(&self) -> BrokerLimits {
        self.0.limits()
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

#[tokio::test]
async fn joins_that_fail_are_counted_by_what_was_missing() {
    let router = Router::new().room("{room}", RoomRule::open());
    scrape::install();
    let builder = Gateway::builder(Wordless)
        .name("wordless")
        .authenticator(ByName);
    let builder = builder.max_rooms(1).max_rooms_per_session(1);
    let gateway = builder.router(router).build().unwrap();
    let metrics = Metrics::of(&gateway);
    let server = Server::start(gateway).await;
    let mut ann = named(&server, "ann").await;
    server.until_open(1).await;
    let session = server.gateway.local_sessions().remove(0);
    ask(&mut ann, "join", json!({"room": "a"})).await;
    metrics
        .moves("realtime_room_joins_total", "outcome", &["encode"])
        .await;
    session.join("a").await.unwrap();
    let _bob = named(&server, "bob").await;
    server.until_open(2).await;
    let sessions = server.gateway.local_sessions();
    let other = sessions.iter().find(|other| other.id() != session.id());
    let full = other.unwrap().join("b").await.unwrap_err();
    assert_eq!(full.kind(), JoinErrorKind::NodeFull);
    drop(sessions);
    let of_bob = RoomName::inbox(&IdentityKey::new("bob"));
    let wrong = session.join(of_bob).await.unwrap_err();
    assert_eq!(wrong.kind(), JoinErrorKind::InvalidRoom);
    ann.close(1000, "").await.unwrap();
    session.closed().await;
    let late = session.join("a").await.unwrap_err();
    assert_eq!(late.kind(), JoinErrorKind::SessionClosed);
    metrics
        .moves(
            "realtime_room_joins_total",
            "outcome",
            &["node_full", "invalid_room", "session_closed"],
        )
        .await;
    server.stop().await;
}

#[tokio::test]
async fn wishes_that_come_to_no_room_are_counted_once_each() {
    let retention = Retention::new(10, Duration::from_secs(600)).unwrap();
    let refuses = async || Err::<(), _>(ClientError::new("forbidden", "members only"));
    let fails = async || Err::<(), BoxError>("the directory is away".into());
    let panics = async || -> () { panic!("as it should") };
    let router = Router::new()
        .room("open", RoomRule::open().history(retention))
        .room("refuses", RoomRule::allow(refuses))
        .room("fails", RoomRule::allow(fails))
        .room("panics", RoomRule::allow(panics))
        .room("waits", RoomRule::allow(async || pending::<()>().await));
    let longest = TimeoutLayer::new(Duration::from_secs(3));
    let gateway = builder().router(router).layer(longest).build().unwrap();
    let metrics = Metrics::of(&gateway);
    let server = Server::start(gateway).await;
    let counted = |outcome: &str| metrics.value(JOINS, &[("outcome", outcome)]);
    let mut ann = named(&server, "ann").await;
    for (room, outcome) in [
        (json!({"room": ""}), "invalid_room"),
        (json!({"room": "x".repeat(257)}), "invalid_room"),
        (json!({"room": 7}), "bad_data"),
        (json!({}), "bad_data"),
        (json!({"room": "elsewhere"}), "unknown_room"),
        (json!({"room": "refuses"}), "refused"),
        (json!({"room": "fails"}), "failed"),
        (json!({"room": "open"}), "ok"),
    ] {
        let before = counted(outcome);
        let all = metrics.value(JOINS, &[]);
        ask(&mut ann, "join", room).await;
        metrics
            .is(JOINS, &[("outcome", outcome)], before + 1.)
            .await;
        metrics.is(JOINS, &[], all + 1.).await;
    }
    // What was to be recovered has failed with them.
    for (room, epoch, outcome) in [("open", "?", "bad_data"), ("fails", "a", "failed")] {
        let before = counted(outcome);
        let from = json!({"room": room, "epoch": epoch, "offset": 1});
        ask(&mut ann, "recover", from).await;
        metrics
            .is(JOINS, &[("outcome", outcome)], before + 1.)
            .await;
    }
    metrics
        .is(
            "realtime_room_recoveries_total",
            &[("outcome", "failed")],
            2.,
        )
        .await;

    // What the application wishes.
    let before = counted("invalid_room");
    let session = server.gateway.local_sessions().remove(0);
    session.join("").await.unwrap_err();
    server.gateway.everybody().join("").await.unwrap_err();
    metrics
        .is(JOINS, &[("outcome", "invalid_room")], before + 2.)
        .await;

    // Rules that come to no end, and whose client is gone by then.
    let before = counted("failed");
    let mut bob = named(&server, "bob").await;
    bob.send("join", json!({"room": "panics"})).await.unwrap();
    metrics
        .is(JOINS, &[("outcome", "failed")], before + 1.)
        .await;
    ann.send("join", json!({"room": "waits"})).await.unwrap();
    drop(ann);
    metrics
        .is(JOINS, &[("outcome", "failed")], before + 2.)
        .await;
    metrics
        .moves(
            "realtime_room_joins_total",
            "outcome",
            &["bad_data", "failed", "refused", "unknown_room"],
        )
        .await;
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_join_that_other_nodes_can_t_be_asked_for_is_counted() {
    let router = Router::new().room("{room}", RoomRule::open());
    let builder = builder().router(router);
    let gateway = builder
        .broker(Roomless(LocalBroker::new()))
        .build()
        .unwrap();
    gateway.start().await.unwrap();
    let metrics = Metrics::of(&gateway);
    let ann = connect(&gateway, Identity::new("ann")).await.unwrap();
    let session = ann.session(&gateway).unwrap();
    let away = session.join("a").await.unwrap_err();
    assert_eq!(away.kind(), JoinErrorKind::Broker);
    metrics
        .moves("realtime_room_joins_total", "outcome", &["broker"])
        .await;
    gateway.shutdown().await;
}
