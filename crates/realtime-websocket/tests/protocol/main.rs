//! The protocol through the public API.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod against_tungstenite;
mod conversations;
mod stream;
mod violations;
