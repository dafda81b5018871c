//! WebSockets over HTTP/2 (RFC 8441): several sessions on one connection, beside plain requests.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod bounds;
mod hostile;
mod hosts;
mod kernel;
mod policies;
mod raw;
mod sessions;
#[path = "../support/mod.rs"]
mod support;
mod wire;

use realtime::{Gateway, Json, Router};
use serde_json::Value;
use support::Server;

fn router() -> Router {
    Router::new().route("echo", async |Json(data): Json<Value>| Json(data))
}

async fn server(gateway: Gateway) -> Server {
    Server::with(gateway, |serve| serve.http2()).await
}
