//! What the end of a connection asks is done.

use std::time::Instant;

use futures::StreamExt;
use realtime_client::{RequestError, State};
use realtime_testkit::wait::within;
use serde_json::json;

use super::{MS, SECOND, quick, scripted::Scripted};

#[tokio::test]
async fn who_is_asked_to_stay_away_stays_away() {
    let server = Scripted::start().await;
    for code in [3504, 4500, 3500] {
        let client = quick(server.port()).connect().unwrap();
        server.accept().await.close(code, "no").await;
        let end = within("the end", client.ended()).await;
        assert_eq!((end.code, &*end.reason), (Some(code), "no"));
    }
    for status in [400, 403, 401] {
        let client = quick(server.port()).connect().unwrap();
        server.next().await.refuse(status, "").await;
        let end = within("the end", client.ended()).await;
        assert_eq!((end.code, end.status), (None, Some(status)));
    }
}

#[tokio::test]
async fn a_time_that_the_server_names_is_kept() {
    let server = Scripted::start().await;
    let client = quick(server.port()).connect().unwrap();
    let begun = Instant::now();
    let reason = r#"{"reason":"a new version","retry_after":0.6}"#;
    server.accept().await.close(1001, reason).await;
    let peer = server.next().await;
    let waited = begun.elapsed();
    assert!(waited >= 600 * MS && waited < 5 * SECOND, "{waited:?}");
    // A refusal's, too.
    let begun = Instant::now();
    peer.refuse(503, "Retry-After: 1\r\n").await;
    let mut state = client.state();
    let waiting = state.wait_for(|state| matches!(state, State::Waiting { .. }));
    let waiting = within("the refusal", waiting).await.unwrap().clone();
    assert!(format!("{waiting:?}").contains("503"), "{waiting:?}");
    drop(server.accept().await);
    assert!(begun.elapsed() >= SECOND);
}

#[tokio::test]
async fn the_delay_grows_until_a_message_comes_and_attempts_may_be_bounded() {
    let server = Scripted::start().await;
    // Connections open, and end before anything is said.
    let client = quick(server.port()).max_attempts(4).connect().unwrap();
    for _ in 0..4 {
        server.accept().await.close(1001, "").await;
    }
    let end = within("the end", client.ended()).await;
    assert_eq!(end.code, Some(1001));
    // With a message in each, it goes on.
    let client = quick(server.port()).max_attempts(2).connect().unwrap();
    for _ in 0..4 {
        let mut peer = server.accept().await;
        peer.send(json!({"route": "welcome"})).await;
        peer.close(1001, "").await;
    }
    let mut peer = server.accept().await;
    peer.send(json!({"route": "welcome"})).await;
    within("a connection", client.online()).await.unwrap();
}

#[tokio::test]
async fn what_is_no_gateway_is_said() {
    let server = Scripted::start().await;
    let client = quick(server.port()).max_attempts(1).connect().unwrap();
    let mut peer = server.next().await;
    peer.raw("SSH-2.0-OpenSSH\r\n\r\n".to_owned()).await;
    let end = within("the end", client.ended()).await;
    assert_eq!(end.reason, "it doesn't speak HTTP/1.1");
    let client = quick(server.port()).max_attempts(1).connect().unwrap();
    let mut peer = server.next().await;
    let text = "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n";
    peer.raw(text.to_owned()).await;
    let end = within("the end", client.ended()).await;
    assert_eq!(end.reason, "its answer to the upgrade isn't one");
}

#[tokio::test]
async fn what_the_server_must_not_send_ends_the_connection() {
    let server = Scripted::start().await;
    let client = quick(server.port()).max_message(100).connect().unwrap();
    let mut peer = server.accept().await;
    peer.send(json!({"route": "x".repeat(200)})).await;
    let mut state = client.state();
    let waiting = state.wait_for(|state| matches!(state, State::Waiting { .. }));
    let waiting = within("the violation", waiting).await.unwrap().clone();
    assert!(format!("{waiting:?}").contains("1009"), "{waiting:?}");
    drop(peer);
    // It comes back, and a message that can't be read is no reason to go.
    let mut peer = server.accept().await;
    peer.send(json!([1])).await;
    peer.send(json!({"route": "welcome"})).await;
    within("a connection", client.online()).await.unwrap();
}

/// A future that waits for a place among the commands may be kept, and never polled again.
#[tokio::test]
async fn a_client_ends_whatever_futures_are_kept() {
    let server = Scripted::start().await;
    let client = quick(server.port()).connect().unwrap();
    let mut peer = server.accept().await;
    peer.send(json!({"route": "welcome"})).await;
    within("a connection", client.online()).await.unwrap();
    let mut messages = client.messages();
    let mut kept: Vec<_> = (0..100)
        .map(|_| Box::pin(client.request("never", ())))
        .collect();
    // More than there are places, before the task has its turn.
    for asking in &mut kept {
        assert!(futures::poll!(asking).is_pending());
    }
    within("the end", client.close()).await;
    assert_eq!(within("the end of a stream", messages.next()).await, None);
    for asking in kept {
        let error = within("the end of a request", asking).await.unwrap_err();
        let is_over = matches!(error, RequestError::Ended | RequestError::Lost { .. });
        assert!(is_over, "{error:?}");
    }
}
