//! The record of a session's end: set once, and those who wait for it are notified.

use realtime_core::DisconnectInfo;

use crate::{
    quiet::drop_quietly,
    sync::{Notify, OnceLock},
};

/// Set under the outbox's lock, by the first cause of an end; read by anybody.
#[derive(Debug, Default)]
pub(crate) struct End {
    /// Boxed, since it is empty for as long as the session lives.
    info: OnceLock<Box<Recorded>>,
    ended: Notify,
}

/// The error in it is somebody else's, and whoever lets go of the session last must not pay for it.
#[derive(Debug)]
struct Recorded(DisconnectInfo);

impl Drop for Recorded {
    fn drop(&mut self) {
        drop_quietly(self.0.error.take());
    }
}

impl End {
    /// Records the cause. Only the first one is kept.
    pub(crate) fn record(&self, info: DisconnectInfo) {
        let _first = self.info.set(Box::new(Recorded(info)));
    }

    /// Wakes those who wait, once the cause is recorded.
    pub(crate) fn notify(&self) {
        self.ended.notify_waiters();
    }

    /// The first cause, once there is one.
    pub(crate) fn info(&self) -> Option<&DisconnectInfo> {
        self.info.get().map(|recorded| &recorded.0)
    }

    pub(crate) fn is_recorded(&self) -> bool {
        self.info.get().is_some()
    }

    /// Waits for the first cause. Cancel safe.
    pub(crate) async fn recorded(&self) {
        let ended = self.ended.notified();
        tokio::pin!(ended);
        // Registers before it looks, so that an end between the two is not missed.
        ended.as_mut().enable();
        if !self.is_recorded() {
            ended.await;
        }
    }
}
