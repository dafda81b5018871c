//! A WebSocket real-time gateway framework: authentication, routing with middleware, presence,
//! backpressure, limits and graceful shutdown, as one tower service.
//!
//! Mount a [`Gateway`] on a path of your axum or hyper server, and it handles the whole life of
//! every connection.
//!
//! ```no_run
//! use realtime::{Gateway, Json, Router, Session, error::DeliverError};
//!
//! async fn chat(
//!     gateway: Gateway,
//!     session: Session,
//!     Json(said): Json<String>,
//! ) -> Result<(), DeliverError> {
//!     gateway.broadcast("chat", Json(&(session.identity_key().id(), said))).await?;
//!     Ok(())
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let gateway = realtime::builder().router(Router::new().route("chat", chat)).build()?;
//! let app = axum::Router::new().route_service("/ws", gateway.clone());
//! let listener = realtime::bind("127.0.0.1:8080").await?;
//! realtime::serve(listener, app, gateway)
//!     .with_graceful_shutdown(realtime::shutdown_signal())
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Where things are
//! The root holds what every program names. The rest is in modules:
//!
//! | module | what is in it |
//! | --- | --- |
//! | [`extract`], [`handler`], [`hooks`], [`middleware`] | what handlers and hooks take and return, and layers around them |
//! | [`message`] | the parts of a message |
//! | [`service`] | the request that becomes a session, its response, and what `serve` accepts |
//! | [`auth`], [`broker`], [`codec`], [`dialect`], [`history`], [`presence`], [`revocation`] | the seams, and what is ready-made for them |
//! | `contract` | routes whose types are declared once, with the feature of that name |
//! | [`room`] | rooms: what one is, who may come in, and what it remembers |
//! | [`connect`] | backends by URL |
//! | [`config`] | the choices behind some fields of [`Config`] |
//! | [`error`] | one error for each operation |
//! | [`control`] | what sessions are told to do and clients are asked, and the receipts |
//! | [`inspect`] | what one node has: its sessions, rooms and queues |
//! | `admin` | a page for operators, with the feature of that name |
//! | [`mod@metrics`] | the names of all that is measured, with the feature `metrics` |
//! | [`traces`] | the seam to traces, and the one over OpenTelemetry, with the feature `traces` |
//! | [`report`] | what the gateway says of deliveries, of its health and of itself |
//! | [`node`] | the names of nodes and clusters, and what is shown to servers, for backends |
//! | [`log_targets`] | the names under which everything is logged |
//!
//! Handlers are tested without a socket, by clients over memory: see [docs/testing.md].
//!
//! [docs/testing.md]: https://github.com/forerunner-space/realtime-rs/blob/main/docs/testing.md
//!
//! # Features
//! - `codec-json` (default): [`Json`], [`codec::JsonCodec`] and [`builder()`].
//! - `codec-msgpack`: envelopes in binary frames, where bytes are bytes, [`codec::MsgPackCodec`].
//! - `axum` (default): [`Upgrade`] as an axum extractor, and the peer's address from
//!   `ConnectInfo`.
//! - `contract`: routes whose types are declared once, for the compiler and for clients,
//!   [`contract`].
//! - `deflate`: messages compressed (`permessage-deflate`), where [`Config`] has it: a broadcast once for
//!   all.
//! - `http2`: HTTP/2 under [`serve`], and WebSockets over it: a browser's sockets share one connection.
//!   Under another server that speaks it no feature is needed.
//! - `macros`: `#[debug_handler]`, by which the compiler names the argument of a handler that doesn't
//!   fit.
//! - `metrics`: what happens, told to the recorder of the crate `metrics`, [`mod@metrics`].
//! - `server` (default): [`bind`], [`serve`] and [`shutdown_signal`].
//! - `admin`: a page for operators, [`mod@admin`], and what it shows beyond [`Gateway::inspect`].
//! - `traces`: connections, messages and what goes between nodes as spans of OpenTelemetry, [`traces`].
//! - `auth-jwt`: sessions for those who show a JWT, [`auth::jwt`].
//! - `broker-amqp`: nodes joined over RabbitMQ, [`broker::amqp`].
//! - `broker-redis`: nodes joined over Redis pub/sub, [`broker::redis`].
//! - `history-redis`: what was said in rooms, in Redis, [`history::redis`].
//! - `presence-redis`: who is online, in Redis, [`presence::redis`].
//! - `revocation-redis`: what was revoked, in Redis, [`revocation::redis`].
//! - `redis`: broker, presence, histories and revocations on Redis. `amqp`: the broker on RabbitMQ.
//! - `rustls`: TLS for all of these.
//! - `full`: all of them.
//!
//! A feature adds items and never changes what is there. [`connect`] chooses backends by URL.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod connect;

