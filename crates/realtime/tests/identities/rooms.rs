//! Rules of rooms are asked again when an identity changes.

use realtime::{ClientError, Identity, Json, Router, Session, extract::RoomParam, room::RoomRule};
use serde_json::{Value, json};

use super::{
    builder, show,
    support::Server,
    tokens::{Token, Tokens},
    with,
};

async fn may(session: Session, RoomParam(role): RoomParam<String>) -> Result<(), ClientError> {
    if role == "panics" && session.identity().has_role("old") {
        return Ok(());
    }
    assert!(role != "panics", "on purpose");
    match session.identity().has_role(&role) {
        true => Ok(()),
        false => Err(ClientError::new("forbidden", "it is for those of a role")),
    }
}

/// What is left of the rooms that it has joined, and what its client was told.
async fn after(fresh: &Token) -> (Value, Vec<Value>) {
    let enter = async |session: Session| session.join("kept:in").await;
    let rooms = async |session: Session| {
        let mut names: Vec<String> = session.rooms().iter().map(ToString::to_string).collect();
        names.sort();
        Json(names)
    };
    let router = Router::new()
        .route("enter", enter)
        .route("all", rooms)
        .room("of:{role}", RoomRule::allow(may))
        .room("once:{role}", RoomRule::allow(may).asked_once())
        .room("kept:in", RoomRule::new());
    let server = Server::start(builder(&Tokens::default()).router(router).build().unwrap()).await;
    let request = realtime_testkit::client::Request::new(format!(
        "/ws?{}",
        Token::of("ann").roles("old+staff")
    ));
    let mut client = request.connect(server.addr).await.unwrap();
    for room in ["of:old", "of:staff", "of:panics", "once:old"] {
        let answer = client.request("join", json!({"room": room})).await.unwrap();
        assert_eq!(answer["route"], "join", "{answer}");
    }
    client.request("enter", Value::Null).await.unwrap();
    let data = json!({"id": "t", "route": "authenticate", "data": {"token": fresh.to_string()}});
    client.send_text(&data.to_string()).await.unwrap();
    let mut told = Vec::new();
    loop {
        let message = client.recv_json().await.unwrap();
        if message["id"] == "t" {
            break;
        }
        told.push(message);
    }
    let left = client.request("all", Value::Null).await.unwrap();
    (left["data"].clone(), told)
}

#[tokio::test]
async fn whom_a_rule_refuses_now_is_removed_and_told() {
    let (left, told) = after(&Token::of("ann").roles("staff")).await;
    assert_eq!(left, json!(["kept:in", "of:staff", "once:old"]));
    let mut rooms: Vec<_> = told
        .iter()
        .map(|told| told["data"]["room"].clone())
        .collect();
    rooms.sort_by_key(ToString::to_string);
    assert_eq!(rooms, ["of:old", "of:panics"]);
    assert!(told.iter().all(|told| told["route"] == "removed"));
}

#[tokio::test]
async fn who_is_as_before_stays_everywhere() {
    let (left, told) = after(&Token::of("ann").roles("old+staff")).await;
    assert_eq!(left.as_array().unwrap().len(), 5);
    assert!(told.is_empty(), "{told:?}");
    let server = Server::start(builder(&Tokens::default()).build().unwrap()).await;
    let mut client = with(&server, &Token::of("ann")).await;
    show(&mut client, &Token::of("ann")).await;
    assert_ne!(Identity::new("ann"), Identity::new("ann").with_role("x"));
}
