//! Sessions are told what to do, and clients are asked, on whatever node they are.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

#[path = "../support/mod.rs"]
mod support;

#[cfg(feature = "broker-amqp")]
mod amqp;
mod answers;
mod bounds;
mod by_hand;
mod commands;
mod crowded;
mod hostile;
mod nodes;
#[cfg(feature = "broker-redis")]
mod redis;
mod requests;
mod stuck;

use realtime::{
    Builder, Identity, Json, Router, Session,
    auth::{AuthError, Authenticator},
    broker::LocalBroker,
    control::Receipt,
    node::NodeId,
};
use realtime_testkit::client::{Client, Request};
use serde_json::json;
use support::Server;

/// The name in the query is who it is, with a tenant before a slash.
struct ByName;

impl Authenticator for ByName {
    async fn authenticate(
        &self,
        request: &axum::http::request::Parts,
    ) -> Result<Identity, AuthError> {
        let name = request.uri.query().unwrap_or_default();
        let (tenant, id) = name.split_once('/').unwrap_or(("", name));
        Ok(Identity::new(id).with_tenant(tenant))
    }
}

fn builder() -> Builder {
    support::builder().authenticator(ByName).router(router())
}

fn router() -> Router {
    let rooms = async |session: Session| {
        let mut names: Vec<String> = session.rooms().iter().map(ToString::to_string).collect();
        names.sort();
        Json(names)
    };
    let enter = async |session: Session, Json(room): Json<String>| session.join(room).await;
    let id = async |session: Session| Json(session.id());
    Router::new()
        .route("rooms", rooms)
        .route("enter", enter)
        .route("id", id)
}

/// Nodes with one broker in this process.
async fn nodes<const N: usize>() -> [Server; N] {
    let broker = LocalBroker::new();
    let mut servers = Vec::new();
    for n in 0..N {
        let id: NodeId = format!("node-{n}").parse().unwrap();
        let builder = builder().node_id(id).broker(broker.clone());
        let gateway = builder.build().unwrap();
        gateway.start().await.unwrap();
        servers.push(Server::start(gateway).await);
    }
    servers.try_into().ok().unwrap()
}

async fn named(server: &Server, name: &str) -> Client {
    let request = Request::new(format!("/ws?{name}"));
    let mut client = request.connect(server.addr).await.unwrap();
    // From here on the session is in the hub.
    client.request("rooms", json!(null)).await.unwrap();
    client
}

async fn rooms(client: &mut Client) -> Vec<String> {
    let answer = client.request("rooms", json!(null)).await.unwrap();
    serde_json::from_value(answer["data"].clone()).unwrap()
}

/// How many sessions on which nodes, by the names of the nodes.
fn counts(receipt: &Receipt) -> Vec<(&str, u64)> {
    let nodes = receipt.nodes.iter();
    let mut counts: Vec<_> = nodes.map(|n| (n.node.id.as_str(), n.sessions)).collect();
    counts.sort_unstable();
    counts
}

fn missing(receipt: &Receipt) -> Vec<&str> {
    let mut names: Vec<_> = receipt.missing.iter().map(|n| n.id.as_str()).collect();
    names.sort_unstable();
    names
}
