//! Every request is answered, in the form in which it came; and what is sent is what a client may
//! read.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod support;

use std::time::Duration;

use realtime::{
    BoxError, Gateway, IdentityKey, Json, Message, Payload, Router, Session,
    error::{BuildErrorKind, ControlErrorKind, DeliverErrorKind, RequestErrorKind, SendErrorKind},
    extract::Reply,
};
use realtime_testkit::client::Client;
use realtime_websocket::Event;
use serde_json::{Value, json};
use support::Server;

fn router() -> Router {
    Router::new()
        .route("unit", async || ())
        .route("ok", async || Ok::<_, BoxError>(()))
        .route("no data", async || None::<Json<u8>>)
        .route("silent", async || Reply::none())
        .route("mirror", async |Json(text): Json<String>| {
            Payload::from(text)
        })
        .route("echo", async |data: Payload| data)
        .route(
            "send",
            async |session: Session, Json(text): Json<String>| {
                let sent = session.send("sent", Payload::from(text));
                Json(sent.map_err(|error| error.kind() == SendErrorKind::Encode))
            },
        )
}

fn gateway() -> Gateway {
    support::builder().router(router()).build().unwrap()
}

/// Sends a message as it stands, and returns the next one that comes.
async fn exchange(client: &mut Client, text: &str) -> String {
    client.send_text(text).await.unwrap();
    match client.recv().await.unwrap() {
        Event::Text(text) => text.to_string(),
        other => panic!("expected a message; got {other:?}"),
    }
}

