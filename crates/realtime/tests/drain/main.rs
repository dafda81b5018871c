//! A node that ends without a storm, one that hands over sessions, and what balancers are told.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

#[path = "../support/mod.rs"]
mod support;

#[cfg(feature = "redis")]
mod balancer;
mod ends;
mod evenly;
mod presence;
mod probes;
mod rebalance;
#[cfg(feature = "redis")]
mod rolling;
mod slots;

use std::time::Duration;

use realtime::Gateway;
use realtime_testkit::{client::Client, wait::until};
use serde_json::Value;

use support::Server;

/// A server with so many clients.
async fn with_clients(gateway: Gateway, count: usize) -> (Server, Vec<Client>) {
    let server = Server::start(gateway).await;
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        clients.push(Client::connect(server.addr).await.unwrap());
    }
    until("all are open", async || {
        server.gateway.stats().open == count as u64
    })
    .await;
    (server, clients)
}

/// What a close reason says of when to come back.
fn slot(reason: &str) -> Option<Duration> {
    let said: Value = serde_json::from_str(reason).ok()?;
    Some(Duration::from_secs_f64(said["retry_after"].as_f64()?))
}
