//! Who is let in, and who isn't.

use std::time::Duration;

use realtime::{Identity, auth::StaticToken, config::Limits};
use realtime_testkit::{client::Request, wait::until};
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tower::Layer;

use super::{builder, named, scrape::Metrics, start, support::Server};

#[tokio::test]
async fn refusals_have_their_reasons() {
    let (server, metrics) = start(builder().accept_then_close(true)).await;
    let foreign = Request::new("/ws?ann").header("Origin", "https://evil.example");
    assert_eq!(foreign.refused(server.addr).await.status, 403);
    let keyless = Request::new("/ws?ann").without("Sec-WebSocket-Key");
    assert_eq!(keyless.refused(server.addr).await.status, 400);
    let mut nobody = named(&server, "nobody").await;
    assert_eq!(nobody.closed().await.unwrap().0, 3500);
    for reason in ["origin", "bad_key", "unauthorized"] {
        metrics
            .is("realtime_refusals_total", &[("reason", reason)], 1.)
            .await;
    }
    metrics.is("realtime_refusals_total", &[], 3.).await;
    metrics
        .is("realtime_refusals_by_close_total", &[], 1.)
        .await;
    metrics.is("realtime_sessions_opened_total", &[], 0.).await;
    server.stop().await;
}

#[tokio::test]
async fn who_is_asked_about_is_measured_by_what_comes_of_it() {
    let (server, metrics) = start(builder()).await;
    let _ann = named(&server, "ann").await;
    for (name, status) in [("nobody", 401), ("old", 401), ("away", 503)] {
        let refused = Request::new(format!("/ws?{name}"))
            .refused(server.addr)
            .await;
        assert_eq!(refused.status, status);
    }
    metrics
        .moves(
            "realtime_authentication_duration_seconds",
            "outcome",
            &["ok"],
        )
        .await;
    for outcome in ["ok", "unauthorized", "expired", "auth_unavailable"] {
        let labels = [("outcome", outcome)];
        metrics
            .is("realtime_authentication_duration_seconds", &labels, 1.)
            .await;
    }
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_connection_of_a_client_is_counted() {
    let token = StaticToken::new("s3cret", Identity::new("ann")).unwrap();
    let builder = builder().authenticator(token);
    let (server, metrics) = start(builder.token_in_message(Some(Duration::from_secs(60)))).await;
    let mut waits = Request::new("/ws").connect(server.addr).await.unwrap();
    metrics
        .is("realtime_connections_authenticating", &[], 1.)
        .await;
    waits.send("echo", json!(1)).await.unwrap();
    assert_eq!(waits.closed().await.unwrap().0, 3502);
    metrics
        .is("realtime_connections_authenticating", &[], 0.)
        .await;
    let failed = "realtime_connections_failed_total";
    metrics.is(failed, &[("cause", "first_message")], 1.).await;
    let refusals = "realtime_refusals_total";
    metrics.is(refusals, &[], 0.).await;
    let mut wrong = Request::new("/ws").connect(server.addr).await.unwrap();
    let token = json!({"token": "wrong"});
    wrong.send("authenticate", token).await.unwrap();
    assert_eq!(wrong.closed().await.unwrap().0, 3500);
    let reason = [("reason", "unauthorized")];
    metrics.is(refusals, &reason, 1.).await;
    metrics.is(failed, &[("cause", "first_message")], 2.).await;
    let mut garbage = TcpStream::connect(server.addr).await.unwrap();
    garbage.write_all(b"no HTTP at all\r\n\r\n").await.unwrap();
    metrics
        .is(
            "realtime_connections_failed_total",
            &[("cause", "http")],
            1.,
        )
        .await;
    metrics
        .moves(
            "realtime_connections_failed_total",
            "cause",
            &["http", "first_message"],
        )
        .await;
    server.stop().await;
}

/// Somebody's layer that can't be made for a session.
#[derive(Clone)]
struct Broken;

impl<S> Layer<S> for Broken {
    type Service = S;

    fn layer(&self, _: S) -> S {
        panic!("as it should")
    }
}

#[tokio::test]
async fn what_was_upgraded_and_is_no_session_is_counted() {
    let gateway = builder().layer(Broken).build().unwrap();
    let metrics = Metrics::of(&gateway);
    let server = Server::start(gateway).await;
    let mut ann = named(&server, "ann").await;
    ann.eof().await;
    metrics
        .moves("realtime_connections_failed_total", "cause", &["upgrade"])
        .await;
    server.stop().await;
}

#[tokio::test]
async fn limits_that_are_hit_are_told_apart() {
    let mut limits = Limits::default();
    limits.max_connections_per_identity = Some(1);
    limits.failed_authentications_per_minute = Some(1);
    limits.max_upgrades_per_second = Some(100);
    let (server, metrics) = start(builder().limits(limits)).await;
    let mut first = named(&server, "ann").await;
    metrics.at_least("realtime_limits_kept", &[], 1.).await;
    let mut second = Request::new("/ws?ann").connect(server.addr).await;
    let replaced = async || {
        // Either of the two, as the policy says.
        second = Request::new("/ws?ann").connect(server.addr).await;
        metrics.value("realtime_limits_hit_total", &[("limit", "connections")]) >= 1.
    };
    until("one too many is noticed", replaced).await;
    metrics
        .at_least("realtime_limits_hit_total", &[("limit", "connections")], 1.)
        .await;
    let failed = async || {
        let refused = Request::new("/ws?nobody").refused(server.addr).await;
        refused.status == 429
    };
    until("failures are limited", failed).await;
    metrics
        .at_least(
            "realtime_limits_hit_total",
            &[("limit", "authentications")],
            1.,
        )
        .await;
    let _closed = first.close(1000, "").await;
    drop(second);
    server.stop().await;
}
