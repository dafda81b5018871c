//! The example as a process of its own, and what a browser does with it.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "shared by test files that use a part of it each"
)]

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use realtime_testkit::{
    client::{Client, Request},
    wait::within,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub const PASSWORD: &str = "correct horse";
const KEY: &str = "one key for all nodes, 32 bytes or more";

/// A node on a port of its own, ended when the test ends, however it ends.
pub struct Node(Child, pub SocketAddr);

impl Node {
    /// Tokens live for so many seconds, and the counter counts that often, in milliseconds.
    pub fn start(life: u32, tick: u32) -> Self {
        Self::spawn(command(life, tick))
    }

    /// One of several.
    pub fn over(redis: &str) -> Self {
        let mut command = command(300, 1000);
        command.env("REDIS_URL", redis);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().trim_start_matches("listening on http://");
        let address = address.parse();
        Self(child, address.unwrap())
    }

    pub async fn sign_in(&self) -> Browser {
        let answer = self.login("ada", PASSWORD).await;
        assert_eq!(answer.status, 200);
        Browser::of(self.1, &answer)
    }

    pub async fn login(&self, name: &str, password: &str) -> Answer {
        let body = json!({ "name": name, "password": password });
        post(self.1, "/login", "", &body.to_string()).await
    }

    /// The status with which a page with this token is refused.
    pub async fn refuses(&self, token: &str) -> u16 {
        upgrade(token).refused(self.1).await.status
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// The example, with nothing of this process's own environment that it would listen to.
pub fn command(life: u32, tick: u32) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auth-jwt"));
    command
        .args(["--listen", "127.0.0.1:0"])
        .args(["--token-life", &life.to_string()])
        .args(["--tick", &tick.to_string()])
        .env("AUTH_KEY", KEY)
        .env("AUTH_PASSWORD", PASSWORD)
        .env_remove("REDIS_URL")
        .stderr(Stdio::null());
    command
}

/// Somebody who is signed in: a token in memory, and a cookie.
#[derive(Clone)]
pub struct Browser {
    node: SocketAddr,
    pub token: String,
    cookie: String,
}

impl Browser {
    fn of(node: SocketAddr, answer: &Answer) -> Self {
        Self {
            node,
            token: answer.body["token"].as_str().unwrap().to_owned(),
            cookie: answer.cookie.clone().unwrap(),
        }
    }

    pub async fn connect(&self) -> Client {
        self.connect_to(self.node).await
    }

    pub async fn connect_to(&self, node: SocketAddr) -> Client {
        upgrade(&self.token).connect(node).await.unwrap()
    }

    /// The status of the answer; where it is good, it has the tokens from it.
    pub async fn refresh(&mut self) -> u16 {
        let answer = post(self.node, "/refresh", &self.cookie, "").await;
        if answer.status == 200 {
            *self = Self::of(self.node, &answer);
        }
        answer.status
    }

    pub async fn post(&self, path: &str) -> Answer {
        post(self.node, path, &self.cookie, "").await
    }
}

fn upgrade(token: &str) -> Request {
    let offered = format!("realtime.json, token.{token}");
    Request::new("/ws").header("Sec-WebSocket-Protocol", &offered)
}

pub struct Answer {
    pub status: u16,
    pub head: String,
    /// As it is sent back: its name and its value.
    pub cookie: Option<String>,
    pub body: Value,
}

pub async fn post(node: SocketAddr, path: &str, headers: &str, body: &str) -> Answer {
    let (cookie, line) = match headers.strip_prefix("__Host-") {
        Some(_) => (format!("Cookie: other=1; {headers}\r\n"), ""),
        None => (String::new(), headers),
    };
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n{cookie}{line}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(node).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    within("the answer to a POST", read).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let set = head
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "));
    Answer {
        status,
        head: head.to_owned(),
        cookie: set.map(|set| set.split(';').next().unwrap().to_owned()),
        body: serde_json::from_str(body).unwrap_or_default(),
    }
}

/// The close code, past everything that comes before.
pub async fn closed(client: &mut Client) -> u16 {
    within("the end of a connection", client.closed())
        .await
        .unwrap()
        .0
}
