//! From a request to connect to the end of the session.

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use realtime::{
    Identity, Upgrade,
    traces::{OpenTelemetry, Traces},
};
use realtime_testkit::{client::Request, wait::until};
use serde_json::json;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::{
    Trace, ask, builder,
    collector::{self, Seen, the, those},
    continuing, server,
};

#[tokio::test]
async fn a_session_is_a_few_short_spans_that_belong_together() {
    let server = server(continuing()).await;
    let trace = Trace::new();
    let request = Request::new("/ws?ann").header("traceparent", &trace.said("01"));
    let mut client = request.connect(server.addr).await.unwrap();
    let session = client.request("id", json!(null)).await.unwrap()["data"].clone();
    let session = session.as_str().unwrap();

    let of = |name: &'static str| move |seen: &Seen| seen.trace == trace.id && seen.name == name;
    let upgrade = the("the upgrade is traced", of("upgrade")).await;
    assert_eq!(
        (upgrade.parent, upgrade.kind),
        (trace.span, SpanKind::Server)
    );
    for (field, value) in [
        ("http.request.method", "GET"),
        ("url.path", "/ws"),
        ("http.response.status_code", "101"),
        ("network.protocol.version", "1.1"),
        ("client.address", "127.0.0.1"),
    ] {
        assert_eq!(upgrade.field(field), Some(value));
    }
    let open = the("the session's beginning is traced", of("session open")).await;
    assert_eq!((open.parent, open.kind), (upgrade.id, SpanKind::Internal));
    assert_eq!(open.field("realtime.session.id"), Some(session));

    // What it does is a trace of its own, of which the link says where it comes from.
    let other = Trace::new();
    ask(&mut client, "echo", json!(1), &other.said("01")).await;
    let message = the("a message is traced", |seen| seen.trace == other.id).await;
    assert_eq!(message.links, [upgrade.id]);
    assert_eq!(message.field("realtime.session.id"), Some(session));

    client.close(1000, "").await.unwrap();
    client.closed().await;
    let is_its = |seen: &Seen| {
        seen.name == "session close" && seen.field("realtime.session.id") == Some(session)
    };
    let close = the("its end is traced", is_its).await;
    assert_eq!((close.parent, &*close.links), (0, &[upgrade.id][..]));
    assert_ne!(close.trace, trace.id);
    assert_eq!(close.field("realtime.close.code"), Some("1000"));
    assert_eq!(close.field("realtime.close.initiator"), Some("client"));
    assert!(!close.is_error);
    server.stop().await;
}

/// Of a session that isn't traced a message may be: it says whose it is, without a link.
#[tokio::test]
async fn a_message_is_traced_though_its_session_is_not() {
    let server = server(continuing()).await;
    let mut client = super::named(&server, "ann").await;
    let session = client.request("id", json!(null)).await.unwrap()["data"].clone();
    let trace = Trace::new();
    ask(&mut client, "echo", json!(1), &trace.said("01")).await;
    let message = the("a message is traced", |seen| seen.trace == trace.id).await;
    assert!(message.links.is_empty());
    assert_eq!(message.field("realtime.session.id"), session.as_str());
    client.close(1000, "").await.unwrap();
    client.closed().await;
    until("it has ended", async || server.gateway.stats().closed == 1).await;
    let last = Trace::new();
    let mut other = super::named(&server, "bob").await;
    ask(&mut other, "echo", json!(1), &last.said("01")).await;
    the("the last is traced", |seen| seen.trace == last.id).await;
    let node = server.gateway.node_id().as_str();
    let all = those(|seen| seen.is_of(node));
    assert_eq!(all.len(), 2, "{all:#?}");
    server.stop().await;
}

