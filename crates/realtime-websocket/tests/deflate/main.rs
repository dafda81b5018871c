//! Compression through the public API.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod against_miniz;
mod bombs;
mod conversations;
mod negotiation;
mod peers;
mod round_trips;
mod rules;
