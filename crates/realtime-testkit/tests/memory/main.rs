//! The client over memory, beside a gateway of each kind that handlers can meet.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod ends;
mod messages;
mod waits;

use realtime::{Builder, Gateway, Identity, Json, Router, error::DeliverError};
use realtime_testkit::memory::{TestClient, connect};
use serde_json::Value;

async fn chat(
    gateway: Gateway,
    identity: Identity,
    Json(line): Json<String>,
) -> Result<(), DeliverError> {
    let line = Json(&(identity.id(), line));
    gateway.broadcast("chat", line).await?;
    Ok(())
}

fn builder() -> Builder {
    let router = Router::new()
        .route("chat", chat)
        .route("echo", async |Json(data): Json<Value>| Json(data));
    realtime::builder().router(router)
}

async fn ann(gateway: &Gateway) -> TestClient {
    connect(gateway, Identity::new("ann")).await.unwrap()
}

async fn bob(gateway: &Gateway) -> TestClient {
    connect(gateway, Identity::new("bob")).await.unwrap()
}
