//! Ten thousand connections, with server and clients in two processes: a process may not have
//! enough descriptors for both.
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
mod server;

/// Set in the environment of the process that is the server.
const SERVER: &str = "REALTIME_TEST_SERVER";

fn main() {
    if std::env::var_os(SERVER).is_some() {
        return server::run();
    }
    let test = libtest_mimic::Trial::test("ten_thousand_connections_leave_nothing_behind", || {
        client::ten_thousand_connections_leave_nothing_behind();
        Ok(())
    });
    libtest_mimic::run(&libtest_mimic::Arguments::from_args(), vec![test]).exit();
}
