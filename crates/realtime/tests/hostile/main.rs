//! Hostile and broken peers, over raw sockets: what each of them gets, and that nobody else notices.
//!
//! Every test has a [`support::Server`] with a bystander, who is answered all the while. In the end
//! nothing has panicked, and no line of the log holds what it may not.
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

mod admission;
mod backpressure;
mod bystander;
mod clock;
mod frames;
mod handshake;
mod hooks;
mod http;
mod load;
mod log;
mod messages;
mod support;