pub use realtime_core::{
    BoxError, ClientError, CloseCode, DisconnectInfo, Identity, IdentityKey, IdentityUpdate,
    Initiator, Message, Payload, SessionId, log_targets,
};
pub use realtime_gateway::{
    Backpressure, Builder, Config, Gateway, Livez, Readyz, Router, Session,
};
#[cfg(feature = "server")]
pub use realtime_gateway::{Bind, Serve, WithGracefulShutdown, bind, serve, shutdown_signal};

pub use extract::State;
pub use service::Upgrade;

#[cfg(feature = "codec-json")]
pub use realtime_codec_json::Json;

#[cfg(feature = "macros")]
pub use realtime_macros::debug_handler;

/// Begins to describe a gateway that speaks JSON. For another codec there is
/// [`Gateway::builder`].
///
/// ```
/// let gateway = realtime::builder().build()?;
/// # Ok::<(), realtime::error::BuildError>(())
/// ```
#[cfg(feature = "codec-json")]
pub fn builder() -> Builder {
    Gateway::builder(codec::JsonCodec)
}

/// A page for operators, behind the host's own authentication: see [docs/admin.md].
///
/// [docs/admin.md]: https://github.com/forerunner-space/realtime-rs/blob/main/docs/admin.md
#[cfg(feature = "admin")]
#[cfg_attr(docsrs, doc(cfg(feature = "admin")))]
pub mod admin {
    pub use realtime_admin::*;
}

/// The authentication seam, and what is ready-made for it.
pub mod auth {
    pub use realtime_core::auth::*;

    #[cfg(feature = "auth-jwt")]
    pub use realtime_auth_jwt as jwt;
}

/// The broker seam and its backends.
pub mod broker {
    pub use realtime_core::broker::*;

    #[cfg(feature = "broker-amqp")]
    pub use realtime_broker_amqp as amqp;
    #[cfg(feature = "broker-redis")]
    pub use realtime_broker_redis as redis;
}

/// The dialect seam: client protocols other than envelopes.
pub mod dialect {
    pub use realtime_core::dialect::*;
    pub use realtime_gateway::Speaking;
}

/// The codec seam and its implementations.
pub mod codec {
    pub use realtime_core::codec::*;

    #[cfg(feature = "codec-json")]
    pub use realtime_codec_json::JsonCodec;
    #[cfg(feature = "codec-msgpack")]
    pub use realtime_codec_msgpack::MsgPackCodec;
}

/// The choices behind some fields of [`Config`].
pub mod config {
    #[cfg(feature = "deflate")]
    pub use realtime_gateway::{Compression, CompressionLevel};
    pub use realtime_gateway::{ConnectionPolicy, Limits, PresenceDown, Rate, RevocationsDown};
}

/// Routes whose types are declared once: for the compiler, and for clients as an AsyncAPI document.
#[cfg(feature = "contract")]
pub mod contract {
    pub use realtime_contract::*;
}

