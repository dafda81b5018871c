//! The signals of a person and of a supervisor end the server in good order.
#![cfg(unix)]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use realtime_testkit::{client::Client, wait::until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

/// Killed when the test ends, if it hasn't ended by itself.
struct Minimal(Child, SocketAddr);

impl Minimal {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_minimal"))
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().trim_start_matches("listening on http://");
        let address = address.parse().unwrap();
        Self(child, address)
    }
}

impl Drop for Minimal {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

async fn ends_in_good_order(signal: Signal) {
    let mut server = Minimal::start();
    let mut client = Client::connect(server.1).await.unwrap();
    client.send("chat", json!("hi")).await.unwrap();
    assert_eq!(client.recv_json().await.unwrap()["data"], "hi");
    kill_process(Pid::from_child(&server.0), signal).unwrap();
    assert_eq!(client.closed().await.unwrap().0, 1001);
    let mut status = None;
    until("it has ended", async || {
        status = server.0.try_wait().unwrap();
        status.is_some()
    })
    .await;
    assert_eq!(status.unwrap().code(), Some(0), "{status:?}");
}

#[tokio::test]
async fn sigterm_ends_it_in_good_order() {
    ends_in_good_order(Signal::TERM).await;
}

#[tokio::test]
async fn ctrl_c_ends_it_in_good_order() {
    ends_in_good_order(Signal::INT).await;
}
