//! How a session comes into a room, and a message to its members: with other nodes, and with the
//! history of the room where it has one.

mod entry;
mod presence;
mod send;
mod stored;

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use realtime_core::{
    BoxError, RoomName,
    presence::{Group, MemberPage, PresenceError},
};

use crate::{
    JoinError, Session,
    node::Node,
    session::{Doors, Entrance, Publish},
};

pub(crate) use presence::{announce, members};
pub(crate) use send::{ToRooms, send};
pub use stored::RoomHistory;
pub(crate) use stored::{fill, latest, tell_of_loss};

impl Doors for Node {
    fn enter(
        self: Arc<Self>,
        session: Session,
        entrance: Entrance,
    ) -> BoxFuture<'static, Result<(), JoinError>> {
        async move { entry::enter(&self, &session, entrance).await }.boxed()
    }

    fn leave(&self, session: &Session, room: &RoomName) -> bool {
        self.hub.rooms().leave(session, room)
    }

    fn members(
        self: Arc<Self>,
        room: RoomName,
        after: Option<u64>,
        limit: usize,
    ) -> BoxFuture<'static, Result<MemberPage, PresenceError>> {
        async move { members(&self, &Group::Room(room), after, limit).await }.boxed()
    }

    fn publish(self: Arc<Self>, publish: Publish) -> BoxFuture<'static, Result<(), BoxError>> {
        let Publish { room, message, key } = publish;
        let to = ToRooms {
            rooms: vec![room],
            except: Vec::new(),
            message,
            key,
        };
        async move {
            send(&self, to).await?;
            Ok(())
        }
        .boxed()
    }
}
