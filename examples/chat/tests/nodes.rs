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
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// All nodes sign with one.
const KEY: &str = "one key for all nodes, 32 bytes or more";
const PASSWORD: &str = "correct horse";

/// The chat on a port of its own, ended when the test ends, however it ends.
struct Chat(Child, SocketAddr);

impl Chat {
    fn start(broker: &str, presence: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_chat"))
            .args(["--listen", "127.0.0.1:0"])
            .env("BROKER_URL", broker)
            .env("CHAT_KEY", KEY)
            .env("CHAT_MODERATOR", PASSWORD)
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

    /// Comes in with a token that any node may have signed.
    async fn come(&self, token: &str) -> Client {
        let offered = format!("realtime.json, token.{token}");
        let request = Request::new("/ws").header("Sec-WebSocket-Protocol", &offered);
        request.connect(self.1).await.unwrap()
    }

    /// What the door answers: a token, and the id by which others know who has it.
    async fn login(&self, name: &str, password: Option<&str>) -> (String, String) {
        let body = json!({ "name": name, "password": password }).to_string();
        let head = "POST /login HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\
                    Content-Type: application/json\r\nContent-Length: ";
        let mut stream = TcpStream::connect(self.1).await.unwrap();
        let request = format!("{head}{}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        within("the answer to a login", read).await.unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        let text = |field: &str| body[field].as_str().unwrap().to_owned();
        let id = format!("{} {}", text("person"), text("name"));
        (text("token"), id)
    }
}

impl Chat {
    fn signal(&self, signal: &str) {
        let pid = self.0.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status();
        assert!(sent.unwrap().success());
    }
}

async fn join_lobby(client: &mut Client) -> Value {
    let lobby = json!({ "room": "room:lobby" });
    client.request("join", lobby).await.unwrap()["data"].clone()
}

/// Waits until the members of the lobby, in the order in which they came, are these.
async fn sees(client: &mut Client, members: &[&str]) {
    until("everybody is seen", async || {
        let lobby = json!({ "room": "room:lobby" });
        let answer = client.request("members", lobby).await.unwrap();
        let seen = answer["data"]["members"].as_array().unwrap().iter();
        let seen: Vec<_> = seen.map(|member| member["id"].as_str().unwrap()).collect();
        seen == members
    })
    .await;
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
    let (ann_token, ann_id) = here.login("Ann", Some(PASSWORD)).await;
    let (bob_token, bob_id) = here.login("Bob", None).await;
    let mut ann = here.come(&ann_token).await;
    // The token of the other node is as good.
    let mut bob = there.come(&bob_token).await;
    join_lobby(&mut ann).await;
    let told = next(&mut ann, "people").await;
    assert_eq!(told["joined"][0]["id"], ann_id);
    join_lobby(&mut bob).await;
    let told = next(&mut ann, "people").await;
    assert_eq!(told["joined"][0]["id"], bob_id);
    for client in [&mut ann, &mut bob] {
        sees(client, &[&ann_id, &bob_id]).await;
    }

    let said = json!({ "room": "lobby", "text": "hello", "ref": "1" });
    ann.send("say", said).await.unwrap();
    let line = next(&mut bob, "line").await;
    assert_eq!(
        (&line["name"], &line["text"]),
        (&json!("Ann"), &json!("hello"))
    );
    bob.close(1000, "").await.unwrap();
    let told = next(&mut ann, "people").await;
    assert_eq!(told["left"][0]["id"], bob_id);
    sees(&mut ann, &[&ann_id]).await;

    // What was said meanwhile is there for who comes back, on any node; so is what was before.
    let said = json!({ "room": "lobby", "text": "are you there?", "ref": "2" });
    ann.request("say", said).await.unwrap();
    let mut bob = here.come(&bob_token).await;
    assert_eq!(join_lobby(&mut bob).await["position"]["offset"], 2);
    let lines = bob.request("lines", json!({ "room": "lobby" })).await;
    let lines = lines.unwrap()["data"]["lines"].clone();
    assert_eq!(
        [&lines[0]["text"], &lines[1]["text"]],
        ["hello", "are you there?"]
    );

    // A moderator removes him, who is on the other node, and no node lets him in again.
    drop(bob);
    let mut bob = there.come(&bob_token).await;
    join_lobby(&mut bob).await;
    let remove = json!({ "room": "lobby", "id": bob_id });
    let refused = bob.request("remove", remove.clone()).await.unwrap();
    assert_eq!(refused["data"]["code"], "forbidden");
    let removed = ann.request("remove", remove).await.unwrap();
    assert_eq!(removed["route"], "remove", "{removed}");
    let (code, why) = bob.closed().await.unwrap();
    assert_eq!(code, 4500);
    assert!(why.contains("removed you from Lobby"), "{why}");
    for node in [&here, &there] {
        let mut bob = node.come(&bob_token).await;
        assert_eq!(join_lobby(&mut bob).await["code"], "removed");
    }
    sees(&mut ann, &[&ann_id]).await;
}

#[tokio::test]
async fn a_moderator_learns_that_a_node_has_not_answered_and_tries_again() {
    let redis = Redis::start().await.unwrap();
    let start = || Chat::start(&redis.url(), &redis.url());
    let (here, there) = (start(), start());
    let (ann_token, _) = here.login("Ann", Some(PASSWORD)).await;
    let (bob_token, bob_id) = here.login("Bob", None).await;
    let (mut ann, mut bob) = (here.come(&ann_token).await, there.come(&bob_token).await);
    join_lobby(&mut ann).await;
    join_lobby(&mut bob).await;

    there.signal("-STOP");
    let remove = json!({ "room": "lobby", "id": bob_id });
    let answer = ann.request("remove", remove.clone()).await.unwrap();
    assert_eq!(answer["data"]["code"], "unavailable", "{answer}");
    assert_eq!(answer["data"]["temporary"], true);
    // He may be there still, but he comes in nowhere else.
    let mut second = here.come(&bob_token).await;
    assert_eq!(join_lobby(&mut second).await["code"], "removed");

    there.signal("-CONT");
    until("the node has answered", async || {
        let answer = ann.request("remove", remove.clone()).await.unwrap();
        answer["route"] == "remove"
    })
    .await;
    assert_eq!(bob.closed().await.unwrap().0, 4500);
}
