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

mod admission;
mod answer;
mod body;
mod budget;
mod builder;
mod config;
mod delivery;
mod error;
pub mod extract;
mod gateway;
mod handler;
mod handshake;
mod health;
mod hooks;
mod hub;
mod inbound;
mod lease;
mod log;
pub mod middleware;
mod origin;
mod peer;
mod refusal;
mod relay;
mod router;
#[cfg(feature = "server")]
mod serve;
mod service;
mod session;
mod shared;
mod stats;
mod sync;
mod transport;
mod unreachable;

pub use body::Body;
pub use builder::Builder;
pub use config::{Backpressure, Config, PresenceDown};
pub use delivery::{Delivery, Remote};
pub use error::{
    BuildError, BuildErrorKind, DeliverError, DeliverErrorKind, HandlerError, HandlerErrorKind,
    SendError, SendErrorKind, StartError, StartErrorKind,
};
pub use gateway::{Gateway, ShutdownReport};
pub use handler::Handler;
pub use health::{Health, Link};
pub use hooks::{ErrorContext, ErrorStage, Hook, HookResult};
pub use inbound::Inbound;
pub use peer::PeerAddr;
pub use router::Router;
#[cfg(feature = "server")]
pub use serve::{Bind, Serve, WithGracefulShutdown, bind, serve, shutdown_signal};
pub use service::Upgrade;
pub use session::Session;
pub use stats::Stats;