/// One error for each operation, each with a kind to match.
///
/// The errors of the seams are in the modules of these.
pub mod error {
    pub use realtime_core::{
        InvalidCloseCode, InvalidNamespace, InvalidNodeId, InvalidRoomName,
        broker::InvalidTopicName,
    };
    pub use realtime_gateway::{
        BuildError, BuildErrorKind, ControlError, ControlErrorKind, DeliverError, DeliverErrorKind,
        HandlerError, HandlerErrorKind, JoinError, JoinErrorKind, RequestError, RequestErrorKind,
        SendError, SendErrorKind, StartError, StartErrorKind,
    };
}

/// What handlers and hooks take and return.
pub mod extract {
    pub use realtime_core::extract::*;
    pub use realtime_gateway::{Extensions, extract::*};
}

/// The history seam and its backends: what was sent to a room, for those who were away.
pub mod history {
    pub use realtime_core::history::*;

    #[cfg(feature = "history-redis")]
    pub use realtime_history_redis as redis;
}

/// What is a handler, and what is a router that is complete.
pub mod handler {
    pub use realtime_gateway::{
        AtOnce, CompleteRouter, FromReplier, Handler, Later, NoReply, check_argument,
        check_no_reply, check_result,
    };
}

/// What is a hook, and what an error hook receives.
pub mod hooks {
    pub use realtime_gateway::{ErrorContext, ErrorStage, Hook, HookResult};
}

/// A look at a node: how it is, its sessions and its rooms, a page at a time.
pub mod inspect {
    pub use realtime_gateway::{
        Inspection, LinkAges, Phase, RoomCursor, RoomPage, RoomQuery, RoomView, SessionCursor,
        SessionPage, SessionQuery, SessionView,
    };
    #[cfg(feature = "admin")]
    pub use realtime_gateway::{RecentError, Tap, TapDirection, TapEnd, TapLimits, TappedMessage};
}

/// What is measured, for the recorder of your choice: see [docs/metrics.md].
///
/// [docs/metrics.md]: https://github.com/forerunner-space/realtime-rs/blob/main/docs/metrics.md
#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub mod metrics {
    pub use realtime_gateway::{METRICS, Metric, MetricKind, MetricUnit, buckets};
}

/// The parts of a message.
pub mod message {
    pub use realtime_core::{
        Exchange, IntoPayload, MessageId, MessageParts, Metadata, PayloadKind, RawJson, Text,
    };
}

/// Layers around message handlers.
pub mod middleware {
    pub use realtime_gateway::{Inbound, middleware::*};
}

/// The names of nodes and clusters, what a backend shows its server, how it reports what
/// happens to it, and how long it waits: for an answer, and before it tries again.
pub mod node {
    pub use realtime_core::{
        AnyCredentialProvider, Causes, CredentialProvider, Event, Events, Incarnation, Namespace,
        NoCredentials, NodeId, Pause, ServerCredentials, patient, patient_until,
    };
    #[cfg(any(
        feature = "broker-amqp",
        feature = "broker-redis",
        feature = "history-redis",
        feature = "presence-redis",
        feature = "revocation-redis"
    ))]
    pub use realtime_core::{InvalidServerUrl, ServerUrl};
}

/// The presence seam and its backends.
pub mod presence {
    pub use realtime_core::presence::*;

    #[cfg(feature = "presence-redis")]
    pub use realtime_presence_redis as redis;
}

/// The revocation seam and its backends: what is no longer to be believed.
pub mod revocation {
    pub use realtime_core::revocation::*;

    #[cfg(feature = "revocation-redis")]
    pub use realtime_revocation_redis as redis;
}

/// What the gateway says of deliveries, of its health and of itself.
pub mod report {
    pub use realtime_gateway::{
        Delivery, Health, HealthStatus, Link, Remote, ShutdownReport, Stats,
    };
}

/// What sessions are told to do and clients are asked, on whatever node they are.
pub mod control {
    pub use realtime_core::broker::envelope::Except;
    pub use realtime_gateway::{Answer, Answers, Audience, NodeAnswer, NodeReceipt, Receipt};
}

