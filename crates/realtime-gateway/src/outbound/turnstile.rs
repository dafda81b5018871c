//! Where senders wait for room in one session's queue: first come, first served.

use crate::sync::{Notify, Semaphore};

/// One sender at a time looks for room; the others stand in line behind it.
#[derive(Debug)]
pub(super) struct Turnstile {
    turn: Semaphore,
    /// Notified whenever there is more room than before.
    room: Notify,
}

impl Turnstile {
    pub(super) fn new() -> Self {
        Self {
            turn: Semaphore::new(1),
            room: Notify::new(),
        }
    }

    /// Whether a sender waits.
    pub(super) fn is_busy(&self) -> bool {
        self.turn.available_permits() == 0
    }

    pub(super) fn notify(&self) {
        self.room.notify_waiters();
    }

    /// Tries again and again, once it is its turn. Cancel safe, if `attempt` is.
    pub(super) async fn pass<T>(&self, mut attempt: impl FnMut() -> Option<T>) -> T {
        // It is never closed. If it were, there would be no order, and nothing worse.
        let _turn = self.turn.acquire_many(1).await;
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            // Registers before it looks, so that room made between the two is not missed.
            room.as_mut().enable();
            match attempt() {
                Some(done) => return done,
                None => room.await,
            }
        }
    }
}
