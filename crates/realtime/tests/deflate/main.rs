//! Messages that are compressed, for those who agree to it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

#[path = "../support/mod.rs"]
mod support;

mod audience;
mod clients;
mod doorstep;
mod hostile;
mod negotiation;
mod peer;
mod plain;
mod rooms;
mod takeover;

use std::time::Duration;

use realtime::{
    Builder, Identity, Json, Router, Session,
    auth::{AuthError, Authenticator},
    broker::LocalBroker,
    config::Compression,
    history::{MemoryHistory, Retention},
    presence::MemoryPresence,
    room::RoomRule,
};
use serde_json::Value;
use support::Server;

/// What browsers offer.
const OFFER: &str = "permessage-deflate; client_max_window_bits";
/// What is answered to that.
const NEVER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// The name in the query is who it is.
struct ByName;

impl Authenticator for ByName {
    async fn authenticate(
        &self,
        request: &axum::http::request::Parts,
    ) -> Result<Identity, AuthError> {
        Ok(Identity::new(request.uri.query().unwrap_or("nobody")))
    }
}

fn router() -> Router {
    let kept = Retention::new(100, Duration::from_secs(60)).unwrap();
    Router::new()
        .route("echo", async |Json(data): Json<Value>| Json(data))
        .route("secret.key", async |Json(data): Json<Value>| Json(data))
        .route("say", async |session: Session, Json(data): Json<Value>| {
            session.send("said", Json(data))
        })
        .room("open:{name}", RoomRule::open().publish("news"))
        .room(
            "kept:{name}",
            RoomRule::open().publish("news").history(kept),
        )
}

fn builder() -> Builder {
    realtime::builder()
        .authenticator(ByName)
        .router(router())
        .compression(Compression::default())
}

async fn start(builder: Builder) -> Server {
    Server::start(builder.build().unwrap()).await
}

/// Two nodes that know each other.
async fn pair(compression: Compression) -> [Server; 2] {
    let (broker, presence) = (LocalBroker::new(), MemoryPresence::new());
    let history = MemoryHistory::new();
    let node = async |id: &str| {
        let builder = builder().node_id(id.parse().unwrap());
        let builder = builder.compression(compression.clone());
        let builder = builder.broker(broker.clone()).presence(presence.clone());
        let gateway = builder.history(history.clone()).build().unwrap();
        gateway.start().await.unwrap();
        Server::start(gateway).await
    };
    [node("a").await, node("b").await]
}

/// Text that compresses well.
fn long() -> String {
    "so much ado ".repeat(400)
}

/// Text of so many bytes that compresses as text does.
fn prose(bytes: usize) -> String {
    let words = (0_u32..).map(|n| format!("{} ", n.wrapping_mul(2_654_435_761) >> 12));
    let mut text = String::new();
    for word in words {
        if text.len() >= bytes {
            break;
        }
        text += &word;
    }
    text.truncate(bytes);
    text
}