#[tokio::test]
async fn no_span_lasts_as_long_as_its_session() {
    let server = server(continuing()).await;
    let trace = Trace::new();
    let request = Request::new("/ws?ann").header("traceparent", &trace.said("01"));
    let mut client = request.connect(server.addr).await.unwrap();
    ask(&mut client, "echo", json!(1), &trace.said("01")).await;
    let node = server.gateway.node_id().as_str();
    // Only what has ended is exported, and the session is open.
    let ended = || {
        let mut names: Vec<_> = those(|seen| seen.is_of(node))
            .into_iter()
            .map(|s| s.name)
            .collect();
        names.sort();
        names
    };
    let begun = ["echo", "session open", "upgrade"];
    until("all that has begun has ended", async || ended() == begun).await;
    assert_eq!(server.gateway.stats().closed, 0);
    client.close(1000, "").await.unwrap();
    client.closed().await;
    let all = ["echo", "session close", "session open", "upgrade"];
    until("its end is traced", async || ended() == all).await;
    server.stop().await;
}

/// What the host has decided isn't overruled by what a client says.
#[tokio::test]
async fn where_the_host_does_not_trace_its_request_the_upgrade_is_not_traced() {
    collector::start();
    let gateway = builder(continuing()).build().unwrap();
    let service = gateway.clone();
    let untraced = async |request: axum::extract::Request, next: axum::middleware::Next| {
        let span = tracing::info_span!("host");
        let host = SpanContext::new(
            TraceId::from_bytes([7; 16]),
            SpanId::from_bytes([7; 8]),
            TraceFlags::NOT_SAMPLED,
            true,
            TraceState::NONE,
        );
        let host = Context::new().with_remote_span_context(host);
        span.set_parent(host).unwrap();
        next.run(request).instrument(span).await
    };
    let app = axum::Router::new()
        .route_service("/ws", service)
        .layer(axum::middleware::from_fn(untraced));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app).into_future());
    let request = Request::new("/ws?ann").header("traceparent", &Trace::new().said("01"));
    let mut client = request.connect(addr).await.unwrap();
    let last = Trace::new();
    ask(&mut client, "echo", json!(1), &last.said("01")).await;
    the("the last is traced", |seen| seen.trace == last.id).await;
    let node = gateway.node_id().as_str();
    let all = those(|seen| seen.is_of(node));
    assert_eq!(all.len(), 1, "{all:#?}");
    gateway.shutdown().await;
}

#[tokio::test]
async fn where_the_host_traces_its_requests_the_upgrade_is_a_part_of_that() {
    collector::start();
    let gateway = builder(Traces::new(OpenTelemetry::new()).ratio(0.0));
    let gateway = gateway.build().unwrap();
    let accepting = gateway.clone();
    let ws = async move |upgrade: Upgrade| accepting.accept(upgrade, Identity::new("ann"));
    let traced = async |request: axum::extract::Request, next: axum::middleware::Next| {
        next.run(request)
            .instrument(tracing::info_span!("host"))
            .await
    };
    let app = axum::Router::new()
        .route_service("/ws", gateway.clone())
        .route("/login", axum::routing::any(ws))
        .layer(axum::middleware::from_fn(traced));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app).into_future());
    let node = gateway.node_id().as_str();
    for path in ["/ws", "/login"] {
        let mut client = Request::new(path).connect(addr).await.unwrap();
        client.request("id", json!(null)).await.unwrap();
        let is = |seen: &Seen| seen.is_of(node) && seen.field("url.path") == Some(path);
        let upgrade = the("the upgrade is traced", is).await;
        let host = the("so is what the host does", |seen| seen.id == upgrade.parent).await;
        assert_eq!((&*host.name, host.trace), ("host", upgrade.trace));
        let of = |seen: &Seen| seen.trace == upgrade.trace && seen.name == "session open";
        assert_eq!(the("its session, too", of).await.parent, upgrade.id);
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_session_that_is_refused_says_so() {
    collector::start();
    let refuse = async || Err::<(), _>(realtime::ClientError::new("no", "not today"));
    let gateway = builder(continuing()).on_connect(refuse).build().unwrap();
    let server = super::Server::start(gateway).await;
    let trace = Trace::new();
    let request = Request::new("/ws?ann").header("traceparent", &trace.said("01"));
    let mut client = request.connect(server.addr).await.unwrap();
    assert_eq!(client.closed().await.unwrap().0, 1008);
    let of = |seen: &Seen| seen.trace == trace.id && seen.name == "session open";
    let open = the("its beginning is traced", of).await;
    assert_eq!(open.field("error.type"), Some("not_connected"));
    server.stop().await;
}
