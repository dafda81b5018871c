//! Tokens that are shown anew, and revoked.

use std::time::SystemTime;

use realtime::{IdentityKey, config::RevocationsDown, connect, revocation::Revocation};
use realtime_testkit::servers::Redis;
use serde_json::json;

use super::{builder, named, start};

#[tokio::test]
async fn fresh_tokens_are_counted_and_measured() {
    let (server, metrics) = start(builder()).await;
    let mut ann = named(&server, "ann").await;
    ann.request("authenticate", json!({"token": "ann"}))
        .await
        .unwrap();
    metrics
        .is("realtime_authentications_renewed_total", &[], 1.)
        .await;
    metrics
        .is(
            "realtime_authentication_duration_seconds",
            &[("outcome", "ok")],
            2.,
        )
        .await;
    // What the issuer doesn't say is no fault of hers.
    let away = ann.request("authenticate", json!({"token": "away"})).await;
    assert_eq!(away.unwrap()["data"]["code"], "unavailable");
    let ours = [("route", "authenticate"), ("outcome", "failed")];
    metrics
        .is("realtime_handler_duration_seconds", &ours, 1.)
        .await;
    let revoked = Revocation::identity(IdentityKey::new("ann"), SystemTime::now());
    server.gateway.revoke(revoked).await.unwrap();
    metrics
        .is(
            "realtime_sessions_failed_total",
            &[("cause", "revoked")],
            1.,
        )
        .await;
    metrics
        .moves("realtime_sessions_failed_total", "cause", &["revoked"])
        .await;
    let labels = [
        ("backend", "revocations"),
        ("call", "revoke"),
        ("outcome", "ok"),
    ];
    metrics
        .is("realtime_backend_call_duration_seconds", &labels, 1.)
        .await;
    server.stop().await;
}

#[tokio::test]
async fn who_is_admitted_unchecked_is_counted() {
    let mut redis = Redis::start().await.unwrap();
    let store = connect::revocations(&redis.url()).unwrap();
    let builder = builder()
        .revocations(store)
        .revocations_down(RevocationsDown::Admit);
    let (server, metrics) = start(builder).await;
    let _checked = named(&server, "ann").await;
    metrics
        .is("realtime_authentications_unchecked_total", &[], 0.)
        .await;
    redis.kill().unwrap();
    let _unchecked = named(&server, "bob").await;
    metrics
        .is("realtime_authentications_unchecked_total", &[], 1.)
        .await;
    metrics
        .is(
            "realtime_backend_outages_total",
            &[("backend", "revocations")],
            1.,
        )
        .await;
    server.stop().await;
}
