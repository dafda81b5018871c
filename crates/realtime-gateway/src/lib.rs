//! The gateway: a tower service that turns upgrade requests into sessions.
//!
//! ```text
//!  request ─► service ─► handshake ─► origin ─► place ─► authenticator ─► 101
//!                                                                          │
//!          hub ─► presence ─► on_connect ─► ┌─────────── session ──────────┴─┐
//!                                           │ frame ─► codec ─► layers ─►    │
//!   broadcast ─► hub ─► outbox ─► socket    │ router ─► extractors ─► handler│
//!        └─► broker ─► other nodes          └────────────────────────────────┘
//!   first cause of an end ─► flush ─► close frame ─► presence out ─► hub out ─► on_disconnect
//! ```
//!
//! Most programs depend on the facade crate `realtime`, which has the JSON codec too.
//!
//! # Modules
//! A module knows those that stand in the rows below it, and none in its own row or above.
//!
//! ```text
//!   serve ───────────────────── a whole server: listener, connections, signals
//!   gateway ─────────────────── the handle: start, broadcast, to an identity, shutdown; tower service
//!   doorstep ────────────────── an upgraded connection that is no session: the first message, a refusal by a close frame
//!   background  session_task ── dispatchers, timers, leases, relay, streams │ the one task of a session
//!   control ─────────────────── what sessions are told to do, by this node or another
//!   identities  rooms ───────── who a session belongs to, shown anew, changed, revoked │ sessions into rooms, messages to their members, what is kept of them
//!   hook_call  outgoing ─────── a hook called with a bound │ a message encoded once, and published
//!   node ────────────────────── what the tasks of a gateway share
//!   admission  reports ──────── HTTP in, 101 or refusal out │ errors on their way to hooks
//!   handling  hub  registry ─── router, layers, hooks, rules of rooms │ sessions by id, shard and room │ who is online
//!   session ─────────────────── the handle of one client, its end, and what it needs of its node
//!   outbound ────────────────── log, outbox, queue, writer
//!   transport  backends  dialects  limits ─ the socket │ broker and presence, with a bound on every call │ what clients speak │ how often
//!   compression ─────────────── what of the wire is compressed, as was agreed with a client
//!   config  guarded  traces ─── settings │ panics of foreign code as errors │ what becomes a span, and how a trace goes on
//!   cluster  error  escape  heard  kept  metrics  rarely  room_topics ─ which nodes there are, and what they were asked │ errors of our operations │ log lines │ what was revoked just now │ what a restarted task finds again │ what is measured │ which topics carry rooms
//!   budget  clock  delivery  health  quiet  receipt  stats  sync  tap  tasks  unreachable
//! ```

mod admission;
mod backends;
mod background;
mod budget;
mod clock;
mod cluster;
mod compression;
mod config;
mod control;
mod delivery;
mod dialects;
mod doorstep;
mod error;
mod escape;
mod gateway;
mod guarded;
mod handling;
mod health;
mod heard;
mod hook_call;
mod hub;
mod identities;
mod kept;
mod limits;
mod metrics;
mod node;
mod outbound;
mod outgoing;
mod quiet;
mod rarely;
mod receipt;
mod registry;
mod reports;
mod room_topics;
mod rooms;
#[cfg(feature = "server")]
mod serve;
mod session;
mod session_task;
mod stats;
mod sync;
mod tap;
mod tasks;
mod traces;
mod transport;
mod unreachable;

/// For the page of the feature `admin`, and no part of what is promised.
#[doc(hidden)]
pub mod __log {
    pub use crate::{
        escape::Chain,
        quiet::{drop_quietly, survive},
        rarely::Rarely,
    };
}

pub use admission::{Body, PeerAddr, Upgrade};
pub use config::{
    Backpressure, Config, ConnectionPolicy, Limits, PresenceDown, Rate, RevocationsDown,
};
#[cfg(feature = "deflate")]
pub use config::{Compression, CompressionLevel};
pub use delivery::{Delivery, Remote};
pub use error::{
    BuildError, BuildErrorKind, ControlError, ControlErrorKind, DeliverError, DeliverErrorKind,
    HandlerError, HandlerErrorKind, JoinError, JoinErrorKind, RequestError, RequestErrorKind,
    SendError, SendErrorKind, StartError, StartErrorKind,
};
pub use gateway::{
    Answer, Answers, Audience, Builder, Gateway, Inspection, LinkAges, Livez, Phase, Readyz,
    RoomCursor, RoomPage, RoomQuery, RoomView, SessionCursor, SessionPage, SessionQuery,
    SessionView, ShutdownReport, Speaking,
};
#[cfg(feature = "admin")]
pub use gateway::{Tap, TapDirection, TapEnd, TapLimits, TappedMessage};
pub use handling::{
    AtOnce, CompleteRouter, ErrorContext, ErrorStage, FromReplier, Handler, Hook, HookResult,
    Inbound, Later, NoReply, RoomRule, Router, check_argument, check_no_reply, check_result,
    extract, middleware,
};
pub use health::{Health, HealthStatus, Link};
#[cfg(feature = "metrics")]
pub use metrics::{METRICS, Metric, MetricKind, MetricUnit, buckets};
pub use realtime_core::log_targets;
pub use receipt::{NodeAnswer, NodeReceipt, Receipt};
#[cfg(feature = "admin")]
pub use reports::RecentError;
pub use rooms::RoomHistory;
#[cfg(feature = "server")]
pub use serve::{Bind, Serve, TcpConnection, WithGracefulShutdown, bind, serve, shutdown_signal};
pub use session::{Extensions, Session};
pub use stats::Stats;
#[cfg(feature = "traces")]
pub use traces::Traces;
