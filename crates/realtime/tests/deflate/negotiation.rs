//! What is agreed on, and from how many bytes on messages are compressed.

use realtime::config::{Compression, CompressionLevel};
use realtime_testkit::wait::until;
use serde_json::json;

use crate::{
    NEVER, OFFER, builder, long,
    peer::{Peer, request},
    prose, start,
};

#[tokio::test]
async fn it_is_agreed_on_with_those_who_offer_it_and_off_by_default() {
    let server = start(realtime::builder().router(crate::router())).await;
    let mut peer = Peer::connect(server.addr, "", Some(OFFER)).await;
    assert_eq!(peer.answer, None);
    let answer = peer.ask("echo", json!(long())).await;
    assert!(!answer.is_compressed);
    server.stop().await;

    let server = start(builder()).await;
    let rows = [
        (None, None),
        (Some(OFFER), Some(NEVER)),
        (Some("permessage-deflate"), Some(NEVER)),
        (Some("x-unknown, permessage-deflate"), Some(NEVER)),
        (
            Some("permessage-deflate; server_max_window_bits=12"),
            Some(
                "permessage-deflate; server_no_context_takeover; server_max_window_bits=12; \
                 client_no_context_takeover",
            ),
        ),
        // No window that can be compressed with, an unknown parameter, and what is no offer at all.
        (Some("permessage-deflate; server_max_window_bits=8"), None),
        (Some("permessage-deflate; x=1"), None),
        (Some(";;;=,,\""), None),
    ];
    for (offer, answer) in rows {
        let mut peer = Peer::connect(server.addr, "", offer).await;
        assert_eq!(peer.answer.as_deref(), answer, "{offer:?}");
        let echoed = peer.ask("echo", json!(long())).await;
        assert_eq!(echoed.json()["data"], long());
        // One frame is for all, and who wants it smaller gets it plain.
        assert_eq!(echoed.is_compressed, answer == Some(NEVER), "{offer:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_window_that_is_configured_is_for_all_who_allow_it() {
    let mut compression = Compression::default();
    compression.window_bits = 10;
    compression.level = CompressionLevel::Small;
    let server = start(builder().compression(compression)).await;
    for asked in [OFFER, "permessage-deflate; server_max_window_bits=12"] {
        let mut peer = Peer::connect(server.addr, "", Some(asked)).await;
        let answer = peer.answer.clone().unwrap();
        assert!(answer.contains("server_max_window_bits=10"), "{answer}");
        // The peer's inflater has no more than that.
        let echoed = peer.ask("echo", json!(long())).await;
        assert_eq!(
            (echoed.is_compressed, &echoed.json()["data"]),
            (true, &json!(long()))
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn messages_are_compressed_both_ways_from_the_floor_on() {
    let mut compression = Compression::default();
    compression.floor = 300;
    let server = start(builder().compression(compression)).await;
    let mut peer = Peer::connect(server.addr, "", Some(OFFER)).await;
    let envelope = request("echo", json!("")).len();
    for (bytes, is_compressed) in [(50, false), (299, false), (300, true), (100_000, true)] {
        let text = prose(bytes - envelope);
        let sent = request("echo", json!(text));
        assert_eq!(sent.len(), bytes);
        let answer = match is_compressed {
            true => {
                peer.send_compressed(&sent).await;
                peer.frame().await
            }
            false => peer.ask("echo", json!(text)).await,
        };
        assert_eq!(answer.json()["data"], text);
        // It is as long as what was asked.
        assert_eq!(answer.is_compressed, is_compressed, "{bytes}");
    }
    let stats = server.gateway.stats();
    assert_eq!(stats.compressed, 2);
    assert!(stats.compressed_from_bytes > 100_300, "{stats:?}");
    assert!(stats.compressed_to_bytes < 60_000, "{stats:?}");
    assert_eq!(stats.assembling_bytes, 0, "an idle session holds no window");
    server.stop().await;
}

/// Its queue counts what is written.
#[tokio::test]
async fn what_waits_is_counted_as_it_is_written() {
    let server = start(builder().queue_bytes(64 * 1024)).await;
    let small = Peer::connect(server.addr, "small", Some(OFFER)).await;
    let large = Peer::connect(server.addr, "large", None).await;
    server.until_open(2).await;
    // More and more, until one has more than any socket takes.
    let text = json!("so much ado ".repeat(5_000));
    until("one of them has too much", async || {
        let data = realtime::Json(&text);
        server.gateway.broadcast("news", data).await.unwrap();
        server.gateway.stats().slow_consumers == 1
    })
    .await;
    for session in server.gateway.local_sessions() {
        let is_small = session.identity_key().id() == "small";
        assert_eq!(session.is_closed(), !is_small);
    }
    drop((small, large));
    server.stop().await;
}
