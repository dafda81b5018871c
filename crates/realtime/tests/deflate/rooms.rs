//! Rooms with a history: who comes back gets what it has missed, compressed or not.

use realtime::Json;
use serde_json::json;

use crate::{
    OFFER, builder, long,
    peer::{Peer, request},
    start,
};

#[tokio::test]
async fn what_was_missed_is_recovered_by_those_who_agreed_and_those_who_didnt() {
    let server = start(builder()).await;
    let room = || server.gateway.room("kept:a");
    for (before, after) in [
        (Some(OFFER), None),
        (None, Some(OFFER)),
        (Some(OFFER), Some(OFFER)),
    ] {
        let mut peer = Peer::connect(server.addr, "ann", before).await;
        let joined = peer.ask("join", json!({ "room": "kept:a" })).await.json();
        room().send("said", Json(long())).await.unwrap();
        let live = peer.frame().await;
        assert_eq!(live.json()["data"], long());
        assert_eq!(live.is_compressed, before.is_some());
        let mut position = joined["data"]["position"].clone();
        position["offset"] = live.json()["offset"].clone();
        drop(peer);
        server.until_open(0).await;

        // Nobody is there who would have agreed.
        let compressed = server.gateway.stats().compressed;
        for n in 0..3 {
            room().send("said", Json((n, long()))).await.unwrap();
        }
        assert_eq!(server.gateway.stats().compressed, compressed);
        let mut peer = Peer::connect(server.addr, "ann", after).await;
        let wish = json!({
            "room": "kept:a", "epoch": position["epoch"], "offset": position["offset"],
        });
        peer.send(&request("recover", wish)).await;
        let answer = peer.frame().await;
        assert_eq!(answer.is_compressed, after.is_some());
        let recovered = answer.json()["data"].clone();
        assert_eq!(recovered["recovered"], true, "{recovered}");
        let missed = recovered["missed"].as_array().unwrap();
        let missed: Vec<_> = missed.iter().map(|missed| &missed["data"]).collect();
        assert_eq!(missed, [0, 1, 2].map(|n| json!([n, long()])).each_ref());
        room().send("said", Json(long())).await.unwrap();
        assert_eq!(peer.frame().await.is_compressed, after.is_some());
        drop(peer);
        server.until_open(0).await;
    }
    server.stop().await;
}
