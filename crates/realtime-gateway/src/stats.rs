//! What has happened so far, in numbers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
        }

        /// Counts since the gateway was built, and what is held at present.
        ///
        /// Export it to the metrics system of your choice; it is cheap to take.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
            /// Sessions that are open now.
            pub open: u64,
            /// Bytes that wait in the queues of all sessions now.
            pub queued_bytes: u64,
            /// Bytes of unfinished messages that are held now.
            pub assembling_bytes: u64,
        }

        impl Counters {
            pub(crate) fn snapshot(&self) -> Stats {
                Stats { $($name: self.$name.get(),)* ..Stats::default() }
            }
        }
    };
}

stats! {
    /// Sessions that the shutdown deadline cut off.
    aborted,
    /// Sessions that have ended.
    closed,
    /// Messages that a backpressure policy dropped.
    dropped,
    /// Error reports that were not passed to the error hooks, because too many were under way.
    errors_unreported,
    /// Messages whose handling failed.
    failed,
    /// Hooks that took too long and were dropped.
    hooks_abandoned,
    /// Messages from other nodes that could not be read.
    invalid_broker_messages,
    /// Messages of clients that were not envelopes.
    malformed,
    /// Sessions that were opened.
    opened,
    /// Messages of other nodes that never arrived.
    missed_from_nodes,
    /// Messages that were received and passed to a handler.
    received,
    /// Requests that were refused.
    refused,
    /// Messages that were written or queued for a session.
    sent,
}
