//! A place among the connections that are no sessions: those are counted by their gateways.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Held by a connection for as long as it is plain HTTP.
#[derive(Debug)]
pub(super) struct Place {
    #[cfg_attr(not(feature = "http2"), expect(dead_code, reason = "it is held"))]
    held: Option<OwnedSemaphorePermit>,
    #[cfg(feature = "http2")]
    all: Arc<Semaphore>,
}

impl Place {
    /// Waits for one.
    pub(super) async fn of(all: &Arc<Semaphore>) -> Self {
        Self {
            // They are never closed.
            held: Arc::clone(all).acquire_owned().await.ok(),
            #[cfg(feature = "http2")]
            all: Arc::clone(all),
        }
    }
}

#[cfg(feature = "http2")]
impl Place {
    /// There are sessions on it now: it is another's.
    pub(super) fn leave(&mut self) {
        self.held = None;
    }

    /// There are none any more. Returns whether there is a place for it again.
    pub(super) fn enter(&mut self) -> bool {
        if self.held.is_none() {
            self.held = Arc::clone(&self.all).try_acquire_owned().ok();
        }
        self.is_held()
    }

    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }
}
