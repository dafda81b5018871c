//! A WebSocket real-time gateway framework: authentication, routing with middleware, presence,
//! backpressure, limits and graceful shutdown, as one tower service.
//!
//! Mount a [`Gateway`] on a path of your axum or hyper server, and it sees to the whole life of
//! every connection.
//!
//! ```no_run
//! use realtime::{Gateway, Json, Router, Session, gateway};
//!
//! async fn chat(
//!     gateway: Gateway,
//!     session: Session,
//!     Json(said): Json<String>,
//! ) -> Result<(), realtime::DeliverError> {
//!     gateway.broadcast("chat", Json(&(session.identity().id(), said))).await?;
//!     Ok(())
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let gateway = gateway().router(Router::new().route("chat", chat)).build()?;
//! let app = axum::Router::new().route_service("/ws", gateway.clone());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! realtime::serve(listener, app, gateway).until(tokio::signal::ctrl_c()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Handlers are tested without a socket, by clients over memory: see [docs/testing.md].
//!
//! [docs/testing.md]: https://github.com/forerunner-space/realtime-rs/blob/main/docs/testing.md
//!
//! # Features
//! - `codec-json` (default): [`JsonCodec`], [`Json`] and [`gateway()`].
//! - `axum` (default): [`Upgrade`] as an axum extractor, and the peer's address from
//!   `ConnectInfo`.
//! - `server` (default): [`serve`].
//! - `broker-amqp`: nodes joined over RabbitMQ, [`broker::amqp`].
//! - `presence-redis`: who is online, in Redis, [`presence::redis`].
//! - `rustls`: TLS for both of these.
//! - `full`: all of them.
//!
//! A feature adds items and never changes what is there. [`connect`] chooses backends by URL.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod connect;

pub use realtime_core::{
    BoxError, ClientError, CloseCode, DisconnectInfo, Events, Identity, IdentityKey, Incarnation,
    Initiator, IntoPayload, InvalidNamespace, InvalidNodeId, Message, MessageParts, Metadata,
    Namespace, NodeId, Payload, SessionId, Text, auth,
};
pub use realtime_gateway::{
    Backpressure, Body, BuildError, BuildErrorKind, Builder, Config, DeliverError,
    DeliverErrorKind, Delivery, ErrorContext, ErrorStage, Gateway, Handler, HandlerError,
    HandlerErrorKind, Health, Hook, HookResult, Inbound, Link, PeerAddr, PresenceDown, Remote,
    Router, SendError, SendErrorKind, Session, ShutdownReport, StartError, StartErrorKind, Stats,
    Upgrade, middleware,
};
#[cfg(feature = "server")]
pub use realtime_gateway::{Serve, serve};

/// What handlers and hooks take and return.
pub mod extract {
    pub use realtime_core::extract::*;
    pub use realtime_gateway::extract::*;
}

pub use extract::{RouteTail, State};
pub use middleware::{Logger, Recovery, Timeout, from_fn};

/// The broker seam and its backends.
pub mod broker {
    pub use realtime_core::broker::*;

    #[cfg(feature = "broker-amqp")]
    pub use realtime_broker_amqp as amqp;
}

/// The presence seam and its backends.
pub mod presence {
    pub use realtime_core::presence::*;

    #[cfg(feature = "presence-redis")]
    pub use realtime_presence_redis as redis;
}

/// The codec seam and its implementations.
pub mod codec {
    pub use realtime_core::codec::*;

    #[cfg(feature = "codec-json")]
    pub use realtime_codec_json as json;
}

#[cfg(feature = "codec-json")]
pub use realtime_codec_json::{Json, JsonCodec};

/// Begins to describe a gateway that speaks JSON.
#[cfg(feature = "codec-json")]
pub fn gateway() -> Builder {
    Gateway::builder(JsonCodec)
}

#[cfg(all(doctest, feature = "codec-json", feature = "server"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
