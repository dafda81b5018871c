//! The signals of a person and of a supervisor end the server in good order.
#![cfg(unix)]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::{path::Path, process::Command};

use realtime_testkit::{
    client::Client,
    servers::{Process, Signal},
};
use serde_json::json;

async fn ends_in_good_order(signal: Signal) {
    let log = format!("minimal-{signal:?}.log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_minimal"));
    let mut server = Process::spawn(
        command.arg("127.0.0.1:0"),
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(log),
    )
    .unwrap();
    let address = server.listening().await.unwrap();
    let mut client = Client::connect(address).await.unwrap();
    client.send("chat", json!("hi")).await.unwrap();
    assert_eq!(client.recv_json().await.unwrap()["data"], "hi");
    server.signal(signal).unwrap();
    assert_eq!(client.closed().await.unwrap().0, 1001);
    assert_eq!(server.ended().await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn sigterm_ends_it_in_good_order() {
    ends_in_good_order(Signal::Terminate).await;
}

#[tokio::test]
async fn ctrl_c_ends_it_in_good_order() {
    ends_in_good_order(Signal::Interrupt).await;
}
