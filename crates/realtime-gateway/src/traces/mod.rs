//! What becomes a span of a trace, and how a trace goes on at other nodes and with clients.
//!
//! Without the feature `traces` all of this has no size and does nothing, so that who doesn't trace
//! doesn't pay. With it, whether something is traced is decided before there is a span of it: by the
//! trace that it continues, or by chance. A span costs more than all else that is done for a message.
//!
//! Names and fields are those of `docs/traces.md`. None of a peer's strings is ever a name.

#[cfg(feature = "traces")]
mod amount;
#[cfg(feature = "traces")]
mod bridge;
#[cfg(not(feature = "traces"))]
mod off;
#[cfg(feature = "traces")]
mod on;
#[cfg(feature = "traces")]
mod settings;
#[cfg(feature = "traces")]
mod spans;
#[cfg(feature = "traces")]
mod traced;

#[cfg(feature = "traces")]
pub(crate) use amount::Luck;
#[cfg(not(feature = "traces"))]
pub(crate) use off::*;
#[cfg(feature = "traces")]
pub(crate) use on::Tracer;
#[cfg(feature = "traces")]
pub use settings::Traces;
#[cfg(feature = "traces")]
pub(crate) use traced::{Label, Origin, Traced};
