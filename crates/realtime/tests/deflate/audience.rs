//! What is sent to many is compressed once for all of them who have agreed, whatever the others are.

use std::time::Duration;

use futures::StreamExt;
use realtime::{IdentityKey, Json, config::Compression};
use serde_json::json;

use crate::{OFFER, builder, long, pair, peer::Peer, start, support::Server};

/// Two who have agreed, one who hasn't, and one whose window is too small for what is for all.
async fn crowd(server: &Server) -> Vec<(Peer, bool)> {
    let small = "permessage-deflate; server_max_window_bits=9";
    let mut crowd = Vec::new();
    for (offer, gets_compressed) in [
        (Some(OFFER), true),
        (None, false),
        (Some("permessage-deflate"), true),
        (Some(small), false),
    ] {
        let peer = Peer::connect(server.addr, "ann", offer).await;
        crowd.push((peer, gets_compressed));
    }
    server.until_open(4).await;
    crowd
}

/// All get this, and those who have agreed the very same bytes.
async fn all_get(crowd: &mut [(Peer, bool)], route: &str) {
    let mut shared = Vec::new();
    for (peer, gets_compressed) in crowd {
        let frame = peer.frame().await;
        let message = frame.json();
        assert_eq!(
            (&message["route"], &message["data"]),
            (&json!(route), &json!(long()))
        );
        assert_eq!(frame.is_compressed, *gets_compressed);
        if frame.is_compressed {
            assert!(frame.bytes.len() < 150, "{}", frame.bytes.len());
            shared.push(frame.bytes);
        }
    }
    assert_eq!(shared.len(), 2);
    assert_eq!(shared[0], shared[1]);
}

#[tokio::test]
async fn a_mixed_audience_costs_one_compression() {
    let server = start(builder()).await;
    let mut crowd = crowd(&server).await;
    let compressed = || server.gateway.stats().compressed;

    server
        .gateway
        .broadcast("news", Json(long()))
        .await
        .unwrap();
    all_get(&mut crowd, "news").await;
    assert_eq!(compressed(), 1);

    let ann = IdentityKey::new("ann");
    let sent = server
        .gateway
        .send_to_identity(&ann, "to-ann", Json(long()));
    assert_eq!(sent.await.unwrap().local, 4);
    all_get(&mut crowd, "to-ann").await;
    assert_eq!(compressed(), 2);

    for (peer, _) in &mut crowd {
        peer.ask("join", json!({ "room": "open:a" })).await;
    }
    let room = server.gateway.room("open:a");
    room.send("in-room", Json(long())).await.unwrap();
    all_get(&mut crowd, "in-room").await;
    assert_eq!(compressed(), 3);

    // Too short, and then for nobody who has agreed.
    server
        .gateway
        .broadcast("news", Json("short"))
        .await
        .unwrap();
    for (peer, _) in &mut crowd {
        assert_eq!(peer.frame().await.json()["data"], "short");
    }
    crowd.retain(|(_, gets_compressed)| !gets_compressed);
    server.until_open(2).await;
    server
        .gateway
        .broadcast("news", Json(long()))
        .await
        .unwrap();
    for (peer, _) in &mut crowd {
        assert!(!peer.frame().await.is_compressed);
    }
    assert_eq!(compressed(), 3);
    drop(crowd);
    server.stop().await;
}

