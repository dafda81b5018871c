//! Identities that end, are shown anew, change and are revoked.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

#[path = "../support/mod.rs"]
mod support;

mod expiry;
mod meanwhile;
mod nodes;
#[cfg(all(feature = "broker-redis", feature = "revocation-redis"))]
mod redis;
mod revocation;
mod rooms;
mod tokens;
mod update;

use std::time::Duration;

use realtime::{Builder, Json, Router, Session};
use realtime_testkit::client::{Client, Request};
use serde_json::{Value, json};
use support::Server;
use tokens::{Token, Tokens};

/// Clients ask who they are, as their handlers see it.
fn builder(tokens: &Tokens) -> Builder {
    let who = async |session: Session| {
        let identity = session.identity();
        Json(json!({"roles": identity.roles(), "claims": identity.claims()}))
    };
    let rooms = async |session: Session| {
        let mut names: Vec<String> = session.rooms().iter().map(ToString::to_string).collect();
        names.sort();
        Json(names)
    };
    let router = Router::new().route("who", who).route("rooms", rooms);
    support::builder()
        .authenticator(tokens.clone())
        .router(router)
}

async fn with(server: &Server, token: &Token) -> Client {
    let request = Request::new(format!("/ws?{token}"));
    let mut client = request.connect(server.addr).await.unwrap();
    // From here on the session is in the hub.
    client.request("who", Value::Null).await.unwrap();
    client
}

/// The status with which a token is refused.
async fn refused(server: &Server, token: &Token) -> u16 {
    let request = Request::new(format!("/ws?{token}"));
    request.refused(server.addr).await.status
}

async fn show(client: &mut Client, token: &Token) -> Value {
    let data = json!({"token": token.to_string()});
    client.request("authenticate", data).await.unwrap()
}

async fn roles(client: &mut Client) -> Value {
    let answer = client.request("who", Value::Null).await.unwrap();
    answer["data"]["roles"].clone()
}

async fn close(client: &mut Client) -> (u16, String) {
    client.closed().await.unwrap()
}

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
