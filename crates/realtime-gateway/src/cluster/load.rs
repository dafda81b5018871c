//! How much of what other nodes ask for is under way here.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// How many commands of other nodes are accepted at the same time, and how many of them are under
/// way; the others wait for their turn.
const ACCEPTED: usize = 256;
const AT_ONCE: usize = 16;
/// How many times at once it is said that there are too many.
const REFUSING: usize = 256;

/// Places for commands of other nodes.
#[derive(Debug)]
pub(crate) struct Load {
    accepted: Arc<Semaphore>,
    at_once: Semaphore,
    refusing: Arc<Semaphore>,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            accepted: Arc::new(Semaphore::new(ACCEPTED)),
            at_once: Semaphore::new(AT_ONCE),
            refusing: Arc::new(Semaphore::new(REFUSING)),
        }
    }
}

impl Load {
    /// A place for a command, if there is one.
    pub(crate) fn accept(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.accepted).try_acquire_owned().ok()
    }

    /// A place for the answer that there is none.
    pub(crate) fn refuse(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.refusing).try_acquire_owned().ok()
    }

    /// Waits for its turn. Cancel safe.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.at_once.acquire().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn there_are_so_many_places_and_they_come_back() {
        let load = Load::default();
        let places: Vec<_> = (0..ACCEPTED).map(|_| load.accept().unwrap()).collect();
        assert!(load.accept().is_none() && load.refuse().is_some());
        drop(places);
        assert!(load.accept().is_some());
        assert!(load.turn().await.is_some());
    }
}
