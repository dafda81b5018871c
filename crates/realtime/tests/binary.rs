//! Bytes to and from clients whose protocol is JSON, and data that is no JSON.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

#[path = "support/mod.rs"]
mod support;

use bytes::Bytes;
use realtime::{Json, Payload, Router, Session, error::SendErrorKind, room::RoomRule};
use serde_json::{Value, json};
use support::Server;

async fn server() -> Server {
    let reversed = async |bytes: Bytes| -> Bytes { bytes.iter().rev().copied().collect() };
    let either = async |bytes: Option<Bytes>, json: Option<Json<Value>>| {
        Json((bytes.map(|bytes| bytes.len()), json.map(|Json(json)| json)))
    };
    let router = Router::new()
        .route("reversed", reversed)
        .route("either", either)
        .route("payload", async |data: Payload| data)
        .route("json", async |Json(data): Json<Value>| Json(data))
        .room("{name}", RoomRule::open().publish("said"));
    Server::start(support::builder().router(router).build().unwrap()).await
}

async fn ask(client: &mut realtime_testkit::client::Client, request: Value) -> Value {
    client.send_text(&request.to_string()).await.unwrap();
    client.recv_json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_base64_on_the_wire_and_bytes_in_a_handler() {
    let server = server().await;
    let mut ann = server.connect().await;
    let binary = |route: &str, data: &str| json!({"id": 1, "route": route, "data": data, "encoding": "base64"});
    let answer = ask(&mut ann, binary("reversed", "AAH/")).await;
    assert_eq!(answer, binary("reversed", "/wEA"));
    let answer = ask(&mut ann, binary("payload", "AAH/")).await;
    assert_eq!(answer, binary("payload", "AAH/"));
    let answer = ask(&mut ann, binary("either", "AAH/")).await;
    assert_eq!(answer["data"], json!([3, null]));
    let answer = ask(
        &mut ann,
        json!({"id": 1, "route": "either", "data": "AAH/"}),
    )
    .await;
    assert_eq!(answer["data"], json!([null, "AAH/"]));
    // Each handler takes what it says, and nothing else.
    for wrong in [
        binary("json", "AAH/"),
        json!({"id": 1, "route": "reversed", "data": "AAH/"}),
        json!({"id": 1, "route": "reversed"}),
    ] {
        let answer = ask(&mut ann, wrong).await;
        assert_eq!(answer["data"]["code"], "bad_data", "{answer}");
    }
    let answer = ask(
        &mut ann,
        json!({"id": 1, "route": "reversed", "data": "!", "encoding": "base64"}),
    )
    .await;
    assert_eq!(
        (&answer["id"], &answer["data"]["code"]),
        (&json!(1), &json!("malformed"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_sent_and_published_to_many() {
    let server = server().await;
    let mut ann = server.connect().await;
    ann.request("join", json!({"room": "a"})).await.unwrap();
    let gateway = &server.gateway;
    gateway
        .broadcast("news", Bytes::from_static(b"\xff\x00"))
        .await
        .unwrap();
    let news = ann.recv_json().await.unwrap();
    assert_eq!(
        news,
        json!({"route": "news", "data": "/wA=", "encoding": "base64"})
    );
    let publish = |data: Value, encoding: &str| json!({"id": 2, "route": "publish", "data": {"room": "a", "data": data, "encoding": encoding}});
    ann.send_text(&publish(json!("/wA="), "base64").to_string())
        .await
        .unwrap();
    let said = [
        ann.recv_json().await.unwrap(),
        ann.recv_json().await.unwrap(),
    ];
    let expected = json!({"route": "said", "room": "a", "data": "/wA=", "encoding": "base64"});
    assert!(said.contains(&expected), "{said:?}");
    for wrong in [
        publish(json!("/w"), "base64"),
        publish(json!(1), "base64"),
        publish(json!("AA"), "hex"),
    ] {
        assert_eq!(ask(&mut ann, wrong).await["data"]["code"], "bad_data");
    }
}

/// What isn't JSON gets into no envelope, whoever sends it.
#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_no_json_is_an_error_of_who_sends_it() {
    let sneaky = async |session: Session| {
        let text = Payload::from("1},\"route\":\"other\"");
        let error = session.send("news", text).unwrap_err();
        Json(error.kind() == SendErrorKind::Encode)
    };
    let router = Router::new()
        .route("sneaky", sneaky)
        .route("hello", async || Payload::from("hello"))
        .route("bytes", async || Payload::from(vec![b'"', 0xff, b'"']));
    let server = Server::start(support::builder().router(router).build().unwrap()).await;
    let mut ann = server.connect().await;
    assert_eq!(
        ann.request("sneaky", Value::Null).await.unwrap()["data"],
        true
    );
    let hello = ann.request("hello", Value::Null).await.unwrap();
    assert_eq!(hello["data"]["code"], "internal");
    let bytes = ann.request("bytes", Value::Null).await.unwrap();
    assert_eq!(bytes["encoding"], "base64");
}
