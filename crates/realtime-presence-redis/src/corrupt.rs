//! What somebody else wrote under the keys of presence.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use realtime_core::Namespace;

/// Counts it, and says so in few lines: it is met again with every question about it.
#[derive(Debug)]
pub(crate) struct Corrupt {
    namespace: Namespace,
    count: AtomicU64,
}

impl Corrupt {
    pub(crate) const fn new(namespace: Namespace) -> Self {
        Self {
            namespace,
            count: AtomicU64::new(0),
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// So many records were skipped. They are logged at each doubling of the count.
    pub(crate) fn found(&self, records: u64) {
        let before = self.count.fetch_add(records, Relaxed);
        let corrupt = before.saturating_add(records);
        let doublings = |count: u64| count.checked_ilog2();
        if doublings(before) != doublings(corrupt) {
            tracing::warn!(
                target: realtime_core::log_targets::PRESENCE,
                namespace = %self.namespace, corrupt,
                "skipped a record that presence didn't write"
            );
        }
    }
}
