//! The client against a gateway over TCP, and against a server that says what the test wants.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod after;
mod burst;
mod codec;
#[cfg(feature = "deflate")]
mod compression;
mod connection;
mod ends;
mod extensions;
mod logs;
mod patience;
mod questions;
mod requests;
mod rooms;
mod scripted;
mod server;
#[cfg(feature = "rustls")]
mod tls;
mod tokens;

use std::time::Duration;

use realtime_client::{Client, ClientBuilder};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A client that comes back soon.
fn quick(port: u16) -> ClientBuilder {
    Client::builder(format!("ws://127.0.0.1:{port}/ws")).backoff(20 * MS, 100 * MS)
}
