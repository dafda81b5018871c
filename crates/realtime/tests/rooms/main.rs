//! Rooms: who is in them, what they get and in which order, on one node and on several.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

#[path = "../support/mod.rs"]
mod support;

mod anew;
mod cut_off;
mod history;
mod inbox;
mod membership;
mod nodes;
mod order;
mod presence;
#[cfg(all(feature = "broker-redis", feature = "history-redis"))]
mod redis;
mod rules;
mod troubles;

use realtime::{
    Builder, Identity, Json, Router, Session,
    auth::{AuthError, Authenticator},
    error::{JoinError, JoinErrorKind},
};
use realtime_testkit::client::{Client, Request};
use serde_json::{Value, json};
use support::Server;

/// The name in the query is who it is, with a tenant before a slash.
struct ByName;

impl Authenticator for ByName {
    async fn authenticate(
        &self,
        request: &axum::http::request::Parts,
    ) -> Result<Identity, AuthError> {
        let name = request.uri.query().unwrap_or_default();
        let (tenant, id) = name.split_once('/').unwrap_or(("", name));
        Ok(Identity::new(id).with_tenant(tenant))
    }
}

/// Clients join and leave by themselves, and ask what they are in.
fn builder() -> Builder {
    let join = async |session: Session, Json(room): Json<String>| {
        let joined = session.join(room).await;
        Json(joined.map_or_else(|error| kind(&error), |()| "joined"))
    };
    let leave = async |session: Session, Json(room): Json<String>| Json(session.leave(room));
    let rooms = async |session: Session| {
        let mut names: Vec<String> = session.rooms().iter().map(ToString::to_string).collect();
        names.sort();
        Json(names)
    };
    let router = Router::new()
        .route("enter", join)
        .route("exit", leave)
        .route("rooms", rooms);
    support::builder().authenticator(ByName).router(router)
}

fn kind(error: &JoinError) -> &'static str {
    match error.kind() {
        JoinErrorKind::TooManyRooms => "too many",
        JoinErrorKind::NodeFull => "full",
        JoinErrorKind::InvalidRoom => "invalid",
        _ => "other",
    }
}

async fn named(server: &Server, name: &str) -> Client {
    let request = Request::new(format!("/ws?{name}"));
    request.connect(server.addr).await.unwrap()
}

async fn in_rooms(server: &Server, name: &str, rooms: &[&str]) -> Client {
    let mut client = named(server, name).await;
    for room in rooms {
        assert_eq!(ask(&mut client, "enter", json!(room)).await, "joined");
    }
    client
}

/// The data of the answer, before which nothing comes.
async fn ask(client: &mut Client, route: &str, data: Value) -> Value {
    let question = json!({"id": 1, "route": route, "data": data});
    client.send_text(&question.to_string()).await.unwrap();
    let answer = client.recv_json().await.unwrap();
    assert_eq!(answer["id"], 1, "it isn't the answer: {answer}");
    answer["data"].clone()
}

/// The next message: its room and its data.
async fn next(client: &mut Client) -> (Option<String>, Value) {
    let message = client.recv_json().await.unwrap();
    let room = message["room"].as_str().map(str::to_owned);
    (room, message["data"].clone())
}

/// Nothing else has come to the client: its next message is the answer to its question.
async fn expect_nothing(client: &mut Client) {
    ask(client, "rooms", Value::Null).await;
}
