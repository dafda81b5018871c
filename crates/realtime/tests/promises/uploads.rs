//! A client in the middle of a message can't answer pings: its progress is its sign of life.

use std::time::Duration;

use realtime::{Json, Router};
use realtime_websocket::{Event, Kind as FrameKind, frame};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::host::{ALL, ByName, Host, Kind};

const KEY: [u8; 4] = [1, 2, 3, 4];

fn router() -> Router {
    Router::new().route("size", async |Json(data): Json<String>| Json(data.len()))
}

fn message(bytes: usize) -> String {
    json!({"id": "1", "route": "size", "data": "x".repeat(bytes)}).to_string()
}

/// Sends bytes in pieces, with a pause after each, and reads nothing meanwhile; then there is an
/// answer.
async fn is_handled(host: &Host, bytes: &[u8], pieces: usize, pause: Duration) -> Value {
    let (mut client, _) = host.connect("uploads").await;
    for piece in bytes.chunks(bytes.len().div_ceil(pieces)) {
        if client.send_raw(piece).await.is_err() {
            break;
        }
        sleep(pause).await;
    }
    client.auto_pong = false;
    loop {
        match client.recv().await.unwrap() {
            // They came meanwhile.
            Event::Ping(_) => {}
            Event::Text(answer) => {
                let mut answer: Value = serde_json::from_str(&answer).unwrap();
                break answer["data"].take();
            }
            other => panic!("expected an answer; got {other:?}"),
        }
    }
}

/// By the documented defaults, for a minute, which is longer than from any ping to its deadline.
#[tokio::test(start_paused = true)]
async fn it_may_take_its_time() {
    let builder = realtime::builder().router(router()).authenticator(ByName);
    let host = Host::start(Kind::Hyper, builder.build().unwrap()).await;
    let message = message(1_000_000);
    let bytes = frame::client_frame(true, FrameKind::Text, message.as_bytes(), KEY);
    let pause = Duration::from_millis(200);
    assert_eq!(is_handled(&host, &bytes, 300, pause).await, 1_000_000);
}

/// A million bytes at 42 kB a second.
#[tokio::test(start_paused = true)]
async fn in_one_frame_it_lives_and_is_handled() {
    let builder = realtime::builder().router(router()).authenticator(ByName);
    let builder = builder.heartbeat(Some(Duration::from_secs(10)));
    let builder = builder.pong_timeout(Some(Duration::from_secs(5)));
    let host = Host::start(Kind::Hyper, builder.build().unwrap()).await;
    let message = message(1_000_000);
    let bytes = frame::client_frame(true, FrameKind::Text, message.as_bytes(), KEY);
    let pause = Duration::from_millis(100);
    assert_eq!(is_handled(&host, &bytes, 250, pause).await, 1_000_000);
    assert_eq!(host.gateway.stats().pong_timeouts, 0);
}

/// Between fragments it could answer, and doesn't.
#[tokio::test(start_paused = true)]
async fn in_fragments_it_lives_and_is_handled() {
    let builder = realtime::builder().router(router()).authenticator(ByName);
    let builder = builder.heartbeat(Some(Duration::from_secs(5)));
    let builder = builder.pong_timeout(Some(Duration::from_secs(2)));
    let host = Host::start(Kind::Hyper, builder.build().unwrap()).await;
    let message = message(200_000);
    let parts = message.as_bytes().chunks(20_000);
    let last = parts.len() - 1;
    let fragments = parts.enumerate().flat_map(|(n, part)| {
        let opcode = u8::from(n == 0);
        frame::fragment(opcode, n == last, part, Some(KEY)).to_vec()
    });
    let bytes: Vec<u8> = fragments.collect();
    let pause = Duration::from_millis(250);
    assert_eq!(is_handled(&host, &bytes, 100, pause).await, 200_000);
}

/// Each message is a new beginning: one after the other for longer than any limit.
#[tokio::test(start_paused = true)]
async fn one_message_after_the_other_it_lives() {
    let builder = realtime::builder().router(router()).authenticator(ByName);
    let builder = builder.heartbeat(Some(Duration::from_secs(5)));
    let builder = builder.pong_timeout(Some(Duration::from_secs(2)));
    let host = Host::start(Kind::Hyper, builder.build().unwrap()).await;
    let (mut client, _) = host.connect("uploads").await;
    let message = message(50_000);
    let bytes = frame::client_frame(true, FrameKind::Text, message.as_bytes(), KEY);
    for _ in 0..10 {
        for piece in bytes.chunks(1_000) {
            client.send_raw(piece).await.unwrap();
            sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(client.recv_json().await.unwrap()["data"], 50_000);
    }
}

/// The same over real streams, by a real clock.
#[tokio::test]
async fn over_every_stream_it_lives_and_is_handled() {
    let uploads = ALL.map(|kind| async move {
        let builder = realtime::builder().router(router()).authenticator(ByName);
        let builder = builder.heartbeat(Some(Duration::from_millis(200)));
        let builder = builder.pong_timeout(Some(Duration::from_secs(1)));
        let host = Host::start(kind, builder.build().unwrap()).await;
        let message = message(200_000);
        let bytes = frame::client_frame(true, FrameKind::Text, message.as_bytes(), KEY);
        let pause = Duration::from_millis(25);
        assert_eq!(
            is_handled(&host, &bytes, 100, pause).await,
            200_000,
            "{kind:?}"
        );
    });
    futures::future::join_all(uploads).await;
}

/// What makes no progress is no sign of life: a peer that has stopped in mid-message is dead.
#[tokio::test(start_paused = true)]
async fn one_that_stops_in_the_middle_is_closed() {
    let builder = realtime::builder().router(router()).authenticator(ByName);
    let builder = builder.heartbeat(Some(Duration::from_secs(5)));
    let builder = builder.pong_timeout(Some(Duration::from_secs(2)));
    let host = Host::start(Kind::Hyper, builder.build().unwrap()).await;
    let (mut client, _) = host.connect("stops").await;
    client.auto_pong = false;
    let message = message(50_000);
    let bytes = frame::client_frame(true, FrameKind::Text, message.as_bytes(), KEY);
    client.send_raw(&bytes[..10_000]).await.unwrap();
    assert_eq!(client.closed().await.unwrap().0, 3012);
}
