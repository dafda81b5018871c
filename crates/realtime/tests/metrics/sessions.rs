//! Sessions come, end in all sorts of ways, and are drained.

use std::{sync::Arc, time::Duration};

use realtime::{CloseCode, Router, Session};
use serde_json::json;
use tokio::sync::Semaphore;

use super::{builder, named, start};

#[tokio::test]
async fn ends_are_counted_by_who_ended_them_and_the_code() {
    let kick = async |session: Session| session.close(CloseCode::DISCONNECTED, "kicked");
    let builder = builder().router(Router::new().route("kick", kick));
    let (server, metrics) = start(builder).await;
    let mut clients = Vec::new();
    for name in ["ann", "bob", "cleo", "dan"] {
        clients.push(named(&server, name).await);
    }
    metrics.is("realtime_sessions", &[], 4.).await;
    metrics.is("realtime_sessions_opened_total", &[], 4.).await;
    clients[0].close(1000, "").await.unwrap();
    // A code of the client's own choice is no label.
    clients[1].close(4_321, "").await.unwrap();
    clients[2].send("kick", json!(null)).await.unwrap();
    drop(clients.pop());
    for (initiator, code) in [("client", "1000"), ("client", "other"), ("server", "3503")] {
        let labels = [("initiator", initiator), ("code", code)];
        metrics
            .is("realtime_sessions_closed_total", &labels, 1.)
            .await;
    }
    metrics
        .is("realtime_sessions_closed_total", &[("code", "none")], 1.)
        .await;
    metrics
        .is("realtime_sessions_failed_total", &[("cause", "lost")], 1.)
        .await;
    metrics.is("realtime_sessions", &[], 0.).await;
    metrics
        .is(
            "realtime_sessions_ended_total",
            &[("outcome", "closed")],
            4.,
        )
        .await;
    metrics
        .moves("realtime_sessions_ended_total", "outcome", &["closed"])
        .await;
    server.stop().await;
}

#[tokio::test]
async fn handlers_that_outlive_their_session_and_a_drain_are_seen() {
    let done = Arc::new(Semaphore::new(0));
    let waits = Arc::clone(&done);
    let slow = move || {
        let waits = Arc::clone(&waits);
        async move { waits.acquire().await.unwrap().forget() }
    };
    let builder = builder().router(Router::new().route("slow", slow));
    let builder = builder.shutdown_timeout(Some(Duration::from_secs(2)));
    let (server, metrics) = start(builder).await;
    let mut ann = named(&server, "ann").await;
    ann.send("slow", json!(null)).await.unwrap();
    let labels = [("result", "handled")];
    metrics
        .is("realtime_messages_received_total", &labels, 1.)
        .await;
    drop(ann);
    metrics.is("realtime_sessions_outlived", &[], 1.).await;
    done.add_permits(1);
    metrics.is("realtime_sessions_outlived", &[], 0.).await;
    let mut bob = named(&server, "bob").await;
    bob.send("slow", json!(null)).await.unwrap();
    metrics
        .is("realtime_messages_received_total", &labels, 2.)
        .await;
    metrics.is("realtime_draining", &[], 0.).await;
    let gateway = server.gateway.clone();
    let shutdown = tokio::spawn(async move { gateway.shutdown().await });
    // Bob doesn't answer the close frame.
    tokio::join!(
        metrics.is("realtime_draining", &[], 1.),
        metrics.is("realtime_drain_sessions", &[], 1.)
    );
    metrics.is("realtime_drain_sessions", &[], 0.).await;
    shutdown.await.unwrap();
    metrics.is("realtime_draining", &[], 0.).await;
    metrics
        .is(
            "realtime_sessions_ended_total",
            &[("outcome", "aborted")],
            1.,
        )
        .await;
    metrics
        .moves("realtime_sessions_ended_total", "outcome", &["aborted"])
        .await;
    server.stop().await;
}
