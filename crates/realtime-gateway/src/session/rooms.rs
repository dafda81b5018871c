//! The rooms that a session is in.

use std::sync::{Arc, Weak};

use futures::future::BoxFuture;
use realtime_core::{
    BoxError, Message, MessageId, RoomName, Text,
    history::{IdempotencyKey, Position},
    presence::{MemberPage, PresenceError},
};

use super::{Attempt, Session};
use crate::{
    JoinError, JoinErrorKind,
    outbound::{Followed, Membership, Opening, Room},
};

/// What lets sessions into rooms, and out: above them, since other nodes take part.
pub(crate) trait Doors: Send + Sync {
    fn enter(
        self: Arc<Self>,
        session: Session,
        entrance: Entrance,
    ) -> BoxFuture<'static, Result<(), JoinError>>;

    /// Returns whether it was a member.
    fn leave(&self, session: &Session, room: &RoomName) -> bool;

    /// Where the histories are of those of a session's rooms that have one, by the names that its
    /// client knows.
    fn positions(&self, session: &Session) -> Vec<(RoomName, Position)>;

    /// Some of those who are in a room, on all nodes.
    fn members(
        self: Arc<Self>,
        room: RoomName,
        after: Option<u64>,
        limit: usize,
    ) -> BoxFuture<'static, Result<MemberPage, PresenceError>>;

    /// Sends what a member has published.
    fn publish(self: Arc<Self>, publish: Publish) -> BoxFuture<'static, Result<(), BoxError>>;
}

/// How a session comes into a room.
#[derive(Debug)]
pub(crate) struct Entrance {
    pub(crate) room: RoomName,
    /// By which it is counted.
    pub(crate) attempt: Attempt,
    /// What of its client's request the answer needs, where it has asked for itself.
    pub(crate) request: Option<Request>,
    /// Behind what its client wants to go on.
    pub(crate) recover: Option<Position>,
    /// How often the identity had changed that its rule was asked about, where one was.
    pub(crate) asked_about: Option<u64>,
}

/// What of a request its answer needs.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) id: MessageId,
    pub(crate) route: Text,
}

/// What a member publishes to its room.
#[derive(Debug)]
pub(crate) struct Publish {
    pub(crate) room: RoomName,
    pub(crate) message: Message,
    pub(crate) key: Option<IdempotencyKey>,
}

impl Session {
    /// Makes the session a member of a room: from now on it gets what is sent to the room.
    ///
    /// A room needs no making: it is there as long as it has members. When this has returned,
    /// nothing is missed that is sent to the room afterwards, on any node; what was sent before
    /// doesn't come. To join a room again changes nothing. A session leaves all its rooms when it
    /// ends.
    ///
    /// # Cancel safety
    /// Dropped before it returns, the session may be a member or not.
    ///
    /// # Errors
    /// Kind [`InvalidRoom`](JoinErrorKind::InvalidRoom) where the name isn't 1 to 256 bytes;
    /// [`TooManyRooms`](JoinErrorKind::TooManyRooms) past
    /// [`Config::max_rooms_per_session`](crate::Config::max_rooms_per_session),
    /// [`NodeFull`](JoinErrorKind::NodeFull) past [`Config::max_rooms`](crate::Config::max_rooms),
    /// [`Broker`](JoinErrorKind::Broker) where what other nodes send to the room could not be
    /// subscribed to, [`History`](JoinErrorKind::History) where the room's history could not be
    /// asked, and [`SessionClosed`](JoinErrorKind::SessionClosed).
    ///
    /// ```
    /// use realtime::{ClientError, Json, Router, Session, error::JoinError};
    ///
    /// /// A client asks to follow an order, and may if it is one of its own.
    /// async fn follow(session: Session, Json(order): Json<u64>) -> Result<(), JoinError> {
    ///     session.join(format!("order:{order}")).await
    /// }
    ///
    /// let router = Router::new().route("follow", follow);
    /// # use realtime::{Gateway, Identity};
    /// # use realtime_testkit::memory::connect;
    /// # let gateway = realtime::builder().router(router).build().unwrap();
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn check(gateway: Gateway) -> Result<(), Box<dyn std::error::Error>> {
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # ann.request("follow", Json(42)).await?;
    /// // Wherever something happens to the order:
    /// gateway.room("order:42").send("status", Json("shipped")).await?;
    /// # let status = ann.receive_on("status").await?;
    /// # assert_eq!(status.decode::<String>()?, "shipped");
    /// # assert_eq!(status.room().map(|room| room.as_str()), Some("order:42"));
    /// # Ok(())
    /// # }
    /// # check(gateway).unwrap();
    /// ```
    pub async fn join<R>(&self, room: R) -> Result<(), JoinError>
    where
        R: TryInto<RoomName, Error: Into<BoxError>>,
    {
        let mut attempt = Attempt::begin(self.clone(), false);
        let room = room.try_into().map_err(|wrong| {
            let context = "the room can't be joined, since it has no valid name";
            JoinError::new(JoinErrorKind::InvalidRoom, context).with_source(wrong)
        });
        let room = attempt.step(JoinErrorKind::InvalidRoom.name(), room)?;
        let doors = self.doors().ok_or_else(room_closed);
        let doors = attempt.step(JoinErrorKind::SessionClosed.name(), doors)?;
        let entrance = Entrance {
            room,
            attempt,
            request: None,
            recover: None,
            asked_about: None,
        };
        doors.enter(self.clone(), entrance).await
    }

    /// Leaves a room: what is sent to it afterwards doesn't come any more. Returns whether the
    /// session was a member. Where it is kept who is in the room, and no other session of the
    /// identity is, that is told once
    /// [`presence_grace`](crate::Config::presence_grace) is over.
    ///
    /// ```
    /// # use realtime::{Identity, Json};
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # let session = ann.session(&gateway).ok_or("no session")?;
    /// session.join("lobby").await?;
    /// assert!(session.leave("lobby"));
    /// assert!(!session.leave("lobby"), "it isn't there any more");
    /// # assert_eq!(gateway.room("lobby").send("news", Json(1)).await?.local, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn leave<R: TryInto<RoomName>>(&self, room: R) -> bool {
        match (room.try_into(), self.doors()) {
            (Ok(room), Some(doors)) => doors.leave(self, &room),
            _ => false,
        }
    }

    /// The rooms that the session is in, in no particular order.
    ///
    /// ```
    /// # use realtime::Identity;
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # let session = ann.session(&gateway).ok_or("no session")?;
    /// session.join("lobby").await?;
    /// assert_eq!(session.rooms()[0].as_str(), "lobby");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn rooms(&self) -> Vec<RoomName> {
        self.outbox().rooms()
    }

    pub(crate) fn doors(&self) -> Option<Arc<dyn Doors>> {
        self.env().doors.get().and_then(Weak::upgrade)
    }

    pub(crate) fn follow(
        &self,
        room: &Arc<Room>,
        number: u64,
        most: usize,
        opening: Opening,
    ) -> Followed {
        let (accepted, followed) = self.outbox().follow(room, number, most, opening);
        self.count(accepted);
        followed
    }

    pub(crate) fn unfollow(&self, room: &RoomName) -> Option<Membership> {
        let (accepted, left) = self.outbox().unfollow(room);
        self.count(accepted);
        left
    }
}

pub(crate) fn room_closed() -> JoinError {
    let context = "the session is closing or closed, so it joins no room";
    JoinError::new(JoinErrorKind::SessionClosed, context)
}
