//! Messages that are compressed where the server agrees, and only there.

use futures::StreamExt;
use realtime_client::Json;
use realtime_testkit::wait::within;
use realtime_websocket::{
    Event, Kind, Limits, Role,
    deflate::{Compressor, InflatingDecoder, Level, Policy},
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
    let client = quick(server.port()).compression().connect().unwrap();
    for answer in [
        "permessage-deflate",
        "permessage-bzip2",
        "permessage-deflate;",
    ] {
        let mut peer = server.next().await;
        let answer = format!("Sec-WebSocket-Extensions: {answer}\r\n");
        peer.upgrade(&answer).await;
        assert_eq!(peer.event().await, None, "it goes");
    }
    let mut peer = server.accept().await;
    peer.send(json!({ "route": "hello" })).await;
    within("a connection", client.online()).await.unwrap();
}
