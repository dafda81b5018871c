//! The shop as a process of its own, and what a browser does with it.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "shared by test files that use a part of it each"
)]

use std::{net::SocketAddr, path::Path, process::Command};

use realtime_testkit::{
    client::{Client, Request},
    servers::Process,
    wait::within,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub const PASSWORD: &str = "correct horse";

/// A shop on a port of its own, which ends with the test.
pub struct Shop(Process, pub SocketAddr);

impl Shop {
    /// Its log has this name; logins live for so many seconds.
    pub async fn start(name: &str, life: u32) -> Self {
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("shop-{name}.log"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_axum-existing-app"));
        command
            .args(["--listen", "127.0.0.1:0"])
            .args(["--login-life", &life.to_string()])
            .env("SHOP_PASSWORD", PASSWORD);
        let mut process = Process::spawn(&mut command, log).unwrap();
        let address = process.listening().await.unwrap();
        Self(process, address)
    }

    pub async fn sign_in(&self, name: &str) -> Browser {
        let answer = self.try_to_sign_in(name, PASSWORD).await;
        let cookie = answer.cookie.unwrap();
        Browser {
            shop: self.1,
            cookie,
        }
    }

    pub async fn try_to_sign_in(&self, name: &str, password: &str) -> Answer {
        let body = json!({ "name": name, "password": password });
        call(self.1, "POST", "/api/login", "", Some(body)).await
    }
}

/// Somebody who is signed in.
pub struct Browser {
    shop: SocketAddr,
    cookie: String,
}

impl Browser {
    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        call(self.shop, method, path, &self.cookie, body).await
    }

    /// The staff moves an order on.
    pub async fn move_on(&self, id: u64, to: &str) {
        let body = json!({ "to": to });
        let answer = self
            .call("PATCH", &format!("/api/orders/{id}"), Some(body))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    pub async fn connect(&self) -> Client {
        self.upgrade("http://gateway.test")
            .connect(self.shop)
            .await
            .unwrap()
    }

    /// What a page of this origin asks for, with the cookie.
    pub fn upgrade(&self, origin: &str) -> Request {
        Request::new("/ws")
            .header("Cookie", &self.cookie)
            .header("Origin", origin)
    }
}

pub struct Answer {
    pub status: u16,
    /// As it is sent back: its name and its value.
    pub cookie: Option<String>,
    pub body: Value,
}

async fn call(
    shop: SocketAddr,
    method: &str,
    path: &str,
    cookie: &str,
    body: Option<Value>,
) -> Answer {
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\
         Cookie: other=1; {cookie}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(shop).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    within("the answer of the API", read).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let set = head
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "));
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        cookie: set.map(|set| set.split(';').next().unwrap().to_owned()),
        body: serde_json::from_str(body).unwrap_or_default(),
    }
}
