//! One chat on two nodes, over a real RabbitMQ and a real Redis, and over Redis alone.
#![cfg(feature = "full")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use realtime_testkit::{
    client::{Client, Request},
    servers::{RabbitMq, Redis},
    wait::{until, within},
};
use serde_json::{Value, json};

/// The chat on a port of its own, ended when the test ends, however it ends.
struct Chat(Child, SocketAddr);

impl Chat {
    fn start(broker: &str, presence: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_chat"))
            .args(["--listen", "127.0.0.1:0"])
            .env("BROKER_URL", broker)
            .env("PRESENCE_URL", presence)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().trim_start_matches("listening on http://");
        let address = address.parse().unwrap();
        Self(child, address)
    }

    async fn join(&self, name: &str) -> Client {
        let request = Request::new(format!("/ws?person={name}&name={name}"));
        request.connect(self.1).await.unwrap()
    }
}

impl Drop for Chat {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// The next message on a route, whatever comes before it.
async fn next(client: &mut Client, route: &str) -> Value {
    within(route, async {
        loop {
            let message = client.recv_json().await.unwrap();
            if message["route"] == route {
                return message["data"].clone();
            }
        }
    })
    .await
}

#[tokio::test]
async fn two_nodes_are_one_chat() {
    let (rabbitmq, redis) = futures::try_join!(RabbitMq::start(), Redis::start()).unwrap();
    are_one_chat(&rabbitmq.url(), &redis.url()).await;
}

#[tokio::test]
async fn two_nodes_are_one_chat_over_redis_alone() {
    let redis = Redis::start().await.unwrap();
    are_one_chat(&redis.url(), &redis.url()).await;
}

async fn are_one_chat(broker: &str, presence: &str) {
    let (here, there) = (Chat::start(broker, presence), Chat::start(broker, presence));
    let mut ann = here.join("ann").await;
    assert_eq!(next(&mut ann, "joined").await["person"], "ann");
    let mut bob = there.join("bob").await;
    assert_eq!(next(&mut ann, "joined").await["person"], "bob");

    ann.send("say", json!({ "text": "hello", "ref": "1" }))
        .await
        .unwrap();
    let line = next(&mut bob, "line").await;
    assert_eq!(
        (&line["name"], &line["text"]),
        (&json!("ann"), &json!("hello"))
    );
    ann.send("here", json!({ "to": "bob" })).await.unwrap();
    assert_eq!(next(&mut bob, "here").await["person"], "ann");
    let everybody = json!({ "people": ["ann", "bob", "cid"] });
    let online = ann.request("online", everybody.clone()).await.unwrap();
    assert_eq!(online["data"], json!({ "people": ["ann", "bob"] }));

    bob.close(1000, "").await.unwrap();
    assert_eq!(next(&mut ann, "left").await["person"], "bob");
    until("only ann is online", async || {
        let online = ann.request("online", everybody.clone()).await.unwrap();
        online["data"] == json!({ "people": ["ann"] })
    })
    .await;
}
