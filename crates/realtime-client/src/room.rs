//! Rooms, as their users know them.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use base64::{Engine, prelude::BASE64_STANDARD as BASE64};
use futures::{Stream, StreamExt};
use realtime_core::{
    IntoPayload, Message, Payload, RoomName, Text,
    codec::{CodecError, CodecErrorKind},
    history::Position,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use crate::{
    Client, Refusal, RequestError,
    command::{Command, Limit},
    inbox::{Got, Inbox, Weighed},
    rooms::RoomItem,
};

/// What happens in a room.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RoomEvent {
    /// A message. In a room with a history they come in order, each once.
    Message(Message),
    /// A member again, and all that was missed has come before this.
    #[non_exhaustive]
    Recovered {
        /// How many messages that were.
        missed: u64,
    },
    /// A member again, but something was missed that can't be had, or not be read: load afresh what
    /// you show. Rooms without a history lose something with each connection.
    Lost,
    /// The server has removed this client. Nothing follows.
    Removed,
    /// The server doesn't let it in again. Nothing follows.
    Refused(Refusal),
    /// So many events were dropped here, since this stream wasn't read in time.
    Dropped(u64),
}

impl Weighed for RoomItem {
    fn weight(&self) -> usize {
        let event = match &self.0 {
            RoomEvent::Message(message) => message.weight(),
            RoomEvent::Refused(refusal) => refusal.payload().len(),
            _ => 0,
        };
        let epoch = self.1.as_ref().map_or(0, |at| at.epoch.as_str().len());
        size_of::<Self>() + epoch + event
    }
}

/// A room that may be joined: from [`Client::room`]. It costs nothing until then.
#[derive(Debug, Clone)]
#[must_use = "a room does nothing unless it is joined"]
pub struct Room {
    client: Client,
    name: Text,
    from: Option<Position>,
}

impl Room {
    pub(crate) const fn new(client: Client, name: Text) -> Self {
        Self {
            client,
            name,
            from: None,
        }
    }

    /// Goes on from where an earlier [`Membership::position`] was: what was missed since then comes
    /// first, and then [`Recovered`](RoomEvent::Recovered), or [`Lost`](RoomEvent::Lost) does. It
    /// holds where this client isn't in the room yet.
    pub fn from(mut self, position: impl Into<Option<Position>>) -> Self {
        self.from = position.into();
        self
    }

    /// Joins it, and again after each connection, until the membership is left or dropped. The room
    /// is left with the last membership of this client in it.
    ///
    /// It waits for a connection as long as it takes. Dropping it gives the wish up.
    ///
    /// # Errors
    /// [`Refused`](RequestError::Refused) when the server doesn't let it in,
    /// [`Ended`](RequestError::Ended) when there will be no connection,
    /// [`Encode`](RequestError::Encode) when this can't be the name of a room.
    pub async fn join(self) -> Result<Membership, RequestError> {
        let name = self.name()?;
        let gone = std::sync::Arc::clone(&self.client.shared().gone);
        let inbox = Inbox::new(self.client.settings().inbox, Some(gone));
        let (joined, result) = oneshot::channel();
        let outlet = inbox.outlet();
        let command = Command::Join {
            room: name.clone(),
            from: self.from,
            outlet,
            joined,
        };
        self.client.command(command).await?;
        let position = result.await.unwrap_or(Err(RequestError::Ended))?;
        Ok(Membership {
            client: self.client,
            name,
            inbox,
            position,
        })
    }

    /// Sends to all members, where the room's rule lets members publish.
    ///
    /// # Errors
    /// Those of [`Client::request`].
    pub async fn publish(&self, data: impl IntoPayload) -> Result<(), RequestError> {
        self.client.publish(&self.name()?, data, None).await
    }

    fn name(&self) -> Result<RoomName, RequestError> {
        let name = RoomName::shown(self.name.clone());
        name.ok_or_else(|| wrong("expected the name of a room: 1 to 256 bytes, or `@me`"))
    }
}

fn wrong(context: &'static str) -> RequestError {
    RequestError::Encode(CodecError::new(CodecErrorKind::Encode, context))
}

/// A room that was joined, and a stream of what happens in it. It holds the client's connection, and
/// leaves the room when it is dropped.
///
/// The stream ends with the client, and where the server doesn't want it in the room any more.
/// Waiting for the next event is cancel-safe.
///
/// ```no_run
/// # async fn f(client: realtime_client::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use futures::StreamExt;
/// use realtime_client::RoomEvent;
///
/// let mut order = client.room("order:42").join().await?;
/// while let Some(event) = order.next().await {
///     match event {
///         RoomEvent::Message(message) => println!("{}", message.decode::<String>()?),
///         RoomEvent::Lost => println!("load it afresh"),
///         _ => {}
///     }
/// }
/// # Ok(()) }
/// ```
#[must_use = "a membership ends when it is dropped"]
pub struct Membership {
    client: Client,
    name: RoomName,
    inbox: Inbox<RoomItem>,
    position: Option<Position>,
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, position, .. } = self;
        f.debug_struct("Membership")
            .field("name", name)
            .field("position", position)
            .finish_non_exhaustive()
    }
}

