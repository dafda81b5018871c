//! Clients that may refer to their messages before: less on the wire, and a window for each.

use realtime::{Builder, config::Compression};
use realtime_testkit::wait::until;
use serde_json::json;

use crate::{
    builder as without,
    peer::{Peer, request},
    start,
};

/// Half of the budget is for the windows of all who may be there.
fn builder(sessions: usize) -> Builder {
    let mut compression = Compression::default();
    compression.receive_takeover = true;
    without()
        .compression(compression)
        .read_limit(64 * 1024)
        .max_connections(Some(sessions))
        .assembly_budget(sessions * 2 * 56 * 1024)
}

/// Every one is like the one before, and no part of it like another.
fn message(n: u64) -> String {
    let mut text = String::new();
    let mut seed = 7_u64;
    for _ in 0..60 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        text += &format!("{:016x}", seed);
    }
    request("echo", json!([n, text]))
}

#[tokio::test]
async fn a_client_may_refer_to_what_it_has_said_where_that_is_configured() {
    let server = start(builder(4)).await;
    let mut peer = Peer::taking_over(server.addr).await;
    let answer = "permessage-deflate; server_no_context_takeover";
    assert_eq!(peer.answer.as_deref(), Some(answer));
    assert_eq!(server.gateway.stats().assembling_bytes, 0);
    let mut sent = Vec::new();
    for n in 0..3 {
        sent.push(peer.send_compressed(&message(n)).await);
        assert_eq!(peer.frame().await.json()["data"][0], n);
    }
    assert!(sent[1] * 5 < sent[0] && sent[2] * 5 < sent[0], "{sent:?}");
    let held = server.gateway.stats().assembling_bytes;
    assert!((32 * 1024..128 * 1024).contains(&held), "{held}");
    drop(peer);
    until("the window is gone", async || {
        server.gateway.stats().assembling_bytes == 0
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn nobody_is_closed_for_the_window_that_it_holds() {
    let server = start(builder(8)).await;
    let mut peers = Vec::new();
    for _ in 0..8 {
        peers.push(Peer::taking_over(server.addr).await);
    }
    for n in 0..3 {
        for peer in &mut peers {
            peer.send_compressed(&message(n)).await;
            assert_eq!(peer.frame().await.json()["data"][0], n);
        }
    }
    let stats = server.gateway.stats();
    assert_eq!(stats.open, 8);
    assert!(stats.assembling_bytes >= 8 * 32 * 1024, "{stats:?}");
    drop(peers);
    server.stop().await;
}