#[tokio::test]
async fn what_comes_from_another_node_is_compressed_where_it_arrives() {
    let [a, b] = pair(Compression::default()).await;
    let mut crowd = crowd(&b).await;
    a.gateway.broadcast("news", Json(long())).await.unwrap();
    all_get(&mut crowd, "news").await;
    assert_eq!(a.gateway.stats().compressed, 0);
    assert_eq!(b.gateway.stats().compressed, 1);
    drop(crowd);
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn order_is_kept_between_what_is_for_all_and_for_one() {
    let server = start(builder()).await;
    let mut peer = Peer::connect(server.addr, "ann", Some(OFFER)).await;
    server.until_open(1).await;
    let session = &server.gateway.local_sessions()[0];
    for n in 0..200 {
        // Long and short, so that compressed and plain ones come behind each other.
        let data = json!([n, "x".repeat(n % 3 * 500)]);
        match n % 2 {
            0 => drop(server.gateway.broadcast("n", Json(&data)).await.unwrap()),
            _ => session.send("n", Json(&data)).unwrap(),
        }
    }
    for n in 0..200 {
        assert_eq!(peer.frame().await.json()["data"][0], n);
    }
    drop(peer);
    server.stop().await;
}

/// Of what is compressed nobody pays who isn't sent it.
#[tokio::test]
async fn nothing_is_compressed_for_a_bystander() {
    let [a, b] = pair(Compression::default()).await;
    let mut plain = Vec::new();
    let mut bystanders = Vec::new();
    for server in [&a, &b] {
        let mut peer = Peer::connect(server.addr, "ann", None).await;
        for room in ["open:a", "kept:a"] {
            peer.ask("join", json!({ "room": room })).await;
        }
        plain.push(peer);
        bystanders.push(Peer::connect(server.addr, "bob", Some(OFFER)).await);
        server.until_open(2).await;
    }
    let ann = IdentityKey::new("ann");
    for (at, server) in [&a, &b].into_iter().enumerate() {
        let gateway = &server.gateway;
        gateway
            .room("open:a")
            .send("open", Json(long()))
            .await
            .unwrap();
        gateway
            .room("kept:a")
            .send("kept", Json(long()))
            .await
            .unwrap();
        gateway
            .send_to_identity(&ann, "to-ann", Json(long()))
            .await
            .unwrap();
        // And to nobody at all.
        for room in ["open:b", "kept:b"] {
            let room = gateway.room(room);
            room.send("nobody", Json(long())).await.unwrap();
        }
        let nobody = IdentityKey::new("nobody");
        gateway
            .send_to_identity(&nobody, "nobody", Json(long()))
            .await
            .unwrap_err();
        for peer in &mut plain {
            let mut routes = Vec::new();
            for _ in 0..3 {
                let frame = peer.frame().await;
                assert!(!frame.is_compressed);
                routes.push(frame.json()["route"].as_str().unwrap().to_owned());
            }
            routes.sort();
            assert_eq!(routes, ["kept", "open", "to-ann"], "{at}");
        }
    }
    for server in [&a, &b] {
        let stats = server.gateway.stats();
        assert_eq!((stats.compressed, stats.compressed_in_vain), (0, 0));
    }
    a.gateway.broadcast("news", Json(long())).await.unwrap();
    for peer in &mut bystanders {
        assert!(peer.frame().await.is_compressed);
    }
    for server in [&a, &b] {
        assert_eq!(server.gateway.stats().compressed, 1);
    }
    drop((plain, bystanders));
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn what_the_server_asks_is_compressed_as_what_it_says() {
    let server = start(builder()).await;
    let mut peer = Peer::connect(server.addr, "ann", Some(OFFER)).await;
    server.until_open(1).await;
    let session = server.gateway.local_sessions()[0].clone();
    for (data, is_compressed) in [(long(), true), ("short".to_owned(), false)] {
        let session = session.clone();
        let question = Json(data.clone());
        let minute = Duration::from_secs(60);
        let asked =
            tokio::spawn(async move { session.request("question", question, minute).await });
        let frame = peer.frame().await;
        let seen = frame.json();
        assert!(seen.to_string().contains(&data), "{seen}");
        assert_eq!(frame.is_compressed, is_compressed);
        asked.abort();
    }
    // Of many each gets one with an id of its own: it would be compressed for each of them.
    let everybody = server.gateway.clone();
    let asked = tokio::spawn(async move {
        let asked = everybody.everybody().request("question", Json(long()));
        asked.unwrap().collect::<Vec<_>>().await
    });
    let frame = peer.frame().await;
    assert!(frame.json().to_string().contains(&long()));
    assert!(!frame.is_compressed);
    asked.abort();
    drop(peer);
    server.stop().await;
}

#[tokio::test]
async fn what_is_compressed_in_vain_is_counted_and_sent_plain() {
    let server = start(builder()).await;
    let mut peer = Peer::connect(server.addr, "ann", Some(OFFER)).await;
    // A client would take it for a bomb.
    let letters = "a".repeat(200_000);
    assert!(!peer.ask("echo", json!(letters)).await.is_compressed);
    let stats = server.gateway.stats();
    assert_eq!((stats.compressed, stats.compressed_in_vain), (0, 1));
    drop(peer);
    server.stop().await;
}
