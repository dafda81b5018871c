//! What is never compressed: messages on routes that say so, and what tells a client that it is refused.

use realtime::{Json, config::Compression};
use serde_json::json;

use crate::{OFFER, builder, long, pair, peer::Peer, start};

fn with_secrets() -> Compression {
    let mut compression = Compression::default();
    compression.plain_routes = vec!["secret.*".to_owned(), "keys".to_owned()];
    compression
}

#[tokio::test]
async fn messages_on_a_plain_route_stay_plain_whoever_sends_them() {
    let [a, b] = pair(with_secrets()).await;
    let mut peer = Peer::connect(a.addr, "ann", Some(OFFER)).await;
    a.until_open(1).await;
    assert!(!peer.ask("secret.key", json!(long())).await.is_compressed);
    assert!(peer.ask("echo", json!(long())).await.is_compressed);
    let rows = [
        ("secret.of-all", false),
        ("keys", false),
        ("keys.more", true),
    ];
    let ann = realtime::IdentityKey::new("ann");
    for (route, is_compressed) in rows {
        a.gateway.local_sessions()[0]
            .send(route, Json(long()))
            .unwrap();
        a.gateway.broadcast(route, Json(long())).await.unwrap();
        // From another node, too.
        b.gateway.broadcast(route, Json(long())).await.unwrap();
        b.gateway
            .send_to_identity(&ann, route, Json(long()))
            .await
            .unwrap();
        for _ in 0..4 {
            let frame = peer.frame().await;
            assert_eq!(
                (frame.is_compressed, &frame.json()["data"]),
                (is_compressed, &json!(long())),
                "{route}"
            );
        }
    }
    drop(peer);
    a.stop().await;
    b.stop().await;
}

/// There is nothing to be agreed on.
#[tokio::test]
async fn who_is_refused_by_a_close_frame_is_answered_no_offer() {
    let server = start(builder().max_connections(Some(1)).accept_then_close(true)).await;
    let first = Peer::connect(server.addr, "ann", Some(OFFER)).await;
    server.until_open(1).await;
    let mut second = Peer::connect(server.addr, "bob", Some(OFFER)).await;
    assert_eq!(second.answer, None);
    assert_eq!(second.closed().await, Some(1013));
    drop(first);
    server.stop().await;
}

/// They stand in one frame with others.
#[tokio::test]
async fn what_was_missed_on_a_plain_route_is_recovered_plain() {
    for (plain, route, is_compressed) in [
        ("keys", "said", true),
        ("keys", "keys", false),
        // That of the answer itself.
        ("recover", "said", false),
    ] {
        let mut compression = Compression::default();
        compression.plain_routes = vec![plain.to_owned()];
        let server = start(builder().compression(compression)).await;
        let room = || server.gateway.room("kept:a");
        let mut peer = Peer::connect(server.addr, "ann", Some(OFFER)).await;
        let joined = peer.ask("join", json!({ "room": "kept:a" })).await.json();
        let position = &joined["data"]["position"];
        drop(peer);
        server.until_open(0).await;
        for route in ["said", route, "said"] {
            room().send(route, Json(long())).await.unwrap();
        }
        let mut peer = Peer::connect(server.addr, "ann", Some(OFFER)).await;
        let wish = json!({
            "room": "kept:a", "epoch": position["epoch"], "offset": position["offset"],
        });
        let answer = peer.ask("recover", wish).await;
        assert_eq!(answer.json()["data"]["missed"][1]["route"], route);
        assert_eq!(answer.is_compressed, is_compressed, "{route}");
        drop(peer);
        server.stop().await;
    }
}
