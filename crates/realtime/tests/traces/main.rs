//! Traces go on: from a client to a handler, and from there to what is written on other nodes, as a
//! collector of OpenTelemetry has them in the end.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

#[path = "../support/mod.rs"]
mod support;

mod across;
mod broken;
#[path = "../control/by_hand.rs"]
#[allow(dead_code, reason = "of a node of another test file, a part is used")]
mod by_hand;
mod clients;
mod collector;
mod documented;
mod failures;
mod http2;
mod sessions;
#[path = "../control/stuck.rs"]
#[allow(dead_code, reason = "the same")]
mod stuck;
#[path = "../http2/wire.rs"]
#[allow(dead_code, reason = "of a client of another test file, a part is used")]
mod wire;

use std::{num::NonZeroU32, time::Duration};

use realtime::{
    BoxError, Builder, ClientError, CloseCode, Gateway, Identity, IdentityKey, IdentityUpdate,
    Json, Message, Router, Session, SessionId,
    auth::{AuthError, Authenticator},
    extract::RouteTail,
    history::Retention,
    revocation::{MemoryRevocations, Revocation},
    room::RoomRule,
    traces::{OpenTelemetry, Traces},
};
use realtime_testkit::client::{Client, Request};
use serde_json::{Value, json};
use support::Server;

/// The name in the query is who it is.
struct ByName;

impl Authenticator for ByName {
    async fn authenticate(
        &self,
        request: &axum::http::request::Parts,
    ) -> Result<Identity, AuthError> {
        let name = request.uri.query().unwrap_or_default();
        Ok(Identity::new(name).with_tenant("acme"))
    }
}

/// A client's trace: a new one each time.
struct Trace {
    id: u128,
    span: u64,
}

impl Trace {
    fn new() -> Self {
        Self {
            id: fastrand::u128(1..),
            span: fastrand::u64(1..),
        }
    }

    fn said(&self, flags: &str) -> String {
        format!("00-{:032x}-{:016x}-{flags}", self.id, self.span)
    }
}

/// All that a trace can lead to.
fn router() -> Router {
    let kept = Retention::new(100, Duration::from_secs(60)).unwrap();
    Router::new()
        .route("echo", async |Json(said): Json<Value>| Json(said))
        .route("id", async |session: Session| Json(session.id()))
        .route(
            "enter",
            async |session: Session, Json(room): Json<String>| session.join(room).await,
        )
        .route("push", async |session: Session| {
            session.send("pushed", Json(1))
        })
        .route("push.full", async |session: Session| {
            let mut message = Message::new("pushed", Json(1))?;
            for n in 0..Message::MAX_METADATA {
                message = message.with_metadata(n.to_string(), "");
            }
            session.send_message(&message)?;
            Ok::<_, BoxError>(())
        })
        .route("hang", async || std::future::pending::<()>().await)
        .route("fail", async || {
            Err::<(), BoxError>("the disk is full".into())
        })
        .route("panic", async || -> () { panic!("a bug") })
        .route("full", async || {
            Err::<(), _>(ClientError::new("full", "come back later"))
        })
        .prefix("file.", async |RouteTail(name): RouteTail| {
            Json(name.to_string())
        })
        .route("to.everybody", async |gateway: Gateway| {
            gateway.broadcast("said", Json(1)).await.map(drop)
        })
        .route(
            "to.identity",
            async |gateway: Gateway, Json(who): Json<String>| {
                let who = IdentityKey::new(who).with_tenant("acme");
                gateway
                    .send_to_identity(&who, "said", Json(1))
                    .await
                    .map(drop)
            },
        )
        .route("to.tenant", async |gateway: Gateway| {
            gateway.tenant("acme").send("said", Json(1)).await.map(drop)
        })
        .route(
            "to.room",
            async |gateway: Gateway, Json(room): Json<String>| {
                gateway.room(room).send("said", Json(1)).await.map(drop)
            },
        )
        .route(
            "to.session",
            async |gateway: Gateway, Json(id): Json<SessionId>| {
                gateway.session(id).send("said", Json(1)).await.map(drop)
            },
        )
        .route("do.join", async |gateway: Gateway| {
            gateway.everybody().join("joined").await.map(drop)
        })
        .route("do.leave", async |gateway: Gateway| {
            gateway.everybody().leave("joined").await.map(drop)
        })
        .route("do.update", async |gateway: Gateway| {
            let update = IdentityUpdate::new().with_roles(["admin"]);
            gateway.everybody().update_identity(update).await.map(drop)
        })
        .route("do.revoke", async |gateway: Gateway| {
            let revoked = Revocation::token("of nobody who is here");
            gateway.revoke(revoked).await.map(drop)
        })
        .route(
            "do.disconnect",
            async |gateway: Gateway, Json(id): Json<SessionId>| {
                gateway
                    .session(id)
                    .disconnect(CloseCode::DISCONNECTED, "go")
                    .await
                    .map(drop)
            },
        )
        .route("do.request", async |gateway: Gateway, session: Session| {
            let question = Message::new("asked", Json(1))?;
            let audience = gateway
                .everybody()
                .except(&session)
                .within(Duration::from_secs(20));
            let mut answers = audience.request_message(question)?;
            let mut count = 0;
            while answers.next().await.is_some() {
                count += 1;
            }
            Ok::<_, BoxError>(Json(count))
        })
        .room("kept", RoomRule::open().history(kept))
}

fn builder(traces: Traces) -> Builder {
    support::builder()
        .authenticator(ByName)
        .router(router())
        // Nobody is in it, so that it doesn't matter that each node has one of its own.
        .revocations(MemoryRevocations::new().shared())
        .traces(traces)
}

/// Nothing is traced but what continues a trace.
fn continuing() -> Traces {
    following(Traces::new(OpenTelemetry::new()).ratio(0.0))
}

/// Clients' traces, as many as they like.
fn following(traces: Traces) -> Traces {
    traces.follow_clients(NonZeroU32::MAX)
}

async fn server(traces: Traces) -> Server {
    collector::start();
    Server::start(builder(traces).build().unwrap()).await
}

async fn named(server: &Server, name: &str) -> Client {
    let request = Request::new(format!("/ws?{name}"));
    let mut client = request.connect(server.addr).await.unwrap();
    // From here on the session is in the hub.
    client.request("id", json!(null)).await.unwrap();
    client
}

/// A request of a client that is traced, and its answer.
async fn ask(client: &mut Client, route: &str, data: Value, traceparent: &str) -> Value {
    let metadata = json!({ "traceparent": traceparent });
    let request = json!({ "id": "t", "route": route, "data": data, "metadata": metadata });
    client.send_text(&request.to_string()).await.unwrap();
    loop {
        let message = client.recv_json().await.unwrap();
        if message["id"] == "t" {
            return message;
        }
    }
}