#[tokio::test]
async fn a_request_whose_handler_returns_nothing_is_answered_without_data() {
    let server = Server::start(gateway()).await;
    let mut client = server.connect().await;
    for route in ["unit", "ok", "no data"] {
        let text = format!(r#"{{"id":"1","route":"{route}"}}"#);
        assert_eq!(exchange(&mut client, &text).await, text);
    }
    // Neither a message without an id nor an explicit `none` is answered.
    client.send_text(r#"{"route":"unit"}"#).await.unwrap();
    client
        .send_text(r#"{"id":"2","route":"silent"}"#)
        .await
        .unwrap();
    let last = r#"{"id":"3","route":"echo","data":1}"#;
    assert_eq!(exchange(&mut client, last).await, last);
    server.stop().await;
}

#[tokio::test]
async fn an_id_goes_back_in_the_form_in_which_it_came() {
    let server = Server::start(gateway()).await;
    let mut client = server.connect().await;
    for id in ["7", "-1", "12345678901234567890", "\"7\"", "1.5"] {
        let text = format!(r#"{{"id":{id},"route":"echo","data":[1]}}"#);
        assert_eq!(exchange(&mut client, &text).await, text);
        let unknown = format!(r#"{{"id":{id},"route":"nowhere"}}"#);
        let answer = exchange(&mut client, &unknown).await;
        assert!(
            answer.starts_with(&format!(r#"{{"id":{id},"route":"error""#)),
            "{answer}"
        );
    }
    // Null is what isn't there: the first is no request.
    client
        .send_text(r#"{"id":null,"metadata":null,"route":"echo"}"#)
        .await
        .unwrap();
    let text = r#"{"id":8,"route":"echo","data":1,"metadata":null}"#;
    assert_eq!(
        exchange(&mut client, text).await,
        r#"{"id":8,"route":"echo","data":1}"#
    );
    let answer = exchange(&mut client, r#"{"id":true,"route":"echo"}"#).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["data"]["code"], "malformed");
    let message = answer["data"]["message"].as_str().unwrap();
    assert!(message.contains("a string or a number"), "{message}");
    server.stop().await;
}

/// Who waits for an answer under an id gets one, also where the rest can't be read.
#[tokio::test]
async fn a_request_that_cannot_be_read_is_answered_under_its_id() {
    let server = Server::start(support::builder().build().unwrap()).await;
    let mut client = server.connect().await;
    for (text, id, reason) in [
        (r#"{"id":7,"route":true}"#, "7", "to be a string"),
        (r#"{"route":7,"id":"a"}"#, "\"a\"", "to be a string"),
        (r#"{"id":"\u0041","route":1}"#, "\"A\"", "to be a string"),
        (r#"{"id":"b","data":1,"data":2}"#, "\"b\"", "once"),
        (
            r#"{"id":"c","metadata":{"k":7}}"#,
            "\"c\"",
            "a value that is not a string",
        ),
        (
            r#"{"id":"d","metadata":{"k":"7","k":"8"}}"#,
            "\"d\"",
            "got more, or one twice",
        ),
        (r#"{"id":1,"id":2,"route":"a"}"#, "null", "once"),
        (r#"{"id":{},"route":"a"}"#, "null", "a string or a number"),
        ("[]", "null", "got an array"),
        ("7", "null", "got something else"),
        ("", "null", "got nothing"),
    ] {
        let answer = exchange(&mut client, text).await;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["id"].to_string(), id, "{text}");
        let message = answer["data"]["message"].as_str().unwrap();
        assert!(message.contains(reason), "{text}: {message}");
        // Ten in a row end a session.
        exchange(&mut client, r#"{"id":0,"route":"nowhere"}"#).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn no_handler_can_send_what_is_not_json() {
    let server = Server::start(gateway()).await;
    let mut client = server.connect().await;
    for text in [
        "1,\"route\":\"gap\"",
        "1},{\"route\":\"gap\"",
        "hello",
        "{",
        " ",
        "\"\n\"",
    ] {
        let answer = client.request("mirror", json!(text)).await.unwrap();
        assert_eq!(answer["route"], "error", "{text}: {answer}");
        assert_eq!(answer["data"]["code"], "internal");
        let answer = client.request("send", json!(text)).await.unwrap();
        assert_eq!(answer["data"], json!({"Err": true}), "{text}");
    }
    let answer = client.request("mirror", json!(" {\"a\":1}")).await.unwrap();
    assert_eq!(answer["data"], json!({"a": 1}));
    let kind = server
        .gateway
        .broadcast("news", Payload::from("}{"))
        .await
        .unwrap_err()
        .kind();
    assert_eq!(kind, realtime::error::DeliverErrorKind::Encode);
    server.stop().await;
}

#[tokio::test]
async fn what_a_client_could_not_read_is_an_error_of_send() {
    let server = Server::start(gateway()).await;
    let _client = server.connect().await;
    server.until_open(1).await;
    let session = server
        .gateway
        .local_sessions_of(&realtime::IdentityKey::new("anonymous"));
    let long = "x".repeat(257);
    let mut much = Message::new("r", ()).unwrap();
    for n in 0..65 {
        much = much.with_metadata(n.to_string(), "v");
    }
    let rows = [
        Message::new(&*long, ()).unwrap(),
        Message::new("r", ()).unwrap().with_id(&*long),
        much,
    ];
    for message in rows {
        let error = session[0].send_message(&message).unwrap_err();
        assert_eq!(error.kind(), SendErrorKind::Encode);
    }
    assert!(session[0].send(&long[1..], ()).is_ok());
    assert!(server.gateway.broadcast(&*long, ()).await.is_err());
    server.stop().await;
}

/// What comes on these routes is the gateway's word, and clients act on it.
#[tokio::test]
async fn an_application_sends_on_no_route_of_the_gateway() {
    let server = Server::start(gateway()).await;
    let mut client = server.connect().await;
    server.until_open(1).await;
    let anonymous = IdentityKey::new("anonymous");
    let gateway = &server.gateway;
    let sessions = gateway.local_sessions_of(&anonymous);
    let session = &sessions[0];
    let second = Duration::from_secs(1);
    for route in ["error", "expiring", "gap", "removed"] {
        let message = || Message::new(route, ()).unwrap();
        let sent = [
            session.send(route, ()),
            session.send_message(&message()),
            session.send_wait(route, ()).await,
            session.send_message_wait(&message()).await,
        ];
        for sent in sent {
            assert_eq!(sent.unwrap_err().kind(), SendErrorKind::Encode, "{route}");
        }
        let delivered = [
            gateway.broadcast(route, ()).await,
            gateway.send_to_identity(&anonymous, route, ()).await,
            gateway.everybody().send(route, ()).await,
            gateway.everybody().send_message(message()).await,
            gateway.identity(&anonymous).send(route, ()).await,
            gateway.session(session.id()).send(route, ()).await,
            gateway.room("a").send(route, ()).await,
        ];
        for sent in delivered {
            let kind = sent.unwrap_err().kind();
            assert_eq!(kind, DeliverErrorKind::Encode, "{route}");
        }
        let asked = [
            session.request(route, (), second).await,
            session.request_message(&message(), second).await,
        ];
        for asked in asked {
            let kind = asked.unwrap_err().kind();
            assert_eq!(kind, RequestErrorKind::Encode, "{route}");
        }
        let asked = [
            gateway.everybody().request(route, ()).err(),
            gateway.everybody().request_message(message()).err(),
        ];
        for error in asked {
            let kind = error.unwrap().kind();
            assert_eq!(kind, ControlErrorKind::Encode, "{route}");
        }
    }
    // Nothing of it has come, and what is no more than like them does.
    session.send("gaps", ()).unwrap();
    assert_eq!(client.recv_json().await.unwrap()["route"], "gaps");
    server.stop().await;
}

#[test]
fn a_route_by_which_nothing_can_come_is_refused_when_the_gateway_is_built() {
    let long = "x".repeat(257);
    for router in [
        Router::new().route("error", async || ()),
        Router::new().route("gap", async || ()),
        Router::new().route(&*long, async || ()),
        Router::new().prefix(&*long, async || ()),
    ] {
        let error = support::builder().router(router).build().unwrap_err();
        assert_eq!(error.kind(), BuildErrorKind::InvalidOption);
    }
}

#[tokio::test]
async fn the_routes_of_the_gateway_reach_no_handler() {
    let router = Router::new().fallback(async || Json("reached"));
    let server = Server::start(support::builder().router(router).build().unwrap()).await;
    let mut client = server.connect().await;
    for route in ["error", "gap"] {
        let answer = client.request(route, json!(null)).await.unwrap();
        assert_eq!(answer["data"]["code"], "unknown_route", "{route}");
    }
    assert_eq!(
        client.request("errors", json!(null)).await.unwrap()["data"],
        "reached"
    );
    server.stop().await;
}
