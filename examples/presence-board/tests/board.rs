//! The program over a real socket.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::{path::Path, process::Command};

use realtime_testkit::{
    client::{Client, Request},
    servers::Process,
};
use serde_json::{Value, json};

/// The next message on a route.
async fn heard(client: &mut Client, route: &str) -> Value {
    loop {
        let message = client.recv_json().await.unwrap();
        if message["route"] == route {
            return message["data"].clone();
        }
    }
}

#[tokio::test]
async fn somebody_comes_and_goes_to_a_place_and_another_one_sees_it() {
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("presence-board.log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_presence-board"));
    command
        .args(["--listen", "127.0.0.1:0"])
        .env_remove("BROKER_URL")
        .env_remove("PRESENCE_URL");
    let mut server = Process::spawn(&mut command, log).unwrap();
    let address = server.listening().await.unwrap();
    let come = async |name: &str| {
        let request = Request::new(format!("/ws?name={name}"));
        request.connect(address).await.unwrap()
    };
    let mut ann = come("Ann").await;
    let board = json!({ "room": "board" });
    let joined = ann.request("join", board).await.unwrap();
    assert_eq!(joined["route"], "join");
    let mut bob = come("Bob").await;
    let online = loop {
        let change = heard(&mut ann, "changed").await;
        if change["id"] == "Bob" {
            break change;
        }
    };
    let said = (&online["group"], &online["is_here"]);
    assert_eq!(said, (&json!("online"), &json!(true)));

    assert_eq!(
        bob.request("go", json!("library")).await.unwrap()["route"],
        "go"
    );
    let went = heard(&mut ann, "went").await;
    assert_eq!(went, json!({ "id": "Bob", "place": "library" }));
    let place = ann.request("look", Value::Null).await.unwrap()["data"].clone();
    assert_eq!(place["library"][0]["id"], "Bob");
    assert_eq!(place["online"].as_array().unwrap().len(), 2);
}
