//! Bombs, garbage, and what wasn't agreed on.

use realtime_websocket::Kind;
use realtime_websocket::deflate::{Compressor, Level};
use serde_json::json;

use crate::{
    OFFER, builder, long,
    peer::{Peer, fragment, request},
    prose, start,
    support::Ends,
};

/// What is compressed of these bytes.
fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(Level::Small).with_floor(1);
    let frame = compressor.smaller_server_frame(Kind::Text, bytes).unwrap();
    let header = match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    frame[header..].to_vec()
}

/// A piece of a bomb: 60 KiB of the same byte. No compressor of ours makes two of them.
fn bomb() -> Vec<u8> {
    let mut bytes = deflated(&vec![b'a'; 60 * 1024]);
    bytes.extend_from_slice(&[0, 0, 0xff, 0xff]);
    bytes
}

#[tokio::test]
async fn what_is_too_large_or_no_deflate_ends_its_session_alone() {
    let ends = Ends::default();
    let server = start(ends.hear(builder().read_limit(200 * 1024))).await;
    let mut bystander = Peer::connect(server.addr, "by", Some(OFFER)).await;
    let too_large = prose(300_000);
    let bombs = bomb().repeat(2);
    assert!(bombs.len() < 500);
    let text = "so much ado ".repeat(20);
    let rows: Vec<(&str, Vec<Vec<u8>>, u16)> = vec![
        (
            "over the limit",
            vec![fragment(0xc1, &deflated(too_large.as_bytes()))],
            1009,
        ),
        ("a bomb", vec![fragment(0xc1, &bombs)], 1008),
        ("no DEFLATE", vec![fragment(0xc1, &[0xff; 64])], 1007),
        (
            "cut off",
            vec![fragment(0xc1, &deflated(text.as_bytes())[..4])],
            1007,
        ),
        (
            "no UTF-8",
            vec![fragment(0xc1, &deflated(&[0xff; 100]))],
            1007,
        ),
        ("a ping", vec![fragment(0xc9, b"x")], 1002),
        ("another bit", vec![fragment(0xa1, b"x")], 1002),
        (
            "in the middle",
            vec![
                fragment(0x41, &deflated(text.as_bytes())),
                fragment(0xc0, b"x"),
            ],
            1002,
        ),
    ];
    for (what, frames, code) in rows {
        let mut peer = Peer::connect(server.addr, "ann", Some(OFFER)).await;
        for frame in frames {
            peer.raw(&frame).await;
        }
        assert_eq!(peer.closed().await, Some(code), "{what}");
        drop(peer);
        server.until_open(1).await;
        let held = async || server.gateway.stats().assembling_bytes == 0;
        realtime_testkit::wait::until("nothing is held", held).await;
        assert_eq!(
            bystander.ask("echo", json!(what)).await.json()["data"],
            what
        );
    }
    assert_eq!(server.gateway.stats().violations, 8);
    drop(bystander);
    server.stop().await;
}

#[tokio::test]
async fn who_has_agreed_to_nothing_may_compress_nothing() {
    let server = start(builder()).await;
    let mut peer = Peer::connect(server.addr, "ann", None).await;
    let text = request("echo", json!(long()));
    peer.raw(&fragment(0xc1, &deflated(text.as_bytes()))).await;
    assert_eq!(peer.closed().await, Some(1002));
    server.stop().await;
}

/// While a handler runs, what waits behind it is looked through for pings.
#[tokio::test]
async fn fragments_and_pings_among_compressed_messages_are_understood() {
    let server = start(builder()).await;
    let mut peer = Peer::connect(server.addr, "ann", Some(OFFER)).await;
    let text = request("echo", json!(long()));
    let deflated = deflated(text.as_bytes());
    let (one, two) = deflated.split_at(deflated.len() / 2);
    let mut all = fragment(0x41, one);
    all.extend(fragment(0x89, b"there?"));
    all.extend(fragment(0x80, two));
    all.extend(peer.compressed(&text));
    all.extend(fragment(0x81, request("echo", json!("plain")).as_bytes()));
    for byte in all {
        peer.raw(&[byte]).await;
    }
    let pong = peer.frame().await;
    assert_eq!(
        pong.event,
        realtime_websocket::Event::Pong(b"there?".to_vec().into())
    );
    for data in [long(), long(), "plain".to_owned()] {
        assert_eq!(peer.frame().await.json()["data"], data);
    }
    drop(peer);
    server.stop().await;
}
