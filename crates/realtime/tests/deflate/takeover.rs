//! Clients that may refer to their messages before: less on the wire, and a window for each.

use realtime::config::Compression;
use realtime_testkit::wait::until;
use serde_json::json;

use crate::{
    builder,
    peer::{Peer, request},
    start,
};

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
    let mut compression = Compression::default();
    compression.receive_takeover = true;
    let server = start(builder().compression(compression)).await;
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
async fn the_windows_of_all_are_within_the_budget() {
    let mut compression = Compression::default();
    compression.receive_takeover = true;
    let most = 256 * 1024;
    let builder = builder().compression(compression).read_limit(64 * 1024);
    let server = start(builder.assembly_budget(most)).await;
    let mut peers = Vec::new();
    for _ in 0..8 {
        let mut peer = Peer::taking_over(server.addr).await;
        peer.send_compressed(&message(0)).await;
        peers.push(peer);
    }
    until("some have gone, so that the rest has room", async || {
        let stats = server.gateway.stats();
        stats.open < 8 && stats.assembling_bytes <= most as u64
    })
    .await;
    assert!(server.gateway.stats().open >= 3);
    drop(peers);
    server.stop().await;
}
