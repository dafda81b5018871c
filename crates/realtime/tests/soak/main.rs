//! Sessions that connect, talk, stall, reset and vanish for as long as is wanted, at three nodes
//! whose RabbitMQ and Redis go down and up, and books that balance to the message: what was sent
//! has arrived, or was dropped and the client told of it, or was lost between nodes as the node
//! reported, or was under way to a session that ended without a close.
//!
//! Between sessions and nodes is what `REALTIME_TRANSPORT` says (`support/transport`), at the side of
//! the clients.
//!
//! Among the other tests it runs for a few seconds; `just soak` runs it for minutes. The same
//! program is the server, in a process of its own: it is started once more, with [`SERVER`] in its
//! environment.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]
#![allow(
    unreachable_pub,
    reason = "what a module offers to the others is public"
)]

mod account;
mod clients;
#[path = "../support/cluster.rs"]
mod cluster;
mod far;
mod outages;
mod peer;
mod plan;
mod process;
mod seen;
mod server;
mod slope;
#[path = "../support/mod.rs"]
mod support;
mod wire;
mod witness;

/// Set in the environment of the process that is the server, to the URLs of its backends.
const SERVER: &str = "REALTIME_SOAK_SERVER";

fn main() {
    if let Ok(urls) = std::env::var(SERVER) {
        let urls: Vec<_> = urls.split(' ').collect();
        return server::run(urls.as_slice().try_into().unwrap());
    }
    let test = libtest_mimic::Trial::test("books_balance_and_nothing_grows", || {
        clients::books_balance_and_nothing_grows();
        Ok(())
    });
    libtest_mimic::run(&libtest_mimic::Arguments::from_args(), vec![test]).exit();
}
