//! The page for operators: who gets to it, what it shows, and what it does.
#![cfg(feature = "admin")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod acts;
mod guards;
mod hosts;
mod looks;
mod many;
mod nodes;
mod taps;

#[path = "../support/mod.rs"]
mod support;

use std::{net::SocketAddr, ops::Deref};

use axum::http::request::Parts;
use realtime::{
    Builder, Gateway, Identity, Json, Router, Session,
    admin::{Admin, Unguarded},
    auth::{AuthError, Authenticator, Credentials},
    room::RoomRule,
};
use realtime_testkit::{
    client::{Client, Request},
    wait::within,
};
use serde_json::{Value, json};

/// A token is who it is, with a tenant before a slash; and two that break it.
#[derive(Clone)]
struct ByName(Credentials);

impl ByName {
    fn new() -> Self {
        Self(Credentials::bearer().from_cookie("who"))
    }
}

impl Authenticator for ByName {
    async fn authenticate(&self, request: &Parts) -> Result<Identity, AuthError> {
        let token = self.0.require(request)?;
        self.authenticate_token(token).await
    }

    async fn authenticate_token(
        &self,
        token: realtime::auth::Token,
    ) -> Result<Identity, AuthError> {
        let name = token.expose().trim_end_matches("~s3cret");
        let (tenant, id) = name.split_once('/').unwrap_or(("", name));
        match id {
            "away" => Err(AuthError::unavailable("the directory is away")),
            "broken" => panic!("the directory is broken"),
            "wrong" => Err(AuthError::unauthorized("expected a name")),
            // A good token of somebody who is no operator any more.
            "root~demoted" => Ok(Identity::new("root")),
            "root" => Ok(Identity::new(id).with_role("admin")),
            _ => Ok(Identity::new(id).with_tenant(tenant)),
        }
    }

    fn accepts_tokens(&self) -> bool {
        true
    }

    fn credentials(&self) -> Option<&Credentials> {
        Some(&self.0)
    }
}

fn builder() -> Builder {
    let enter = async |session: Session, Json(room): Json<String>| session.join(room).await;
    let router = Router::new()
        .route("echo", async |Json(said): Json<Value>| Json(said))
        .route("enter", enter)
        .room("open", RoomRule::open())
        .route("say", async |gateway: Gateway, Json(said): Json<Value>| {
            gateway.broadcast("said", Json(&said)).await.map(drop)
        });
    realtime::builder()
        .authenticator(ByName::new())
        .router(router)
}

/// A server with the page under `/admin`.
struct Server(support::Server);

impl Deref for Server {
    type Target = support::Server;

    fn deref(&self) -> &support::Server {
        &self.0
    }
}

impl Server {
    async fn start(gateway: Gateway) -> Self {
        Self::with(gateway, |admin| admin).await
    }

    async fn with(gateway: Gateway, prepare: impl FnOnce(Unguarded) -> Unguarded) -> Self {
        let admin = prepare(Admin::of(&gateway))
            .guard(ByName::new(), |who| who.has_role("admin"))
            .unwrap();
        let app = axum::Router::new()
            .nest_service("/admin", admin)
            .route_service("/ws", gateway.clone());
        Self(support::Server::of(app, gateway, |server| server).await)
    }

    /// A client, once its session is in the hub.
    async fn client(&self, name: &str) -> Client {
        let mut client = token(Request::new("/ws"), name)
            .connect(self.addr)
            .await
            .unwrap();
        client.request("echo", json!(null)).await.unwrap();
        client
    }

    /// An operator's page, as far as it speaks with the server.
    async fn page(&self) -> Page {
        let asked = token(Request::new("/admin/ws"), "root");
        Page(asked.connect(self.addr).await.unwrap())
    }

    /// What is on a path for somebody: status, headers and body.
    async fn get(&self, path: &str, name: Option<&str>) -> (u16, String) {
        self.ask("GET", path, name).await
    }

    async fn ask(&self, method: &str, path: &str, name: Option<&str>) -> (u16, String) {
        let shown = name.map_or(String::new(), |name| {
            format!("Authorization: Bearer {name}\r\n")
        });
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{shown}Connection: close\r\n\r\n",
            self.addr
        );
        let answer = raw(self.addr, &request).await;
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer)
    }

    async fn json(&self, path: &str) -> Value {
        let (status, answer) = self.get(path, Some("root")).await;
        assert_eq!(status, 200, "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }

    async fn stop(self) {
        self.0.stop().await;
    }
}

async fn raw(addr: SocketAddr, request: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("the answer", stream.read_to_string(&mut answer))
        .await
        .unwrap();
    answer
}

fn token(request: Request, name: &str) -> Request {
    request.header("Authorization", &format!("Bearer {name}"))
}

/// Speaks as the page does.
struct Page(Client);

impl Page {
    async fn ask(&mut self, route: &str, data: Value) -> Value {
        let answer = self.0.request(route, data).await.unwrap();
        assert!(answer["error"].is_null(), "{answer}");
        answer["data"].clone()
    }

    /// The code with which it is refused.
    async fn refused(&mut self, route: &str, data: Value) -> String {
        let answer = self.0.request(route, data).await.unwrap();
        let code = answer
            .pointer("/data/code")
            .or(answer.pointer("/error/code"));
        code.unwrap_or_else(|| panic!("{answer}"))
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// The next message on a route.
    async fn on(&mut self, route: &str) -> Value {
        loop {
            let message = self.0.recv_json().await.unwrap();
            if message["route"] == route {
                return message["data"].clone();
            }
        }
    }

    async fn closed(&mut self) -> u16 {
        self.0.closed().await.unwrap().0
    }
}
