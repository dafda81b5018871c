//! One connection, and many tokens.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::time::{Duration, Instant};

use realtime_testkit::wait::within;
use serde_json::json;
use support::{Node, closed};

const LIFE: u32 = 2;

#[tokio::test]
async fn a_connection_lives_for_five_lifetimes_of_tokens_and_misses_nothing() {
    let node = Node::start(LIFE, 50);
    let mut ada = node.sign_in().await;
    let mut client = ada.connect().await;
    let began = Instant::now();
    let (mut last, mut ticks, mut accepted) = (None, 0, 0);
    while began.elapsed() < Duration::from_secs(u64::from(5 * LIFE) + 1) {
        let message = within("a message", client.recv_json()).await.unwrap();
        match message["route"].as_str().unwrap() {
            "tick" => {
                let count = message["data"]["count"].as_u64().unwrap();
                assert!(
                    last.is_none_or(|last| count == last + 1),
                    "{count} after {last:?}"
                );
                (last, ticks) = (Some(count), ticks + 1);
            }
            "expiring" => {
                assert_eq!(ada.refresh().await, 200);
                // With an id, so that it is answered.
                let data = json!({ "token": ada.token });
                let fresh = json!({ "id": 1, "route": "authenticate", "data": data });
                client.send_text(&fresh.to_string()).await.unwrap();
            }
            "authenticate" => accepted += 1,
            other => panic!("{other}: {message}"),
        }
    }
    // Each is told of half way: with less than that it would have ended.
    assert!(accepted >= 5, "{accepted} tokens were accepted");
    assert!(ticks >= 100, "{ticks} ticks");
}

#[tokio::test]
async fn who_shows_nothing_fresh_is_closed_with_3005_and_may_come_back_with_a_fresh_token() {
    let node = Node::start(LIFE, 50);
    let mut ada = node.sign_in().await;
    let mut client = ada.connect().await;
    assert_eq!(closed(&mut client).await, 3005);
    assert_eq!(node.refuses(&ada.token).await, 401);
    assert_eq!(ada.refresh().await, 200);
    ada.connect().await;
}
