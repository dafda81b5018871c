//! The close latch: the first cause of an end wins, and whoever waits is told.

use realtime_core::DisconnectInfo;

use crate::sync::{Notify, OnceLock};

/// Set once, by whoever ends the session first.
#[derive(Debug, Default)]
pub(crate) struct CloseLatch {
    /// Boxed, since it is empty for as long as the session lives.
    info: OnceLock<Box<DisconnectInfo>>,
    closed: Notify,
}

impl CloseLatch {
    /// Records the cause, unless there is one. Returns whether this one was the first.
    pub(crate) fn close(&self, info: DisconnectInfo) -> bool {
        let first = self.info.set(Box::new(info)).is_ok();
        if first {
            self.closed.notify_waiters();
        }
        first
    }

    /// The first cause, once there is one.
    pub(crate) fn info(&self) -> Option<&DisconnectInfo> {
        self.info.get().map(Box::as_ref)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.info.get().is_some()
    }

    /// Waits for the first cause. Cancel safe.
    pub(crate) async fn closed(&self) {
        let notified = self.closed.notified();
        tokio::pin!(notified);
        // Registers before it looks, so that a close between the two is not missed.
        notified.as_mut().enable();
        if !self.is_closed() {
            notified.await;
        }
    }
}