impl Membership {
    /// The name of the room.
    #[must_use]
    pub fn name(&self) -> &RoomName {
        &self.name
    }

    /// Where the reader of this stream is, for [`Room::from`] after a restart. `None` in a room without
    /// a history.
    #[must_use]
    pub fn position(&self) -> Option<&Position> {
        self.position.as_ref()
    }

    /// Sends to all members, where the room's rule lets members publish.
    ///
    /// # Errors
    /// Those of [`Client::request`].
    pub async fn publish(&self, data: impl IntoPayload) -> Result<(), RequestError> {
        self.client.publish(&self.name, data, None).await
    }

    /// The same with a key, for rooms with a history: the same key of the same identity is taken once.
    /// So it may be repeated where it isn't known what became of it.
    ///
    /// # Errors
    /// Those of [`Client::request`].
    pub async fn publish_once(
        &self,
        key: impl Into<String>,
        data: impl IntoPayload,
    ) -> Result<(), RequestError> {
        self.client
            .publish(&self.name, data, Some(key.into()))
            .await
    }

    /// Who is there, where the room's rule says so: a page of up to `limit` after a version, which is
    /// [`Members::after`] of the page before, or 0.
    ///
    /// # Errors
    /// Those of [`Client::request`].
    pub async fn members(&self, after: u64, limit: u32) -> Result<Members, RequestError> {
        #[derive(Serialize)]
        struct Wish<'r> {
            room: &'r str,
            after: u64,
            limit: u32,
        }
        let wish = Wish {
            room: self.name.as_str(),
            after,
            limit,
        };
        let data = Payload::json(&wish).map_err(RequestError::Encode)?;
        let answer = self.client.request("members", data).await?;
        answer.decode().map_err(RequestError::Decode)
    }

    /// Leaves the room, and waits until that is done. It goes on where other memberships of this client
    /// are in it.
    ///
    /// # Errors
    /// Those of [`Client::request`]. It is no longer a member either way.
    pub async fn leave(self) -> Result<(), RequestError> {
        let Self {
            client,
            name,
            inbox,
            ..
        } = self;
        inbox.close();
        let limit = Limit::new(client.settings().timeout);
        let (answer, result) = oneshot::channel();
        let command = Command::Leave {
            room: name,
            limit: limit.clone(),
            answer,
        };
        client.command_until(command, limit.deadline).await?;
        limit.wait(result).await.map(drop)
    }
}

impl Stream for Membership {
    type Item = RoomEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<RoomEvent>> {
        let event = match ready!(self.inbox.poll_next_unpin(cx)) {
            None => return Poll::Ready(None),
            Some(Got::Missed(dropped)) => RoomEvent::Dropped(dropped),
            Some(Got::Item((event, position))) => {
                self.position = position;
                event
            }
        };
        Poll::Ready(Some(event))
    }
}

/// A page of who is in a room.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct Members {
    /// In the order of their versions.
    pub members: Vec<Member>,
    /// How many there are in the whole room.
    pub count: u64,
    /// Where there are more: what the next page comes after.
    pub after: Option<u64>,
}

/// Somebody in a room.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[non_exhaustive]
pub struct Member {
    /// Who.
    pub id: String,
    /// Of which tenant, where there is one.
    pub tenant: Option<String>,
    /// Higher than that of each coming and going before it in this room.
    pub version: u64,
}

/// The data of `publish`.
pub(crate) fn publishing(
    room: &RoomName,
    data: &Payload,
    key: Option<&str>,
) -> Result<Payload, CodecError> {
    #[derive(Serialize)]
    struct Publish<'p> {
        room: &'p str,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<&'p RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        encoding: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<&'p str>,
    }
    let (text, encoding) = match data.is_binary() {
        true => (
            Payload::json(&BASE64.encode(data.as_bytes()))?,
            Some("base64"),
        ),
        false => (data.clone(), None),
    };
    let raw = match text.is_empty() {
        true => None,
        false => {
            text.check_json()?;
            Some(serde_json::from_slice(text.as_bytes()).map_err(|e| {
                let context = "expected a payload that is one JSON value";
                CodecError::new(CodecErrorKind::Encode, context).with_source(e)
            })?)
        }
    };
    Payload::json(&Publish {
        room: room.as_str(),
        data: raw,
        encoding,
        key,
    })
}
