//! Clients that speak different protocols on one gateway.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

#[path = "../support/mod.rs"]
mod support;

mod batches;
mod choice;
mod doorstep;
mod limits;
mod nodes;
mod openings;
#[cfg(feature = "codec-msgpack")]
mod packed;
mod slang;
mod together;

use std::time::Duration;

use realtime::{
    Builder, Identity, Json, Router, Session,
    auth::{AuthError, Authenticator},
    history::Retention,
    room::RoomRule,
};
use realtime_testkit::client::{Client, Request};
use serde_json::{Value, json};
use slang::{Loud, Slang};
use support::Server;

/// The name in the query is who it is.
struct ByName;

impl Authenticator for ByName {
    async fn authenticate(
        &self,
        request: &axum::http::request::Parts,
    ) -> Result<Identity, AuthError> {
        Ok(Identity::new(request.uri.query().unwrap_or_default()).with_tenant("acme"))
    }
}

fn router() -> Router {
    let kept = Retention::new(100, Duration::from_secs(60)).unwrap();
    Router::new()
        .route("echo", async |Json(data): Json<Value>| Json(data))
        .route("who", async |session: Session| {
            Json(session.identity_key().id().to_owned())
        })
        .room("open:{name}", RoomRule::open().publish("news"))
        .room(
            "kept:{name}",
            RoomRule::open().publish("news").history(kept),
        )
}

/// JSON is its own; envelopes that shout and slang are spoken, too.
fn builder() -> Builder {
    support::builder()
        .authenticator(ByName)
        .codec(Loud)
        .dialect(Slang::default())
        .router(router())
}

async fn start(builder: Builder) -> Server {
    Server::start(builder.build().unwrap()).await
}

/// One who speaks this, once its session is open.
async fn speaking(server: &Server, protocol: &str, name: &str) -> Client {
    let request = Request::new(format!("/ws?{name}"));
    let request = request.header("Sec-WebSocket-Protocol", protocol);
    let mut client = request.connect(server.addr).await.unwrap();
    match protocol {
        "slang" => assert!(hear(&mut client).await.starts_with("welcome "), "{name}"),
        "loud" => {
            client
                .send_text(r#"!{"id":0,"route":"who"}"#)
                .await
                .unwrap();
            assert!(hear(&mut client).await.starts_with("!{\"id\":0"));
        }
        _ => assert_eq!(
            client.request("who", Value::Null).await.unwrap()["data"],
            name
        ),
    }
    client
}

/// The next message, as it was written.
async fn hear(client: &mut Client) -> String {
    match client.recv().await.unwrap() {
        realtime_websocket::Event::Text(text) => text.as_str().to_owned(),
        other => panic!("{other:?}"),
    }
}
