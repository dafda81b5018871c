//! How a node is now, in numbers.

#[cfg(feature = "metrics")]
use realtime_core::broker::Broker;

use super::Node;
use crate::{Stats, stats::Counters};
#[cfg(feature = "metrics")]
use crate::{health::Link, metrics::Stamp, quiet::quietly};

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
        self.env.metrics.tell(|| crate::metrics::Reading {
            stats: self.snapshot(),
            queued: self.env.queued.messages(),
            rooms: self.hub.rooms().len(),
            nodes: self.peers.all().len(),
            draining: self.is_draining(),
            oldest: {
                let logs = self.hub.shards().iter().map(|shard| shard.log());
                logs.filter_map(|log| log.oldest().map(Stamp::age)).max()
            },
            // What was so before an outage says nothing.
            loopback: (self.broker_link.link() == Link::Up)
                .then(|| self.broker.loopback())
                .flatten(),
            links: [
                self.broker_link.link().name(),
                self.history_link.link().name(),
                self.registry.link.link().name(),
                self.revocations_link.link().name(),
            ],
        });
    }

    /// Tells it that the gateway has ended. It may be told again, which adds what happened since.
    #[cfg(feature = "metrics")]
    pub(crate) fn tell_end_of_metrics(&self) {
        // The recorder may panic, and this may be called by a drop.
        quietly(|| self.env.metrics.tell_end(|| self.snapshot()));
    }
}

/// Where nobody has shut it down, this is its end: its last session and background task are gone.
#[cfg(feature = "metrics")]
impl Drop for Node {
    fn drop(&mut self) {
        self.tell_end_of_metrics();
    }
}
