//! Futures of the gateway that are dropped at each of their await points: nothing leaks, nothing
//! is left half done, and a second call does what the first would have.
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

mod calling;
mod drops;
mod identity;
mod sending;
mod slow;
mod starting;
mod stopping;
#[path = "../support/mod.rs"]
mod support;
