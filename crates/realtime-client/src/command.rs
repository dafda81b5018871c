//! What the handles of a client tell its task.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use realtime_core::{Message, RoomName, history::Position};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use crate::{RequestError, inbox::Outlet, outbox::Answer, rooms::RoomItem};

pub(crate) type Joined = oneshot::Sender<Result<Option<Position>, RequestError>>;

pub(crate) enum Command {
    Ask {
        message: Message,
        limit: Limit,
        answer: Answer,
    },
    Post {
        message: Message,
        limit: Limit,
        sent: oneshot::Sender<Result<(), RequestError>>,
    },
    /// An answer to a request of the server, on the connection of this number.
    Reply {
        message: Message,
        link: u64,
        sent: Option<oneshot::Sender<Result<(), RequestError>>>,
    },
    Join {
        room: RoomName,
        from: Option<Position>,
        outlet: Outlet<RoomItem>,
        joined: Joined,
    },
    /// This reader wants no more of the room.
    Leave {
        room: RoomName,
        limit: Limit,
        answer: Answer,
    },
    Retry,
}

/// A timeout that is longer than the clock knows is as none.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Until when something may be said and answered. The task keeps to it, once it has taken the command;
/// and what still stands in line then is never said.
#[derive(Clone)]
pub(crate) struct Limit {
    pub(crate) deadline: Instant,
    is_taken: Arc<AtomicBool>,
}

impl Limit {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            deadline: Instant::now() + timeout.min(LONGEST),
            is_taken: Arc::default(),
        }
    }

    /// The task has taken it: from now on it alone says what became of it. False if it is too late.
    pub(crate) fn take(&self) -> bool {
        // Before the clock is read: whoever has seen that it isn't taken, after its time, is right.
        self.is_taken.store(true, SeqCst);
        Instant::now() < self.deadline
    }

    /// Waits for what the task says.
    pub(crate) async fn wait<T>(
        &self,
        mut result: oneshot::Receiver<Result<T, RequestError>>,
    ) -> Result<T, RequestError> {
        let said = match timeout_at(self.deadline, &mut result).await {
            Ok(said) => said,
            Err(_) if self.is_taken.load(SeqCst) => result.await,
            Err(_) => return Err(RequestError::TimedOut { sent: false }),
        };
        said.unwrap_or(Err(RequestError::Ended))
    }
}
