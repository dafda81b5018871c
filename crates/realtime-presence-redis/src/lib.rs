//! Remembers in Redis who is online at the `realtime` gateway, for many nodes.
//!
//! ```text
//!   rt:{namespace}:{…tenant…id…}:l    sorted set   session ─► end of its lease in ms
//!   rt:{namespace}:{…tenant…id…}:r    hash         session ─► its record, as JSON
//! ```
//!
//! Both keys of an identity lie in one slot of a cluster, and both end with the longest lease, so
//! that "is somebody online?" is one `EXISTS`. What changes them is Lua: atomic, idempotent, and by
//! the server's clock. A node that crashed needs no cleaning up after: its leases end.
//!
//! ```no_run
//! use realtime_presence_redis::{RedisConfig, RedisPresence};
//!
//! # fn main() -> Result<(), realtime_core::presence::PresenceError> {
//! let config = RedisConfig::from_url("redis://user:password@redis:6379/0?namespace=chat")?;
//! let presence = RedisPresence::new(config)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//! - `rustls`: URLs with the scheme `rediss:`, TLS with ring.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod config;
mod error;
mod keys;
mod pool;
mod presence;
mod record;
mod scripts;
mod watchdog;

pub use config::RedisConfig;
pub use presence::RedisPresence;
