//! What the log has of apps and TLS acceptors that panic.

use std::{any::Any, sync::Arc};

use crate::{Gateway, quiet::drop_quietly, rarely::Rarely};

/// How many lines a minute: anybody may be able to make an app panic.
const LINES: u32 = 20;

/// Counts and logs them.
#[derive(Debug, Clone)]
pub(super) struct Panics {
    /// Has the counters.
    gateway: Gateway,
    lines: Arc<Rarely>,
}

impl Panics {
    pub(super) fn new(gateway: Gateway) -> Self {
        let lines = Arc::new(Rarely::new(LINES));
        Self { gateway, lines }
    }

    /// The app or the TLS acceptor did, and what it panicked with may panic again when it is dropped.
    pub(super) fn panicked(&self, panic: Box<dyn Any + Send>) {
        drop_quietly(panic);
        self.gateway.node().stats().connections_failed.add(1);
        if let Some(left_out) = self.lines.turn() {
            tracing::warn!(
                target: crate::log_targets::SERVE, left_out,
                "the app or the TLS acceptor panicked, which ended its connection, or over HTTP/2 the \
                 stream of its request",
            );
        }
    }
}
