//! Many connections, with server and clients in two processes: a process may not have enough
//! descriptors for both, and one that is stopped can't be a client.
//!
//! The same program is both: the test starts it once more, with [`SERVER`] in its environment.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod client;
mod costs;
mod server;
mod stopped;

/// Set in the environment of the process that is the server.
const SERVER: &str = "REALTIME_TEST_SERVER";

fn main() {
    if let Ok(kind) = std::env::var(SERVER) {
        return server::run(&kind);
    }
    let tests = [
        (
            "ten_thousand_connections_leave_nothing_behind",
            client::ten_thousand_connections_leave_nothing_behind as fn(),
        ),
        (
            "limits_and_ends_take_little_memory_of_those_who_have_them",
            costs::limits_and_ends_take_little_memory_of_those_who_have_them,
        ),
        (
            "a_stopped_server_judges_no_client",
            stopped::a_stopped_server_judges_no_client,
        ),
    ];
    let tests = tests.map(|(name, test)| {
        libtest_mimic::Trial::test(name, move || {
            test();
            Ok(())
        })
    });
    libtest_mimic::run(&libtest_mimic::Arguments::from_args(), tests.into()).exit();
}
