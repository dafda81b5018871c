//! Messages that are compressed where the server agrees, and only there.

use futures::StreamExt;
use realtime_client::Json;
use realtime_testkit::wait::within;
use realtime_websocket::{
    Event, Kind, Limits, Role,
    deflate::{Compressor, InflatingDecoder, Level, Policy},
    frame,
};
use serde_json::{Value, json};

use crate::{
    quick,
    scripted::{Peer, Scripted},
};

const NEVER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

fn long() -> String {
    "so much ado ".repeat(1_000)
}

/// The first byte of the client's next message, and the message.
async fn message(peer: &mut Peer, decoder: &mut InflatingDecoder) -> (u8, Value) {
    let mut first = None;
    loop {
        let bytes = peer.read().await;
        let mut input = &bytes[..];
        while !input.is_empty() {
            let byte = *first.get_or_insert(input[0]);
            match decoder.decode(&mut input).unwrap() {
                Some(Event::Text(text)) => return (byte, serde_json::from_str(&text).unwrap()),
                // It asks whether the server is there.
                Some(_) => first = None,
                None => {}
            }
        }
    }
}

#[tokio::test]
async fn messages_are_compressed_both_ways_where_the_server_agrees() {
    let server = Scripted::start().await;
    let client = quick(server.port()).compression().connect().unwrap();
    let mut messages = client.messages();
    let mut peer = server.next().await;
    let offered = peer.header("sec-websocket-extensions").unwrap();
    let answer = Policy::default().answer([offered.as_bytes()]).unwrap();
    assert_eq!(answer.header(), NEVER);
    peer.upgrade(&format!("Sec-WebSocket-Extensions: {NEVER}\r\n"))
        .await;

    let mut compressor = Compressor::new(Level::default());
    let said = json!({ "route": "news", "data": long() }).to_string();
    let frame = compressor.server_frame(Kind::Text, said.as_bytes());
    assert!(frame.len() < 300);
    peer.bytes(&frame).await;
    let heard = within("the message", messages.next()).await.unwrap();
    let heard = heard.into_message().unwrap();
    assert_eq!(heard.decode::<String>().unwrap(), long());

    let agreed = Some(answer.agreed());
    let mut decoder = InflatingDecoder::new(Role::Server, Limits::default(), agreed);
    client.send("say", Json(long())).await.unwrap();
    let (first, heard) = message(&mut peer, &mut decoder).await;
    assert_eq!((first, heard["data"].as_str()), (0xc1, Some(&long()[..])));
    client.send("say", Json("short")).await.unwrap();
    let (first, heard) = message(&mut peer, &mut decoder).await;
    assert_eq!((first, heard["data"].as_str()), (0x81, Some("short")));
}

/// A compressor of ours sends such a message plain, and others don't.
#[tokio::test]
async fn what_compresses_very_well_is_heard_from_servers_of_another_make() {
    let server = Scripted::start().await;
    let client = quick(server.port()).compression().connect().unwrap();
    let mut messages = client.messages();
    let mut peer = server.next().await;
    peer.upgrade(&format!("Sec-WebSocket-Extensions: {NEVER}\r\n"))
        .await;
    let mut compressor = Compressor::new(Level::Small).with_floor(0);
    let mut data = |part: &str| {
        let frame = compressor.server_frame(Kind::Text, part.as_bytes());
        let header = if frame[1] == 126 { 4 } else { 2 };
        assert_eq!(frame[0], 0xc1);
        frame[header..].to_vec()
    };
    // Data that are flushed now and then are put together from those of their parts.
    let quarter = " ".repeat(64 << 10);
    let said = json!({ "route": "news", "data": long() }).to_string();
    let spaces = [&data(&quarter)[..], &[0, 0, 0xff, 0xff]]
        .concat()
        .repeat(8);
    let payload = [spaces, data(&said)].concat();
    assert!(payload.len() * 256 < 512 << 10, "{}", payload.len());
    let frame = frame::fragment(0x41, true, &payload, None);
    peer.bytes(&frame).await;
    let heard = within("the message", messages.next()).await.unwrap();
    let heard = heard.into_message().unwrap();
    assert_eq!(heard.decode::<String>().unwrap(), long());
}

#[tokio::test]
async fn it_is_offered_only_where_it_was_asked_for_and_a_server_may_decline() {
    let server = Scripted::start().await;
    let _client = quick(server.port()).connect().unwrap();
    let peer = server.next().await;
    assert_eq!(peer.header("sec-websocket-extensions"), None);

    let server = Scripted::start().await;
    let client = quick(server.port()).compression().connect().unwrap();
    let mut peer = server.accept().await;
    peer.send(json!({ "route": "hello" })).await;
    let mut decoder = InflatingDecoder::new(Role::Server, Limits::default(), None);
    client.send("say", Json(long())).await.unwrap();
    let (first, heard) = message(&mut peer, &mut decoder).await;
    assert_eq!((first, heard["data"].as_str()), (0x81, Some(&long()[..])));
}

#[tokio::test]
async fn an_answer_that_was_not_offered_is_no_connection() {
    let server = Scripted::start().await;
    for (answer, why) in [
        ("permessage-deflate", "expected server_no_context_takeover"),
        ("permessage-bzip2", "expected no extension but"),
        ("permessage-deflate;", "expected a list of extensions"),
    ] {
        let client = quick(server.port()).compression().max_attempts(1);
        let client = client.connect().unwrap();
        let mut peer = server.next().await;
        let answer = format!("Sec-WebSocket-Extensions: {answer}\r\n");
        peer.upgrade(&answer).await;
        assert_eq!(peer.event().await, None, "it goes");
        let end = within("the end", client.ended()).await;
        assert!(end.reason.contains(why), "{end:?}");
    }
}
