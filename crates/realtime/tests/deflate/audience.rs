//! What is sent to many is compressed once for all of them who have agreed, whatever the others are.

use realtime::{
    IdentityKey, Json, broker::LocalBroker, history::MemoryHistory, presence::MemoryPresence,
};
use serde_json::json;

use crate::{OFFER, builder, long, peer::Peer, start, support::Server};

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
    let (broker, presence) = (LocalBroker::new(), MemoryPresence::new());
    let history = MemoryHistory::new();
    let node = |id: &str| {
        let builder = builder().node_id(id.parse().unwrap());
        let builder = builder.broker(broker.clone()).presence(presence.clone());
        let builder = builder.history(history.clone());
        builder.build().unwrap()
    };
    let (a, b) = (node("a"), node("b"));
    a.start().await.unwrap();
    b.start().await.unwrap();
    let (a, b) = (Server::start(a).await, Server::start(b).await);
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
