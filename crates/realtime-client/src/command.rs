//! What the handles of a client tell its task.

use realtime_core::{Message, RoomName, history::Position};
use tokio::{sync::oneshot, time::Instant};

use crate::{RequestError, inbox::Outlet, outbox::Answer, rooms::RoomItem};

pub(crate) type Joined = oneshot::Sender<Result<Option<Position>, RequestError>>;

pub(crate) enum Command {
    Ask {
        message: Message,
        deadline: Instant,
        answer: Answer,
    },
    Post {
        message: Message,
        deadline: Instant,
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
        deadline: Instant,
        answer: Answer,
    },
    Retry,
}
