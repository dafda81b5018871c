//! What the backends of the `realtime` gateway over Redis share. It is published because they depend
//! on it; applications use `realtime-broker-redis`, `realtime-presence-redis`,
//! `realtime-history-redis` and `realtime-revocation-redis`, and nothing of this crate by itself.
//!
//! ```text
//!                          realtime-presence-redis
//!  realtime-broker-redis   realtime-history-redis   realtime-revocation-redis
//!    own connections              scripts               scripts, GET
//!            │                       └───────────┬───────────┘
//!            │                                 pool     fred, watched and probed; RedisConfig
//!            └─────────────────┬─────────────────┘
//!                       realtime-redis       URL, TLS and credentials ─► Deployment, Login
//!                                            CLUSTER SLOTS ─► Slots, MOVED and ASK ─► Redirect
//!                                            errors ─► whose fault they are
//! ```
//!
//! Without the feature `pool` it opens no connection, but for a look at a server that isn't
//! understood, and depends on no client: the broker has to read as slowly as its gateway does, in the
//! order of one connection, while the others need many commands at once, on whatever connection is
//! there. What is the same for all is where Redis is and what it says.
//!
//! So they share no connection either, where they are used on one Redis. A publication is sent
//! once and in order, on a connection that ends at the first sign of trouble; commands of presence
//! go over whichever of several is there, and those that are late are made again. Sharing would
//! save one connection of six for each node. It would put publications behind scripts, and each
//! outage of one backend would be one of the other. In a Cluster they mostly speak to different
//! masters. What they have in common is a URL, which may be the same text.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod caught;
mod deployment;
mod login;
#[cfg(feature = "pool")]
#[cfg_attr(docsrs, doc(cfg(feature = "pool")))]
pub mod pool;
mod race;
mod redirect;
pub mod reply;
mod slots;
mod speech;
#[cfg(feature = "rustls")]
mod tls;

pub use caught::caught;
pub use deployment::{Address, Deployment, DeploymentBuilder, InvalidDeployment, Servers};
pub use login::Login;
pub use race::first;
pub use redirect::Redirect;
pub use slots::{Slots, slot};
pub use speech::Speech;
#[cfg(feature = "rustls")]
pub use tls::Tls;
