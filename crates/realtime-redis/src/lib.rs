//! What the backends of the `realtime` gateway over Redis share. It is published because they depend
//! on it; applications use `realtime-broker-redis` and `realtime-presence-redis`, and nothing of
//! this crate by itself.
//!
//! ```text
//!  realtime-broker-redis   realtime-presence-redis
//!    own connections         fred, a pool, probes
//!            └─────────┬────────────┘
//!               realtime-redis       URL and TLS ─► Deployment
//!                                    CLUSTER SLOTS ─► Slots, MOVED and ASK ─► Redirect
//!                                    errors ─► whose fault they are
//! ```
//!
//! It opens no connection and depends on no client: the broker has to read as slowly as its
//! gateway does, in the order of one connection, while presence needs many commands at once that
//! may be repeated. What is the same for both is where Redis is and what it says.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod deployment;
mod pause;
mod redirect;
pub mod reply;
mod slots;
#[cfg(feature = "rustls")]
mod tls;

pub use deployment::{Address, Deployment, DeploymentBuilder, InvalidDeployment, Servers};
pub use pause::Pause;
pub use redirect::Redirect;
pub use slots::{Slots, slot};
#[cfg(feature = "rustls")]
pub use tls::Tls;
