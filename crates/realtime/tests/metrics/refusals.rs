//! Every reason for which a connection is refused.

use std::{convert::Infallible, time::Duration};

use axum::http;
use futures::future::join_all;
use realtime::{
    IdentityKey,
    config::{ConnectionPolicy, Limits},
    revocation::Revocation,
};
use realtime_testkit::{
    client::{Request, raw_http},
    wait::until,
};
use tower::Service;

use super::{builder, named, scrape::Metrics, start, support::Server};

const REFUSALS: &str = "realtime_refusals_total";

/// Everything that a request for a WebSocket has, but for what is in `lines`, and that.
fn head(first: &str, without: &[&str], lines: &str) -> String {
    let mut head = format!("{first}\r\n");
    for line in [
        "Host: gateway.test",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: BwcHBwcHBwcHBwcHBwcHBw==",
    ] {
        if !without.iter().any(|name| line.starts_with(name)) {
            head += &format!("{line}\r\n");
        }
    }
    head + lines + "\r\n"
}

#[tokio::test]
async fn what_is_no_proper_request() {
    let (server, metrics) = start(builder()).await;
    for (head, status) in [
        (head("GET /ws?ann HTTP/1.1", &["Host"], ""), 400),
        (
            head("GET /ws?ann HTTP/1.1", &["Sec-WebSocket-Key"], ""),
            400,
        ),
        (head("GET /ws?ann HTTP/1.1", &["Upgrade"], ""), 426),
        (
            head(
                "GET /ws?ann HTTP/1.1",
                &["Sec-WebSocket-Version"],
                "Sec-WebSocket-Version: 12\r\n",
            ),
            426,
        ),
        (
            head("GET /ws?ann HTTP/1.1", &[], "Content-Length: 1\r\n"),
            400,
        ),
        (head("GET /ws?ann HTTP/1.0", &[], ""), 400),
        (head("POST /ws?ann HTTP/1.1", &[], ""), 405),
    ] {
        let answer = raw_http(server.addr, head.as_bytes()).await.unwrap();
        assert_eq!(answer.status, status, "{head}");
    }
    // As under a server that can't upgrade.
    let request = http::Request::get("/ws?ann")
        .header("Host", "gateway.test")
        .header("Upgrade", "websocket")
        .header("Connection", "Upgrade")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "BwcHBwcHBwcHBwcHBwcHBw==")
        .body(axum::body::Body::empty())
        .unwrap();
    let answered: Result<_, Infallible> = server.gateway.clone().call(request).await;
    assert!(!answered.unwrap().status().is_success());
    metrics
        .moves(
            "realtime_refusals_total",
            "reason",
            &[
                "bad_host",
                "bad_key",
                "not_upgrade",
                "version",
                "has_body",
                "http_version",
                "method",
                "not_upgradable",
            ],
        )
        .await;
    metrics.is(REFUSALS, &[], 8.).await;
    server.stop().await;
}

#[tokio::test]
async fn who_isn_t_let_in() {
    let (server, metrics) = start(builder()).await;
    let revoked = Revocation::identity(IdentityKey::new("mallory"), std::time::SystemTime::now());
    server.gateway.revoke(revoked).await.unwrap();
    for (name, status) in [
        ("nobody", 401),
        ("old", 401),
        ("mallory", 401),
        ("away", 503),
        ("broken", 500),
    ] {
        let refused = Request::new(format!("/ws?{name}"));
        assert_eq!(refused.refused(server.addr).await.status, status, "{name}");
    }
    let foreign = Request::new("/ws?ann").header("Origin", "https://evil.example");
    assert_eq!(foreign.refused(server.addr).await.status, 403);
    metrics
        .moves(
            "realtime_refusals_total",
            "reason",
            &[
                "unauthorized",
                "expired",
                "revoked",
                "auth_unavailable",
                "auth_failed",
                "origin",
            ],
        )
        .await;
    metrics
        .moves(
            "realtime_authentication_duration_seconds",
            "outcome",
            &[
                "unauthorized",
                "expired",
                "revoked",
                "auth_unavailable",
                "auth_failed",
            ],
        )
        .await;
    metrics.is(REFUSALS, &[], 6.).await;
    server.stop().await;
}

