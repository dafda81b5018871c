//! Out of descriptors: connections wait, and the server outlives it.
#![cfg(target_os = "linux")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::{fs, path::Path, process::Command};

use realtime_testkit::{client::Client, servers::Process, wait::until};
use serde_json::json;
use tokio::net::TcpStream;

/// How many descriptors it has.
const DESCRIPTORS: usize = 32;

#[tokio::test]
async fn a_shortage_of_descriptors_is_survived_and_is_no_flood_of_lines() {
    let limited = format!("ulimit -n {DESCRIPTORS} && exec \"$0\" --listen 127.0.0.1:0");
    let mut server = Process::spawn(
        Command::new("sh").args(["-c", &limited, env!("CARGO_BIN_EXE_hyper-embed")]),
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("hyper-embed-descriptors.log"),
    )
    .unwrap();
    let address = server.listening().await.unwrap();
    let mut idle = Vec::new();
    for _ in 0..2 * DESCRIPTORS {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    let log = server.log().to_owned();
    let lines = || {
        let log = fs::read_to_string(&log).unwrap();
        log.lines()
            .filter(|line| line.contains("os error 24"))
            .count()
    };
    until("it is said", async || lines() > 0).await;
    drop(idle);
    let mut client = Client::connect(address).await.unwrap();
    let answer = client.request("echo", json!(1)).await.unwrap();
    assert_eq!(answer["data"], 1);
    // A few of those that waited may find it short again.
    assert!(lines() < 10, "{} lines", lines());
}
