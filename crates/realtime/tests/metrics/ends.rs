//! Every way in which sessions end.

use std::time::Duration;

use realtime::{Backpressure, CloseCode, Json, Payload, Router};
use realtime_testkit::wait::until;
use serde_json::json;

use super::{builder, named, start};

const SHORT: Option<Duration> = Some(Duration::from_millis(200));

#[tokio::test]
async fn codes_with_a_name_are_told_apart() {
    let (server, metrics) = start(builder()).await;
    let named_codes = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3005, 3011, 3012,
        3013, 3500, 3502, 3503, 3504, 3506, 4_321,
    ];
    let mut ann = Vec::new();
    for code in named_codes {
        let mut client = named(&server, "ann").await;
        server.until_open(1).await;
        let session = server.gateway.local_sessions().remove(0);
        session.close(CloseCode::new(code).unwrap(), "");
        assert_eq!(client.closed().await.unwrap().0, code);
        server.until_open(0).await;
        ann.push(client);
    }
    metrics
        .moves(
            "realtime_sessions_closed_total",
            "code",
            &[
                "1000", "1001", "1002", "1003", "1007", "1008", "1009", "1010", "1011", "1012",
                "1013", "1014", "3005", "3011", "3012", "3013", "3500", "3502", "3503", "3504",
                "3506", "other",
            ],
        )
        .await;
    for code in named_codes.iter().filter(|code| **code != 4_321) {
        let code = code.to_string();
        metrics
            .is("realtime_sessions_closed_total", &[("code", &code)], 1.)
            .await;
    }
    metrics
        .moves("realtime_sessions_closed_total", "initiator", &["server"])
        .await;
    server.stop().await;
}

/// Who goes, who is thrown out for what they do, and who stays until the end.
#[tokio::test]
async fn causes_and_initiators_are_told_apart() {
    let panics = async || -> Json<()> { panic!("as it should") };
    let builder = builder()
        .router(Router::new().route("panics", panics))
        .expiry_grace(None);
    let (server, metrics) = start(builder).await;
    let mut ann = named(&server, "ann").await;
    ann.close(1000, "").await.unwrap();
    drop(named(&server, "bob").await);
    let mut cleo = named(&server, "cleo").await;
    cleo.send("panics", json!(null)).await.unwrap();
    assert_eq!(cleo.closed().await.unwrap().0, 1011);
    let mut dan = named(&server, "dan").await;
    // There is no such kind of frame.
    dan.send_frame(3, true, b"?").await.unwrap();
    assert_eq!(dan.closed().await.unwrap().0, 1002);
    let mut eve = named(&server, "eve").await;
    let token = json!({"token": "nobody"});
    eve.send("authenticate", token).await.unwrap();
    assert_eq!(eve.closed().await.unwrap().0, 3500);
    let mut brief = named(&server, "brief").await;
    assert_eq!(brief.closed().await.unwrap().0, 3005);
    metrics
        .moves(
            "realtime_sessions_failed_total",
            "cause",
            &["lost", "panic", "violation", "unauthorized", "expired"],
        )
        .await;
    let mut stays = named(&server, "stays").await;
    server.until_open(1).await;
    let gateway = server.gateway.clone();
    let shutdown = tokio::spawn(async move { gateway.shutdown().await });
    assert_eq!(stays.closed().await.unwrap().0, 1001);
    drop(stays);
    shutdown.await.unwrap();
    metrics
        .moves(
            "realtime_sessions_closed_total",
            "initiator",
            &["client", "error", "server", "shutdown"],
        )
        .await;
    metrics
        .moves("realtime_sessions_closed_total", "code", &["none"])
        .await;
    server.stop().await;
}

#[tokio::test]
async fn who_is_silent_is_counted() {
    let builder = builder().heartbeat(SHORT).pong_timeout(SHORT);
    let (server, metrics) = start(builder).await;
    let mut ann = named(&server, "ann").await;
    ann.auto_pong = false;
    assert_eq!(ann.closed().await.unwrap().0, 3012);
    metrics
        .moves("realtime_sessions_failed_total", "cause", &["pong_timeout"])
        .await;
    server.stop().await;
}

/// Who reads nothing, once enough was sent to it; and what became of that.
#[tokio::test]
async fn who_reads_nothing_is_counted_with_what_it_never_got() {
    let large = "x".repeat(1 << 20);
    let payload = Payload::from(format!("\"{large}\""));
    let waiting = builder()
        .write_timeout(Some(Duration::from_millis(500)))
        .queue_messages(1_000)
        .queue_bytes(256 << 20);
    let (server, metrics) = start(waiting).await;
    let deaf = named(&server, "ann").await;
    server.until_open(1).await;
    let session = server.gateway.local_sessions().remove(0);
    // On a busy machine it may end before all is sent.
    let sent = (0..16).filter(|_| session.send("n", &payload).is_ok());
    let sent = sent.count() as f64;
    metrics
        .moves(
            "realtime_sessions_failed_total",
            "cause",
            &["write_timeout"],
        )
        .await;
    // Nobody has dropped them, and they were sent, as far as the gateway could.
    metrics
        .at_least("realtime_messages_unsent_total", &[], 1.)
        .await;
    let messages = metrics.value("realtime_messages_unsent_total", &[]);
    let bytes = metrics.value("realtime_unsent_bytes_total", &[]);
    let most = messages * (large.len() as f64 + 100.);
    metrics
        .at_least("realtime_unsent_bytes_total", &[], (messages - 1.) * 1e6)
        .await;
    assert!(bytes <= most, "{bytes} of {messages}");
    metrics.is("realtime_messages_dropped_total", &[], 0.).await;
    assert_eq!(metrics.value("realtime_messages_sent_total", &[]), sent);
    drop(deaf);
    server.stop().await;

    let (server, metrics) = start(
        builder()
            .backpressure(Backpressure::Close)
            .queue_messages(4),
    )
    .await;
    let deaf = named(&server, "ann").await;
    server.until_open(1).await;
    let session = server.gateway.local_sessions().remove(0);
    let large = "x".repeat(100_000);
    until("its queue is full", async || {
        session.send("n", Json(&large)).is_err()
    })
    .await;
    metrics
        .moves(
            "realtime_sessions_failed_total",
            "cause",
            &["slow_consumer"],
        )
        .await;
    metrics
        .moves(
            "realtime_sessions_closed_total",
            "initiator",
            &["backpressure"],
        )
        .await;
    metrics
        .moves("realtime_messages_dropped_total", "policy", &["close"])
        .await;
    metrics
        .moves("realtime_dropped_bytes_total", "policy", &["close"])
        .await;
    drop(deaf);
    server.stop().await;
}