/// Rooms: sessions that get the same messages.
pub mod room {
    pub use realtime_core::{RoomName, broker::envelope::Except};
    pub use realtime_gateway::{Audience, RoomHistory, RoomRule};
}

/// The seam to traces, for the tracer of your choice: see [docs/traces.md].
///
/// [docs/traces.md]: https://github.com/forerunner-space/realtime-rs/blob/main/docs/traces.md
pub mod traces {
    pub use realtime_core::traces::*;

    #[cfg(feature = "traces")]
    #[cfg_attr(docsrs, doc(cfg(feature = "traces")))]
    pub use realtime_gateway::Traces;
    #[cfg(feature = "traces")]
    #[cfg_attr(docsrs, doc(cfg(feature = "traces")))]
    pub use realtime_opentelemetry::OpenTelemetry;
}

/// The request that becomes a session, its response, and what `serve` accepts.
pub mod service {
    #[cfg(feature = "server")]
    pub use realtime_gateway::TcpConnection;
    pub use realtime_gateway::{Body, PeerAddr, Upgrade};
}

#[cfg(all(doctest, feature = "codec-json", feature = "server"))]
#[doc = include_str!("../../../README.md")]
struct Readme;

#[cfg(all(doctest, feature = "codec-json", feature = "server"))]
#[doc = include_str!("../README.md")]
struct OwnReadme;

#[cfg(all(doctest, feature = "codec-json", feature = "server"))]
#[doc = include_str!("../../../docs/quickstart.md")]
struct Quickstart;

#[cfg(all(doctest, feature = "codec-json", feature = "server"))]
#[doc = include_str!("../../../docs/cheat-sheet.md")]
struct CheatSheet;

#[cfg(all(doctest, feature = "axum", feature = "codec-json", feature = "server"))]
#[doc = include_str!("../../../docs/coming-from.md")]
struct ComingFrom;

#[cfg(all(doctest, feature = "codec-json"))]
#[doc = include_str!("../../../docs/backpressure.md")]
struct BackpressureDocs;

#[cfg(all(doctest, feature = "codec-json"))]
#[doc = include_str!("../../../docs/presence.md")]
struct PresenceDocs;

#[cfg(all(doctest, feature = "codec-json"))]
#[doc = include_str!("../../../docs/scaling.md")]
struct ScalingDocs;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/extending.md")]
struct Extending;

#[cfg(all(doctest, feature = "codec-json", feature = "macros"))]
#[doc = include_str!("../../../docs/handlers.md")]
struct Handlers;

#[cfg(all(doctest, feature = "codec-json", feature = "contract"))]
#[doc = include_str!("../../../docs/contract.md")]
struct ContractDocs;

#[cfg(all(doctest, feature = "codec-json"))]
#[doc = include_str!("../../../docs/rooms.md")]
struct Rooms;

#[cfg(all(doctest, feature = "codec-json"))]
#[doc = include_str!("../../../docs/dialects.md")]
struct Dialects;

#[cfg(all(doctest, feature = "codec-json"))]
#[doc = include_str!("../../../docs/operations.md")]
struct Operations;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/proxies.md")]
struct Proxies;

#[cfg(all(doctest, feature = "codec-json"))]
#[doc = include_str!("../../../docs/control.md")]
struct Control;

#[cfg(all(doctest, feature = "admin"))]
#[doc = include_str!("../../../docs/admin.md")]
struct AdminPage;

#[cfg(all(doctest, feature = "codec-json", feature = "metrics"))]
#[doc = include_str!("../../../docs/metrics.md")]
struct Metrics;

#[cfg(all(
    doctest,
    feature = "codec-json",
    feature = "server",
    feature = "traces"
))]
#[doc = include_str!("../../../docs/traces.md")]
struct TracesDocs;

#[cfg(all(doctest, feature = "auth-jwt", feature = "codec-json"))]
#[doc = include_str!("../../../docs/identities.md")]
struct Identities;
