//! How a node is now, in numbers.

#[cfg(feature = "metrics")]
use realtime_core::broker::Broker;

use super::Node;
#[cfg(feature = "metrics")]
use crate::health::Link;
use crate::{Stats, stats::Counters};

impl Node {
    pub(crate) fn stats(&self) -> &Counters {
        &self.env.stats
    }

    /// What has happened so far, and what is held now.
    pub(crate) fn snapshot(&self) -> Stats {
        let mut stats = self.stats().snapshot();
        stats.open = self.hub.len() as u64;
        stats.outlived = self.slots.outlived() as u64;
        stats.authenticating = self.slots.authenticating() as u64;
        stats.limits_kept = self.limits.kept() as u64;
        stats.queued_bytes = self.env.queued.used() as u64;
        stats.departures_waiting = self.registry.departures.len() as u64;
        stats.presence_unsettled = self.registry.retries.len() as u64;
        stats.assembling_bytes = self.env.held.used() as u64;
        stats
    }

    /// Tells the recorder of the process what is counted, and what is so now.
    #[cfg(feature = "metrics")]
    pub(crate) fn tell_metrics(&self) {
        self.env.metrics.tell(&crate::metrics::Reading {
            stats: self.snapshot(),
            rooms: self.hub.rooms().len(),
            nodes: self.peers.all().len(),
            draining: self.is_draining(),
            // What was so before an outage says nothing.
            loopback: (self.broker_link.link() == Link::Up)
                .then(|| self.broker.loopback())
                .flatten(),
            links: [
                ("broker", self.broker_link.link().name()),
                ("history", self.history_link.link().name()),
                ("presence", self.registry.link.link().name()),
                ("revocations", self.revocations_link.link().name()),
            ],
        });
    }
}
