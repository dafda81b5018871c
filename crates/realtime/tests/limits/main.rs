//! Limits: how much clients may send, how many of them there may be, and how often they may try.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

#[path = "../support/mod.rs"]
mod support;

mod addresses;
mod failures;
mod identities;
mod mistakes;
#[cfg(all(feature = "broker-redis", feature = "presence-redis"))]
mod redis;
mod traffic;
mod upgrades;

use realtime::{
    Builder, Identity, Json, Router,
    auth::{AuthError, Authenticator},
    config::Limits,
};
use realtime_testkit::client::{Client, Request};
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

fn builder(set: impl FnOnce(&mut Limits)) -> Builder {
    let mut limits = Limits::default();
    set(&mut limits);
    let echo = async |Json(data): Json<serde_json::Value>| Json(data);
    let router = Router::new().route("echo", echo);
    let builder = support::builder().authenticator(ByName).router(router);
    builder.limits(limits)
}

async fn server(set: impl FnOnce(&mut Limits)) -> Server {
    Server::start(builder(set).build().unwrap()).await
}

async fn named(server: &Server, name: &str) -> Client {
    let request = Request::new(format!("/ws?{name}"));
    request.connect(server.addr).await.unwrap()
}

/// Connects as soon as it may: a place may be free a little after its session has ended.
async fn once_free(server: &Server, request: &Request) -> Client {
    let mut client = None;
    realtime_testkit::wait::until("there is a place", async || {
        client = request.connect(server.addr).await.ok();
        client.is_some()
    })
    .await;
    client.unwrap()
}
