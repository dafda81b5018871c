//! What waits for clients, is dropped, or reaches them.

use realtime::{Backpressure, Json};
use realtime_testkit::wait::until;

use super::{builder, named, start};

#[tokio::test]
async fn a_broadcast_is_measured_until_it_has_left() {
    let (server, metrics) = start(builder()).await;
    let mut ann = named(&server, "ann").await;
    server.until_open(1).await;
    for n in 0..3 {
        server.gateway.broadcast("n", Json(n)).await.unwrap();
        ann.recv_json().await.unwrap();
    }
    metrics
        .is("realtime_broadcast_duration_seconds", &[], 3.)
        .await;
    metrics
        .at_least("realtime_dispatcher_lag_seconds", &[], 1.)
        .await;
    metrics.is("realtime_messages_sent_total", &[], 3.).await;
    server.stop().await;
}

#[tokio::test]
async fn what_waits_for_a_slow_reader_and_what_is_dropped_is_seen() {
    let builder = builder()
        .backpressure(Backpressure::DropOldest)
        .queue_messages(16)
        .write_timeout(None);
    let (server, metrics) = start(builder).await;
    let mut ann = named(&server, "ann").await;
    server.until_open(1).await;
    let session = server.gateway.local_sessions().remove(0);
    let large = "x".repeat(100_000);
    let dropped = [("policy", "drop-oldest")];
    let is_full = async || {
        session.send("n", Json(&large)).unwrap();
        server.gateway.stats().dropped > 0
    };
    until("something is dropped", is_full).await;
    metrics
        .at_least("realtime_messages_dropped_total", &dropped, 1.)
        .await;
    metrics.at_least("realtime_queued_messages", &[], 1.).await;
    metrics
        .at_least("realtime_queued_bytes", &[], 100_000.)
        .await;
    assert!(metrics.value("realtime_queued_messages", &[]) <= 17.);
    // Who reads gets what waits.
    let reads = async {
        loop {
            ann.recv().await.unwrap();
        }
    };
    tokio::select! {
        () = reads => {}
        () = metrics.is("realtime_queued_messages", &[], 0.) => {}
    }
    metrics.is("realtime_queued_bytes", &[], 0.).await;
    drop(ann);
    server.stop().await;
}

#[tokio::test]
async fn what_waited_for_one_that_has_gone_waits_no_more() {
    let builder = builder().queue_messages(1_000).queue_bytes(100_000_000);
    let (server, metrics) = start(builder).await;
    let ann = named(&server, "ann").await;
    server.until_open(1).await;
    let session = server.gateway.local_sessions().remove(0);
    let large = "x".repeat(100_000);
    for _ in 0..200 {
        session.send("n", Json(&large)).unwrap();
    }
    metrics.at_least("realtime_queued_messages", &[], 10.).await;
    drop(ann);
    metrics.is("realtime_sessions", &[], 0.).await;
    metrics.is("realtime_queued_messages", &[], 0.).await;
    server.stop().await;
}
