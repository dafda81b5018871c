//! How what fails is recorded: whose fault it was, and a word for it.

use std::time::Duration;

use axum::body::Bytes;
use realtime::{
    broker::{
        Broker, LocalBroker, Topic,
        control::{Command, Operation},
        envelope::{Envelope, EnvelopeKind, Target},
    },
    codec::FrameKind,
    history::{AnyHistory, MemoryHistory},
    middleware::RecoveryLayer,
};
use realtime_testkit::{client::Request, wait::until};
use serde_json::json;

use super::{
    Server, Trace, ask, builder,
    by_hand::ByHand,
    collector::{self, the},
    continuing, named,
    stuck::Stuck,
};

#[tokio::test]
async fn a_message_that_fails_says_why_and_whose_fault_it_was() {
    collector::start();
    let builder = builder(continuing()).layer(RecoveryLayer::new());
    let server = Server::start(builder.build().unwrap()).await;
    let mut client = named(&server, "ann").await;
    for (route, word, is_ours) in [
        ("echo", None, false),
        ("fail", Some("internal"), true),
        ("panic", Some("internal"), true),
        ("full", Some("refused"), false),
        ("nowhere", Some("unknown_route"), false),
        ("enter", Some("bad_data"), false),
    ] {
        let trace = Trace::new();
        ask(&mut client, route, json!(1), &trace.said("01")).await;
        let span = the("it is traced", |seen| seen.trace == trace.id).await;
        assert_eq!(span.field("error.type"), word, "{route}");
        assert_eq!(span.is_error, is_ours, "{route}");
        // What is logged within it goes along: the absence of a secret means something.
        let says_why = span
            .events
            .iter()
            .any(|line| line.contains("the disk is full"));
        assert_eq!(says_why, route == "fail", "{span:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_panic_that_nobody_recovers_is_one_in_the_trace() {
    let server = super::server(continuing()).await;
    let mut client = named(&server, "ann").await;
    let trace = Trace::new();
    ask(&mut client, "panic", json!(1), &trace.said("01")).await;
    let span = the("it is traced", |seen| seen.trace == trace.id).await;
    assert_eq!(
        (span.field("error.type"), span.is_error),
        (Some("panic"), true)
    );
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_is_refused_says_why() {
    let server = super::server(continuing()).await;
    for (request, status, reason) in [
        (
            Request::new("/ws?secret").header("Origin", "https://evil.example"),
            "403",
            "origin",
        ),
        (
            Request::new("/ws?secret").without("Sec-WebSocket-Key"),
            "400",
            "bad_key",
        ),
    ] {
        let trace = Trace::new();
        let request = request.header("traceparent", &trace.said("01"));
        request.refused(server.addr).await;
        let span = the("it is traced", |seen| seen.trace == trace.id).await;
        assert_eq!(span.name, "upgrade");
        assert_eq!(span.field("http.response.status_code"), Some(status));
        assert_eq!(span.field("realtime.refusal"), Some(reason));
        assert!(!span.is_error, "the client is to blame");
        assert!(!format!("{span:?}").contains("secret"), "{span:?}");
    }
    // The server's own fault.
    let addr = server.addr;
    let gateway = server.gateway.clone();
    let mut client = named(&server, "ann").await;
    let draining = tokio::spawn(async move { gateway.drain(Duration::from_secs(5)).await });
    until("it is draining", async || {
        !server.gateway.health().is_good()
    })
    .await;
    let trace = Trace::new();
    let request = Request::new("/ws?ann").header("traceparent", &trace.said("01"));
    assert_eq!(request.refused(addr).await.status, 503);
    let span = the("it is traced", |seen| seen.trace == trace.id).await;
    assert_eq!(
        (span.field("error.type"), span.is_error),
        (Some("503"), true)
    );
    client.closed().await;
    draining.await.unwrap();
    server.stop().await;
}

/// The broker is away: what was to go out says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_go_out_says_why() {
    use realtime::connect;
    use realtime_testkit::servers::Redis;

    collector::start();
    let mut redis = Redis::start().await.unwrap();
    let broker = connect::broker(&redis.url()).unwrap();
    let gateway = builder(continuing()).broker(broker);
    let history = realtime::history::MemoryHistory::new();
    let gateway = gateway.history(history).build().unwrap();
    gateway.start().await.unwrap();
    let server = Server::start(gateway).await;
    let mut client = named(&server, "ann").await;
    redis.kill().unwrap();
    until("the outage is known", async || {
        !server.gateway.health().is_good()
    })
    .await;
    let trace = Trace::new();
    ask(&mut client, "to.everybody", json!(null), &trace.said("01")).await;
    let sent = |seen: &collector::Seen| seen.trace == trace.id && seen.name.starts_with("publish");
    let sent = the("it is traced", sent).await;
    assert!(
        sent.is_error && is_listed(sent.field("error.type")),
        "{sent:?}"
    );

    let trace = Trace::new();
    ask(&mut client, "do.join", json!(null), &trace.said("01")).await;
    let asked = |seen: &collector::Seen| seen.trace == trace.id && seen.name == "control join";
    let asked = the("what others are asked is traced", asked).await;
    assert!(
        asked.is_error && is_listed(asked.field("error.type")),
        "{asked:?}"
    );
    server.stop().await;
}

/// What docs/traces.md says that a broker's error is called.
fn is_listed(word: Option<&str>) -> bool {
    let docs = include_str!("../../../../docs/traces.md");
    let line = docs.lines().find(|line| line.starts_with("| `publish "));
    let line = line.unwrap();
    word.is_some_and(|word| line.contains(&format!("`{word}`")))
}

#[test]
fn all_errors_of_brokers_are_listed() {
    use realtime::broker::BrokerErrorKind as K;

    for kind in [
        K::Blocked,
        K::Closed,
        K::Config,
        K::DuplicateNode,
        K::InvalidMessage,
        K::TooLarge,
        K::Unavailable,
        K::Unknown,
    ] {
        assert!(is_listed(Some(kind.name())), "{kind:?}");
    }
}

/// A shutdown has an end, and a handler needn't.
#[tokio::test]
async fn what_is_cut_short_says_so() {
    collector::start();
    let gateway = builder(continuing()).shutdown_timeout(Some(Duration::from_millis(200)));
    let server = Server::start(gateway.build().unwrap()).await;
    let mut client = named(&server, "ann").await;
    let trace = Trace::new();
    let said = json!({ "traceparent": trace.said("01") });
    let request = json!({ "id": "t", "route": "hang", "metadata": said });
    client.send_text(&request.to_string()).await.unwrap();
    until("it has begun", async || {
        server.gateway.stats().received == 2
    })
    .await;
    server.stop().await;
    let span = the("it is traced", |seen| seen.trace == trace.id).await;
    assert_eq!(
        (span.field("error.type"), span.is_error),
        (Some("cancelled"), false)
    );
}

/// Asks for something within a trace, or within none.
async fn tell(other: &ByHand, trace: Option<&Trace>, body: Bytes) {
    let envelope = Envelope::new(Target::All, "realtime.json", FrameKind::Text, body);
    let envelope = envelope
        .with_kind(EnvelopeKind::Control)
        .with_correlation(1);
    let envelope = match trace {
        Some(trace) => envelope.with_traceparent(trace.said("01")),
        None => envelope,
    };
    let _routed = other.broker.publish(&Topic::All, envelope.encode()).await;
}

#[tokio::test]
async fn what_another_node_asks_for_in_vain_says_why() {
    collector::start();
    let bus = LocalBroker::new();
    let broker = Stuck::to_join(&bus);
    let allowed = broker.joins.clone();
    let builder = builder(continuing()).broker(broker);
    let history = AnyHistory::new(MemoryHistory::new());
    let gateway = builder.history(history).build().unwrap();
    gateway.start().await.unwrap();
    let server = Server::start(gateway).await;
    let _ann = named(&server, "ann").await;
    let other = ByHand::join(&bus, "other").await;
    let command = |operation| Command::new(operation, Duration::from_secs(50)).encode();
    let join = || command(Operation::Join("a".parse().unwrap()));
    // As many as may be under way: the broker lets nobody join.
    for _ in 0..4_096 {
        tell(&other, None, join()).await;
    }
    for (body, name, word, is_ours) in [
        (join(), "controlled join", "busy", true),
        // Of a later version, and of a codec that isn't spoken here.
        (
            vec![0xff; 8].into(),
            "controlled other",
            "not_understood",
            false,
        ),
        (
            command(Operation::Request(Bytes::from_static(b"?"))),
            "controlled request",
            "not_understood",
            false,
        ),
    ] {
        let trace = Trace::new();
        tell(&other, Some(&trace), body).await;
        let span = the("it is traced", |seen| seen.trace == trace.id).await;
        assert_eq!(span.name, name);
        assert_eq!(
            (span.field("error.type"), span.is_error),
            (Some(word), is_ours)
        );
        assert_eq!(span.field("realtime.source.node.id"), Some("other"));
    }
    allowed.add_permits(1);
    server.stop().await;
}
