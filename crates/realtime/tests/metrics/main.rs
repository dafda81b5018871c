//! Every metric moves where something happens that moves it, as an exporter for Prometheus sees it.
#![cfg(feature = "metrics")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

#[path = "../support/mod.rs"]
mod support;

mod backends;
mod broken;
#[cfg(feature = "deflate")]
mod compression;
mod connections;
mod ends;
mod faults;
mod identities;
mod late;
mod messages;
mod nodes;
mod queues;
mod refusals;
mod rooms;
mod scrape;
mod sessions;
mod table;
mod values;

use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::{Duration, SystemTime},
};

use realtime::{
    Builder, Identity, Json, Router,
    auth::{AuthError, Authenticator, Token},
};
use realtime_testkit::client::{Client, Request};
use scrape::Metrics;
use serde_json::Value;
use support::Server;

/// The name in the query is who it is; the token of nobody is wrong, one that is old has ended, one that
/// is brief soon does, and of one that is broken nothing can be found out.
#[derive(Clone, Copy)]
struct ByName;

impl ByName {
    fn of(name: &str) -> Result<Identity, AuthError> {
        match name {
            "nobody" => Err(AuthError::unauthorized("nobody's")),
            "old" => Err(AuthError::expired("it has ended")),
            "away" => Err(AuthError::unavailable("the issuer is away")),
            "broken" => panic!("as it should"),
            "brief" => {
                let soon = SystemTime::now() + Duration::from_secs(1);
                Ok(Identity::new(name).with_expires_at(soon))
            }
            name => Ok(Identity::new(name)),
        }
    }
}

impl Authenticator for ByName {
    async fn authenticate(
        &self,
        request: &axum::http::request::Parts,
    ) -> Result<Identity, AuthError> {
        Self::of(request.uri.query().unwrap_or_default())
    }

    async fn authenticate_token(&self, token: Token) -> Result<Identity, AuthError> {
        Self::of(token.expose())
    }

    fn accepts_tokens(&self) -> bool {
        true
    }
}

/// A gateway with a name of its own, by which its metrics are told from those of other tests.
fn builder() -> Builder {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    scrape::install();
    let echo = async |Json(data): Json<Value>| Json(data);
    support::builder()
        .name(format!("gateway-{}", COUNT.fetch_add(1, SeqCst)))
        .authenticator(ByName)
        .router(Router::new().route("echo", echo))
}

/// A server, and its metrics.
async fn start(builder: Builder) -> (Server, Metrics) {
    let server = Server::start(builder.build().unwrap()).await;
    let metrics = Metrics::of(&server.gateway);
    (server, metrics)
}

async fn named(server: &Server, name: &str) -> Client {
    let request = Request::new(format!("/ws?{name}"));
    request.connect(server.addr).await.unwrap()
}
