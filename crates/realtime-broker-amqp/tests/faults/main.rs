//! Everything that can happen to RabbitMQ and to the way there, on a real one.
//!
//! `FAULT_ROUNDS` says how often the repeated ones are repeated: `just test-long`.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod member;
mod memory;
mod messages;
mod network;
mod queue;
mod server;
mod start;
