//! Connections that are no sessions: a token in the first message, and refusals that a page can see.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

#[path = "../support/mod.rs"]
mod support;

mod as_sent;
mod bounds;
mod by_close;
mod credentials;
mod first;
mod hosts;
mod limits;
mod meanwhile;
mod refused;
mod settings;
mod tokens;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use realtime::{Builder, Gateway, Json, Router, Session};
use realtime_testkit::{
    client::{Client, ClientError, Request},
    wait::until,
};
use serde_json::{Value, json};
use support::Server;
use tokens::Tokens;
use tokio::{net::TcpStream, sync::Semaphore, task::JoinSet};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
/// How long a client has for its first message, where that isn't what is tested.
const PATIENT: Duration = Duration::from_secs(60);

fn router() -> Router {
    Router::new()
        .route("echo", async |Json(data): Json<Value>| Json(data))
        .route("who", async |session: Session| {
            Json(session.identity_key().id().to_owned())
        })
}

fn builder() -> Builder {
    support::builder()
        .authenticator(Tokens::default())
        .token_in_message(Some(PATIENT))
        .router(router())
}

async fn start(builder: Builder) -> Server {
    Server::start(builder.build().unwrap()).await
}

/// A connection that shows nothing.
async fn nobody(server: &Server) -> Client {
    Client::connect(server.addr).await.unwrap()
}

async fn with(server: &Server, token: &str) -> Client {
    let request = Request::new("/ws").header("Authorization", &format!("Bearer {token}"));
    request.connect(server.addr).await.unwrap()
}

fn text_frame(text: &str) -> Bytes {
    Client::<TcpStream>::text_frame(text)
}

/// Many who show nothing, and who come as fast as they can, each from an address of its own where a
/// proxy is believed. Each that is refused is so with this status.
fn crowd(server: SocketAddr, count: usize, status: u16) -> JoinSet<Option<Client>> {
    let at_once = Arc::new(Semaphore::new(200));
    let mut crowd = JoinSet::new();
    for n in 0..count {
        let from = format!("10.0.{}.{}", n / 256, n % 256);
        let request = Request::new("/ws").header("X-Forwarded-For", &from);
        let at_once = Arc::clone(&at_once);
        crowd.spawn(async move {
            let _turn = at_once.acquire().await.unwrap();
            match request.connect(server).await {
                Ok(client) => Some(client),
                Err(ClientError::Refused(answer)) => {
                    assert_eq!(answer.status, status);
                    None
                }
                Err(error) => panic!("{error}"),
            }
        });
    }
    crowd
}

fn first_message(token: &str) -> String {
    json!({"id": 1, "route": "authenticate", "data": {"token": token}}).to_string()
}

async fn show(client: &mut Client, token: &str) -> Value {
    client.send_text(&first_message(token)).await.unwrap();
    client.recv_json().await.unwrap()
}

async fn who(client: &mut Client) -> Value {
    client.request("who", Value::Null).await.unwrap()["data"].clone()
}

async fn code(client: &mut Client) -> u16 {
    client.closed().await.expect("a close frame").0
}

/// Nothing of a connection that became no session is left, nor of one that did.
async fn until_nothing_is_left(gateway: &Gateway) {
    until("nothing is left", async || {
        let stats = gateway.stats();
        stats.authenticating == 0 && stats.open == 0 && stats.assembling_bytes == 0
    })
    .await;
}

/// The clients leave, and the gateway ends, which waits for all of its tasks.
async fn end(server: Server, clients: impl Sized) {
    drop(clients);
    let report = server.gateway.shutdown().await;
    assert_eq!((report.aborted, report.tasks_left), (0, 0));
    server.stop().await;
}
