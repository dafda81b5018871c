//! What is measured beside [`Stats`](crate::Stats), and how all of it reaches the recorder of the
//! application, through the facade `metrics`. This is the only module that names it.
//!
//! Without the feature `metrics` all of this has no size and does nothing, so that who doesn't
//! measure doesn't pay. With it, what `Stats` counts is counted once, and told from time to time
//! (`export`); only what takes time is recorded where it happens, by handles that are kept.
//!
//! Every label has few values, which the application or this crate has chosen: never a peer.

mod awaited;
mod call;
#[cfg(feature = "metrics")]
mod events;
#[cfg(feature = "metrics")]
mod export;
#[cfg(feature = "metrics")]
mod facade;
#[cfg(feature = "metrics")]
mod names;
mod noted;
#[cfg(not(feature = "metrics"))]
mod off;
#[cfg(feature = "metrics")]
mod on;
mod size;
#[cfg(feature = "metrics")]
mod table;
#[cfg(feature = "metrics")]
mod tally;
#[cfg(feature = "metrics")]
mod time;

pub(crate) use awaited::Awaited;
pub(crate) use call::Call;
#[cfg(feature = "metrics")]
pub(crate) use export::Reading;
pub(crate) use noted::Noted;
#[cfg(not(feature = "metrics"))]
pub(crate) use off::*;
#[cfg(feature = "metrics")]
pub(crate) use on::Metrics;
pub(crate) use size::{Outcome, Received, Size};
#[cfg(feature = "metrics")]
pub use table::{METRICS, Metric, MetricKind, MetricUnit, buckets};
#[cfg(feature = "metrics")]
pub(crate) use time::{Patterns, RouteNumber, Stamp, Stamps, Timing};
