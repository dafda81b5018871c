//! How much of what other nodes ask for is under way here.

use std::sync::Arc;

use realtime_core::broker::control::Operation;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// How much may be accepted at the same time of what is done at once; and of what clients are asked,
/// who take their time. Neither takes the other's places: a node that waits for its clients still
/// bans them.
const DEEDS: usize = 4_096;
const REQUESTS: usize = 4_096;
/// How many let sessions join, which waits for the broker; and how many do what waits for nobody.
/// The others wait for their turn.
const JOINING: usize = 16;
const AT_ONCE: usize = 64;

/// Places for commands of other nodes.
#[derive(Debug)]
pub(crate) struct Load {
    deeds: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    joining: Semaphore,
    at_once: Semaphore,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            deeds: Arc::new(Semaphore::new(DEEDS)),
            requests: Arc::new(Semaphore::new(REQUESTS)),
            joining: Semaphore::new(JOINING),
            at_once: Semaphore::new(AT_ONCE),
        }
    }
}

impl Load {
    /// A place for a command, if there is one.
    pub(crate) fn accept(&self, operation: &Operation) -> Option<OwnedSemaphorePermit> {
        let places = match operation {
            Operation::Request(_) => &self.requests,
            _ => &self.deeds,
        };
        Arc::clone(places).try_acquire_owned().ok()
    }

    /// Waits for the turn to let sessions join. Cancel safe.
    pub(crate) async fn turn_to_join(&self) -> Option<SemaphorePermit<'_>> {
        self.joining.acquire().await.ok()
    }

    /// Waits for the turn to do what waits for nobody. Cancel safe.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.at_once.acquire().await.ok()
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use futures::FutureExt;
    use realtime_core::CloseCode;

    use super::*;

    fn ban() -> Operation {
        Operation::Disconnect {
            code: CloseCode::NORMAL,
            reason: "".into(),
        }
    }

    #[test]
    fn requests_take_no_place_of_a_ban() {
        let load = Load::default();
        let request = Operation::Request("?".into());
        let places: Vec<_> = (0..REQUESTS)
            .map(|_| load.accept(&request).unwrap())
            .collect();
        assert!(load.accept(&request).is_none());
        let bans: Vec<_> = (0..DEEDS).map(|_| load.accept(&ban()).unwrap()).collect();
        assert!(load.accept(&ban()).is_none());
        drop((places, bans));
        assert!(load.accept(&request).is_some() && load.accept(&ban()).is_some());
    }

    #[test]
    fn those_who_join_take_no_turn_of_a_ban() {
        let load = Load::default();
        let joining: Vec<_> = (0..JOINING)
            .map(|_| load.turn_to_join().now_or_never().unwrap())
            .collect();
        assert!(load.turn_to_join().now_or_never().is_none());
        assert!(load.turn().now_or_never().is_some());
        drop(joining);
    }
}
