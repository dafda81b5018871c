//! What a session needs of its node, and no more.

use std::{
    fmt,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use realtime_core::broker::NodeInfo;

use super::{Doors, Gatekeeper};
use crate::{
    budget::Budget, clock::Clock, dialects::Dialects, metrics::Metrics, outbound::QueueLimits,
    stats::Counters, traces::Tracer,
};

/// Shared by all sessions of a node.
pub(crate) struct Env {
    pub(crate) node: NodeInfo,
    /// What clients speak, and nodes among each other.
    pub(crate) dialects: Dialects,
    pub(crate) queue_limits: Arc<QueueLimits>,
    /// What waits in the queues of all sessions.
    pub(crate) queued: Arc<Budget>,
    /// What all sessions hold of messages that are unfinished, or wait for their handlers.
    pub(crate) held: Arc<Budget>,
    pub(crate) stats: Arc<Counters>,
    pub(crate) metrics: Metrics,
    pub(crate) tracer: Tracer,
    pub(crate) clock: Arc<Clock>,
    /// Who looks at what sessions are sent and say.
    #[cfg(feature = "admin")]
    pub(crate) taps: crate::tap::Taps,
    /// How long before an identity ends its client is told.
    pub(crate) expiry_notice: Duration,
    /// How many requests of a session handlers may have taken along unanswered.
    pub(crate) max_repliers: usize,
    /// For how long each of them.
    pub(crate) replier_timeout: Option<Duration>,
    /// Ends sessions until what is queued fits its budget again.
    pub(crate) relieve: Box<dyn Fn() + Send + Sync>,
    /// By which sessions show who they are anew.
    pub(crate) gatekeeper: OnceLock<Weak<dyn Gatekeeper>>,
    /// By which sessions come into rooms.
    pub(crate) doors: OnceLock<Weak<dyn Doors>>,
}

impl Env {
    /// Called after something was queued.
    pub(crate) fn relieve_if_needed(&self) {
        if self.queued.is_over() {
            (self.relieve)();
        }
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env")
            .field("node", &self.node.id)
            .finish_non_exhaustive()
    }
}
