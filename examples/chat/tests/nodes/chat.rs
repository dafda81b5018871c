//! A node of the chat as a process, and what a page does.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, ExitStatus, Stdio},
};

use realtime_testkit::{
    client::{Client, Request},
    wait::{until, within},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// All nodes sign with one.
const KEY: &str = "one key for all nodes, 32 bytes or more";
pub(crate) const PASSWORD: &str = "correct horse";

/// The chat on a port of its own, ended when the test ends, however it ends.
pub(crate) struct Chat(Child, SocketAddr);

impl Chat {
    pub(crate) fn start(broker: &str, presence: &str) -> Self {
        Self::with([
            ("BROKER_URL", broker),
            ("CHAT_KEY", KEY),
            ("CHAT_LISTEN", "127.0.0.1:0"),
            ("CHAT_MODERATOR", PASSWORD),
            ("PRESENCE_URL", presence),
        ])
    }

    /// One that is told all by its environment.
    pub(crate) fn with<'a>(environment: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_chat"))
            .envs(environment)
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

    pub(crate) fn address(&self) -> SocketAddr {
        self.1
    }

    pub(crate) async fn come(&self, token: &str) -> Client {
        come(self.1, token).await
    }

    pub(crate) async fn login(&self, name: &str, password: Option<&str>) -> (String, String) {
        login(self.1, name, password).await
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.0.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// How it has ended, once it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }
}

impl Drop for Chat {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Comes in with a token that any node may have signed.
pub(crate) async fn come(to: SocketAddr, token: &str) -> Client {
    let offered = format!("realtime.json, token.{token}");
    let request = Request::new("/ws").header("Sec-WebSocket-Protocol", &offered);
    request.connect(to).await.unwrap()
}

/// What the door answers: a token, and the id by which others know who has it.
pub(crate) async fn login(at: SocketAddr, name: &str, password: Option<&str>) -> (String, String) {
    let body = json!({ "name": name, "password": password }).to_string();
    let head = "POST /login HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\
                Content-Type: application/json\r\nContent-Length: ";
    let mut stream = TcpStream::connect(at).await.unwrap();
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

pub(crate) async fn join_lobby(client: &mut Client) -> Value {
    let lobby = json!({ "room": "room:lobby" });
    client.request("join", lobby).await.unwrap()["data"].clone()
}

/// Waits until the members of the lobby, in the order in which they came, are these.
pub(crate) async fn sees(client: &mut Client, members: &[&str]) {
    until("everybody is seen", async || {
        let lobby = json!({ "room": "room:lobby" });
        let answer = client.request("members", lobby).await.unwrap();
        let seen = answer["data"]["members"].as_array().unwrap().iter();
        let seen: Vec<_> = seen.map(|member| member["id"].as_str().unwrap()).collect();
        seen == members
    })
    .await;
}

/// The next message on a route, whatever comes before it.
pub(crate) async fn next(client: &mut Client, route: &str) -> Value {
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
