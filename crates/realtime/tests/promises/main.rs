//! What the hot path promises, one module for each promise: whatever a host's stream, a handler, a
//! backend or another session does, everybody else is served as before.
//!
//! Nothing here measures time: what must not take long is counted in turns, polls and messages.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]
#![allow(
    unreachable_pub,
    reason = "what a module offers to the others is public"
)]

mod always_ready;
mod backends;
mod broken;
mod broker_streams;
mod calls;
mod codecs;
mod drain;
mod eager;
mod elsewhere;
mod ends;
mod eviction;
mod fairness;
mod farewells;
mod foreign_values;
mod forwarding;
mod gaps;
mod host;
mod moody;
mod neighbours;
mod outlived;
mod outsiders;
mod partial;
mod peaks;
mod read_ahead;
mod restarts;
mod runtimes;
mod shutdown;
mod slow_readers;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod unreadable;
mod uploads;