/// With these limits.
async fn limited(set: impl FnOnce(&mut Limits)) -> (Server, Metrics) {
    let mut limits = Limits::default();
    set(&mut limits);
    start(builder().limits(limits)).await
}

#[tokio::test]
async fn who_is_one_too_many() {
    let (server, metrics) = start(builder().max_connections(Some(1))).await;
    let ann = named(&server, "ann").await;
    let refused = Request::new("/ws?bob").refused(server.addr).await;
    assert_eq!(refused.status, 503);
    metrics
        .moves("realtime_refusals_total", "reason", &["full"])
        .await;
    drop(ann);
    server.stop().await;

    let of_address = |limits: &mut Limits| limits.max_connections_per_address = Some(1);
    let (server, metrics) = limited(of_address).await;
    let ann = named(&server, "ann").await;
    let refused = Request::new("/ws?bob").refused(server.addr).await;
    assert_eq!(refused.status, 429);
    metrics
        .moves("realtime_refusals_total", "reason", &["address_full"])
        .await;
    drop(ann);
    server.stop().await;

    let (server, metrics) = limited(|limits| {
        limits.max_connections_per_identity = Some(1);
        limits.connection_policy = ConnectionPolicy::RefuseNewest;
    })
    .await;
    let ann = named(&server, "ann").await;
    server.until_open(1).await;
    let refused = Request::new("/ws?ann").refused(server.addr).await;
    assert_eq!(refused.status, 429);
    metrics
        .moves("realtime_refusals_total", "reason", &["identity_full"])
        .await;
    metrics
        .moves("realtime_limits_hit_total", "limit", &["connections"])
        .await;
    drop(ann);
    server.stop().await;
}

#[tokio::test]
async fn who_tries_too_often() {
    let (server, metrics) =
        limited(|limits| limits.failed_authentications_per_minute = Some(1)).await;
    until("failures are limited", async || {
        let refused = Request::new("/ws?nobody").refused(server.addr).await;
        refused.status == 429
    })
    .await;
    metrics
        .moves("realtime_refusals_total", "reason", &["too_many_failures"])
        .await;
    metrics
        .moves("realtime_limits_hit_total", "limit", &["authentications"])
        .await;
    server.stop().await;

    let mut limits = Limits::default();
    limits.max_upgrades_per_second = Some(1);
    let gateway = builder().limits(limits).build().unwrap();
    let metrics = Metrics::of(&gateway);
    // `serve` has them wait in the kernel.
    let server = Server::under_axum(gateway).await;
    let head = head("GET /ws?ann HTTP/1.1", &[], "");
    let addr = server.addr;
    // Those who wait in a line have their turn in the end, and nobody waits for that.
    let asked = tokio::spawn(async move {
        join_all((0..30).map(|_| raw_http(addr, head.as_bytes()))).await;
    });
    metrics
        .moves("realtime_refusals_total", "reason", &["too_many_upgrades"])
        .await;
    metrics
        .moves("realtime_limits_hit_total", "limit", &["upgrades"])
        .await;
    asked.abort();
    server.stop().await;
}

#[tokio::test]
async fn who_comes_at_the_end() {
    // It refuses as long as that, also where who comes is late.
    let notice = Some(Duration::from_secs(5));
    let (server, metrics) = start(builder().drain_notice(notice)).await;
    server.gateway.begin_drain(Duration::from_millis(10));
    let refused = Request::new("/ws?ann").refused(server.addr).await;
    assert_eq!(refused.status, 503);
    metrics
        .moves("realtime_refusals_total", "reason", &["draining"])
        .await;
    server.stop().await;
}
