//! Two nodes over a real Redis: signed out on one is signed out on both.
#![cfg(feature = "redis")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use realtime_testkit::servers::Redis;
use support::{Node, closed, command};

#[tokio::test]
async fn who_signs_out_everywhere_is_out_on_all_nodes() {
    let redis = Redis::start().await.unwrap();
    let (here, there) = (Node::over(&redis.url()), Node::over(&redis.url()));
    let (laptop, mut phone) = (here.sign_in().await, there.sign_in().await);
    // A token is good on any node.
    let mut tabs = [
        laptop.connect_to(there.1).await,
        phone.connect_to(here.1).await,
    ];
    assert_eq!(laptop.post("/logout-everywhere").await.status, 204);
    for tab in &mut tabs {
        assert_eq!(closed(tab).await, 3500);
    }
    let late = Node::over(&redis.url());
    for node in [&here, &there, &late] {
        for token in [&laptop.token, &phone.token] {
            assert_eq!(node.refuses(token).await, 401);
        }
    }
    // Its refresh token is in the memory of the other node, which asks what was revoked.
    assert_eq!(phone.refresh().await, 401);
    there.sign_in().await.connect_to(here.1).await;
}

#[test]
fn a_node_without_the_key_of_the_others_does_not_start() {
    for name in ["AUTH_KEY", "AUTH_PASSWORD"] {
        let mut command = command(300, 1000);
        command
            .env("REDIS_URL", "redis://127.0.0.1:1")
            .env_remove(name);
        let output = command
            .stderr(std::process::Stdio::piped())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(name), "{said}");
    }
}
