//! Clients that don't do what they should, and what becomes of them and of their neighbours.

use std::time::Duration;

use realtime::{Config, Json};
use realtime_testkit::wait::{until, within};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

use super::{
    raw::{DATA, HEADERS, PREFACE, RST_STREAM, Raw},
    router, server,
    wire::Wire,
};

const INITIAL_WINDOW: u16 = 4;

/// Nothing is answered, not even a ping, so that no end of the connection is ever agreed upon.
#[tokio::test]
async fn one_that_answers_nothing_is_cut_off() {
    let server = server(realtime::builder().router(router()).build().unwrap()).await;
    let mut silent = TcpStream::connect(server.addr).await.unwrap();
    silent.write_all(PREFACE).await.unwrap();
    let mut mute = Raw::connect(server.addr, &[]).await;
    tokio::time::pause();
    let begun = Instant::now();
    while mute.next().await.is_some() {}
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(50), "{waited:?}");
    assert!(waited <= Duration::from_secs(120), "{waited:?}");
    let mut rest = Vec::new();
    let _reset = silent.read_to_end(&mut rest).await;
    tokio::time::resume();
    server.stop().await;
}

/// The socket takes everything, and the stream nothing.
#[tokio::test]
async fn a_session_that_is_given_no_room_leaves_nothing_behind() {
    let mut config = Config::default();
    config.write_timeout = Some(Duration::from_millis(500));
    let gateway = realtime::builder().router(router()).config(config);
    let server = server(gateway.build().unwrap()).await;
    let mut raw = Raw::connect(server.addr, &[(INITIAL_WINDOW, 0)]).await;
    raw.open(1, &[]).await;
    let (_, stream, _) = within("an answer", raw.until(HEADERS)).await.unwrap();
    assert_eq!(stream, 1);
    server.until_open(1).await;
    let large = "x".repeat(200_000);
    for _ in 0..3 {
        server
            .gateway
            .broadcast("news", Json(&large))
            .await
            .unwrap();
    }
    server.until_open(0).await;
    let reset = within("the stream's end", async {
        loop {
            match raw.next().await {
                Some((RST_STREAM, 1, _)) => return true,
                Some((DATA, 1, data)) => assert!(data.is_empty()),
                Some(_) => {}
                None => return false,
            }
        }
    });
    assert!(reset.await);
    server.stop().await;
}

#[tokio::test]
async fn what_is_opened_and_reset_at_once_takes_no_places() {
    let mut config = Config::default();
    config.max_connections = Some(50);
    let gateway = realtime::builder().router(router()).config(config);
    let server = server(gateway.build().unwrap()).await;
    for _ in 0..10 {
        let mut raw = Raw::connect(server.addr, &[]).await;
        for n in 0..30 {
            raw.open(2 * n + 1, &[]).await;
            raw.send(RST_STREAM, 0, 2 * n + 1, &8_u32.to_be_bytes())
                .await;
        }
        // It may be called what it is.
        let _frame = within("a word", raw.next()).await;
    }
    until("nothing is left", async || {
        let stats = server.gateway.stats();
        stats.open == 0 && stats.authenticating == 0
    })
    .await;
    let mut wire = Wire::plain(server.addr).await;
    let mut client = wire.open().await;
    assert_eq!(client.request("echo", json!(1)).await.unwrap()["data"], 1);
    server.stop().await;
}

/// What would be another's host is the authority, whatever else is said.
#[tokio::test]
async fn an_origin_is_compared_with_the_authority() {
    let server = server(realtime::builder().router(router()).build().unwrap()).await;
    let mut raw = Raw::connect(server.addr, &[]).await;
    let evil = [("host", "evil.example"), ("origin", "http://evil.example")];
    raw.open(1, &evil).await;
    let (_, _, head) = within("an answer", raw.until(HEADERS)).await.unwrap();
    assert_ne!(head[0], 0x88, "that is 200");
    until("it is refused", async || {
        server.gateway.stats().refused_origins == 1
    })
    .await;
    let own = [("host", "evil.example"), ("origin", "http://gateway.test")];
    let mut raw = Raw::connect(server.addr, &[]).await;
    raw.open(1, &own).await;
    let (_, _, head) = within("an answer", raw.until(HEADERS)).await.unwrap();
    assert_eq!(head[0], 0x88, "that is 200");
    server.stop().await;
}

/// Clients are told to use another connection as soon as their node drains.
#[tokio::test]
async fn a_drain_takes_no_further_streams() {
    let mut config = Config::default();
    config.drain_notice = Some(Duration::from_secs(2));
    let gateway = realtime::builder().router(router()).config(config);
    let server = server(gateway.build().unwrap()).await;
    let mut wire = Wire::plain(server.addr).await;
    let mut client = wire.open().await;
    server.gateway.begin_drain(Duration::from_secs(1));
    within("no more streams", async {
        loop {
            let request = axum::http::Request::get("http://gateway.test/nothing");
            let request = request.body(axum::body::Body::empty()).unwrap();
            if wire.send(request).await.is_err() {
                return;
            }
        }
    })
    .await;
    // Who comes now learns that it is refused.
    let mut late = Wire::plain(server.addr).await;
    let request = late.request("/ws");
    let refused = late.ask(request).await.unwrap_err();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    // Who is there stays until its turn.
    assert_eq!(client.request("echo", json!(1)).await.unwrap()["data"], 1);
    assert_eq!(client.closed().await.unwrap().0, 1001);
    server.stop().await;
}
