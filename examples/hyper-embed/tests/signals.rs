//! A supervisor's signal ends it in good order, and a balancer learns of it before.
#![cfg(unix)]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::{path::Path, process::Command};

use realtime_testkit::{
    client::{Client, ClientError, Request},
    servers::{Process, Signal},
    wait::within,
};
use serde_json::json;

#[tokio::test]
async fn while_it_drains_upgrades_get_503_and_then_it_ends() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hyper-embed"));
    let mut server = Process::spawn(
        command.args(["--listen", "127.0.0.1:0"]),
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("hyper-embed-drains.log"),
    )
    .unwrap();
    let address = server.listening().await.unwrap();
    let mut client = Client::connect(address).await.unwrap();
    let answer = client.request("echo", json!(1)).await.unwrap();
    assert_eq!(answer["data"], 1);
    server.signal(Signal::Terminate).unwrap();
    // As long as this client doesn't answer its close frame, it drains.
    let refused = within("a refusal", async {
        loop {
            match Request::new("/").connect(address).await {
                Ok(before_the_signal) => drop(before_the_signal),
                Err(ClientError::Refused(answer)) => return answer,
                Err(error) => panic!("expected a refusal; got {error}"),
            }
        }
    })
    .await;
    assert_eq!(refused.status, 503);
    let after: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!(after > 0);
    assert_eq!(client.closed().await.unwrap().0, 1001);
    assert_eq!(server.ended().await.unwrap().code(), Some(0));
}
