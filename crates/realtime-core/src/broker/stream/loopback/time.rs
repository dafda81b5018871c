//! How long what a node publishes for itself takes to come back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// How long what a node has published for itself took to come back, the last time that is known, of
/// all its subscriptions. A broker keeps one, hands it to the
/// [`Outgoing`](crate::broker::stream::Outgoing) of each, and answers
/// [`Broker::loopback`](crate::broker::Broker::loopback) with it.
#[derive(Debug, Clone, Default)]
pub struct LoopbackTime(Arc<AtomicU64>);

impl LoopbackTime {
    /// The last time; `None` while nothing is known.
    #[must_use]
    pub fn last(&self) -> Option<Duration> {
        let micros = self.0.load(Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    pub(super) fn set(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.0.store(micros.max(1), Relaxed);
    }

    /// The link is another one, or there is none.
    pub(super) fn forget(&self) {
        self.0.store(0, Relaxed);
    }
}
