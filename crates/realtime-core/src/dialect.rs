//! The dialect seam: a client protocol of its own, above the codec.
//!
//! A [`Codec`](crate::codec::Codec) is another encoding of the same envelopes. A dialect says
//! everything in its own way: what opens a session, several messages in one frame, answers, pings.

use std::{fmt, time::Duration};

use bytes::{Bytes, BytesMut};

use crate::{
    CloseCode, IdentityKey, Message, MessageId, RoomName, SessionId,
    codec::{CodecError, CodecErrorKind, Frame, FrameKind, Notice},
    history::Position,
};

/// A client protocol: what its frames mean, and how it is told what happens.
///
/// Frames become [actions](Actions), and [events](Event) become frames. What a client asks the
/// gateway itself for is a message on one of its routes: `join`, `recover`, `leave`, `publish`,
/// `members` and `authenticate`, with the data that `docs/protocol.md` gives them. Layers, handlers
/// and rules of rooms are then the same for all dialects. An id is the dialect's own: it comes back
/// with the answer as it was, so it may hold what the dialect needs to know of the request.
///
/// It is synchronous, is called from many threads at once, and keeps nothing of a connection.
///
/// ```
/// use bytes::{BufMut, BytesMut};
/// use realtime::{
///     Message, Payload,
///     codec::{CodecError, Frame, FrameKind},
///     dialect::{Actions, Client, Dialect, Event},
///     message::Text,
/// };
///
/// /// Each line of a frame is a message on the route `line`.
/// #[derive(Debug)]
/// struct Lines;
///
/// impl Dialect for Lines {
///     fn name(&self) -> &str {
///         "lines"
///     }
///
///     fn read(
///         &self,
///         frame: Frame,
///         _: &Client<'_>,
///         actions: &mut Actions,
///     ) -> Result<(), CodecError> {
///         for line in String::from_utf8_lossy(frame.as_bytes()).lines() {
///             let data = Payload::json(line)?;
///             actions.handle(Message::plain(None, Text::from_static("line"), data))?;
///         }
///         Ok(())
///     }
///
///     fn write(
///         &self,
///         event: &Event<'_>,
///         out: &mut BytesMut,
///     ) -> Result<Option<FrameKind>, CodecError> {
///         match event {
///             Event::Message(message) | Event::Reply(message) => {
///                 out.put_slice(message.data().as_bytes());
///                 Ok(Some(FrameKind::Text))
///             }
///             // What else there is has no form here.
///             _ => Ok(None),
///         }
///     }
/// }
///
/// let gateway = realtime::builder().dialect(Lines).build()?;
/// # Ok::<(), realtime::error::BuildError>(())
/// ```
pub trait Dialect: fmt::Debug + Send + Sync + 'static {
    /// The name, which is also its WebSocket subprotocol.
    ///
    /// # Behavior
    /// - The name is a non-empty HTTP token: letters, digits and `!#$%&'*+-.^_|~` with a backtick.
    /// - The name is the same at every call.
    fn name(&self) -> &str;

    /// How it is found out whether a client is still there.
    fn heartbeat(&self) -> Heartbeat {
        Heartbeat::WebSocket
    }

    /// With which code the client is told that its connection is closed, where the gateway would say
    /// it with this one: for protocols whose clients know other codes.
    fn close_code(&self, code: CloseCode) -> CloseCode {
        code
    }

    /// Reads one whole WebSocket message.
    ///
    /// # Behavior
    /// - Garbage is refused with kind [`Malformed`](CodecErrorKind::Malformed), without a panic;
    ///   where a request's id can be read all the same, the error
    ///   [has it](CodecError::with_request). One of several that is wrong is
    ///   [put among the others](Actions::malformed), which go on.
    /// - A kind of frame that the dialect doesn't speak is refused with kind
    ///   [`UnsupportedFrame`](CodecErrorKind::UnsupportedFrame).
    ///
    /// # Errors
    /// As above. What was put into `actions` before is done all the same.
    fn read(
        &self,
        frame: Frame,
        client: &Client<'_>,
        actions: &mut Actions,
    ) -> Result<(), CodecError>;

    /// Appends what the client is told of an event to `out`, and says which kind of frame carries
    /// it; `None` where the protocol has no form for it: then nothing is sent.
    ///
    /// Events may be added, so a `match` ends with `_ => Ok(None)`.
    ///
    /// A message without a form counts as sent: its client's protocol has no words for it. One that
    /// has a form and can't be written is an error for whoever sends it to this session alone; where
    /// it was for many, it is lost to those who speak this dialect, who are told by
    /// [`Notice::Gap`], and the error hooks hear of it.
    ///
    /// # Behavior
    /// - It only appends: what `out` held before stays as it was.
    /// - Where there is no form, nothing is appended.
    /// - Text frames are UTF-8.
    ///
    /// # Errors
    /// Kind [`Encode`](CodecErrorKind::Encode) when the event has a form but can't be written; `out`
    /// may then hold a part of it, which the caller discards.
    fn write(&self, event: &Event<'_>, out: &mut BytesMut)
    -> Result<Option<FrameKind>, CodecError>;
}

/// How it is found out whether a client is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Heartbeat {
    /// By WebSocket pings, which browsers answer by themselves.
    WebSocket,
    /// By [`Event::Ping`], for clients that are to see them. Whatever the client sends then is its
    /// answer.
    Messages,
}

/// Who has sent a frame.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Client<'a> {
    /// Its session, as it is now; `None` while the client has yet to show who it is.
    pub session: Option<&'a Opening<'a>>,
}

impl<'a> Client<'a> {
    /// That of a session.
    #[must_use]
    pub const fn of(session: &'a Opening<'a>) -> Self {
        Self {
            session: Some(session),
        }
    }
}

/// What a frame makes the gateway do, in order.
#[derive(Debug, Default)]
pub struct Actions(Vec<Action>);

/// One of [`Actions`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Action {
    /// A message for its handler.
    Handle(Message),
    /// Something that isn't a message, though its neighbours may be.
    Malformed(CodecError),
    /// What the dialect itself has to say to it.
    Answer(FrameKind, Bytes),
}

impl Actions {
    /// How many there may be of one frame.
    pub const MAX: usize = 256;

    /// None so far.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// A message goes to its handler: a request where it has an id.
    ///
    /// # Errors
    /// Kind [`Malformed`](CodecErrorKind::Malformed) when there are [too many](Self::MAX) already, or
    /// it has more than it [may](Message::check_bounds).
    pub fn handle(&mut self, message: Message) -> Result<(), CodecError> {
        message.check_bounds(CodecErrorKind::Malformed)?;
        self.push(Action::Handle(message))
    }

    /// One of several was no message: the client is told by [`Notice::Error`], and the others go
    /// on.
    ///
    /// # Errors
    /// Those of [`handle`](Self::handle).
    pub fn malformed(&mut self, error: CodecError) -> Result<(), CodecError> {
        self.push(Action::Malformed(error))
    }

    /// The client is answered with this frame, and no handler is asked: to a ping of the protocol's
    /// own, say.
    ///
    /// # Errors
    /// Those of [`handle`](Self::handle).
    pub fn answer(&mut self, kind: FrameKind, frame: impl Into<Bytes>) -> Result<(), CodecError> {
        self.push(Action::Answer(kind, frame.into()))
    }

    fn push(&mut self, action: Action) -> Result<(), CodecError> {
        if self.0.len() >= Self::MAX {
            let context = format!(
                "expected at most {} messages in a frame; got more",
                Self::MAX
            );
            return Err(CodecError::new(CodecErrorKind::Malformed, context));
        }
        self.0.push(action);
        Ok(())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl IntoIterator for Actions {
    type Item = Action;
    type IntoIter = std::vec::IntoIter<Action>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// What a client is told.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The session is open. Nothing comes before it, but [`Closing`](Self::Closing) where it never is.
    Opened(&'a Opening<'a>),
    /// A message of the server's, or of a [room](Message::room).
    Message(&'a Message),
    /// The answer to the request with its [id](Message::id), on the request's route.
    Reply(&'a Message),
    /// The session was put into a room, and its client hasn't asked for it. Where it has, it is told
    /// by [`Notice::Joined`].
    Entered(&'a RoomName, Option<&'a Position>),
    /// What the gateway itself has to say.
    Notice(&'a Notice<'a>),
    /// The server closes the session, or a connection that isn't one, of which
    /// [`Opened`](Self::Opened) was never said; and the close frame comes next. It says the same: in a
    /// reason of JSON, `{"reason": "…", "retry_after": 2.5}`, where the client is told when to come
    /// back.
    Closing(&'a Closing<'a>),
    /// Whether the client is there, where [that is said so](Heartbeat::Messages).
    Ping,
}

/// The end of a connection, as the server has decided it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closing<'a> {
    /// What the gateway calls it, before [`Dialect::close_code`].
    pub code: CloseCode,
    /// The reason, for people.
    pub reason: &'a str,
    /// After what time, at the least, the client is to come back: nodes that drain draw one for each.
    pub retry_after: Option<Duration>,
}

impl<'a> Closing<'a> {
    /// That of a code and a reason.
    #[must_use]
    pub const fn new(code: CloseCode, reason: &'a str) -> Self {
        Self {
            code,
            reason,
            retry_after: None,
        }
    }

    /// Adds after what time, at the least, the client is to come back.
    #[must_use]
    pub const fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }
}

/// The beginning of a session.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Opening<'a> {
    /// The session.
    pub session: SessionId,
    /// Whose it is.
    pub identity: &'a IdentityKey,
    /// How long what the client has shown still holds; `None` where that has no end.
    pub expires_in: Option<Duration>,
    /// How long it takes at most from one [`Event::Ping`] to the next; `None` where there are none.
    pub ping_every: Option<Duration>,
    /// How long the client may be silent after one; `None` where that isn't looked at.
    pub pong_within: Option<Duration>,
    /// The id of the first message, where it was that in which the client has shown who it is.
    /// Nothing else answers it.
    pub request: Option<&'a MessageId>,
}

impl<'a> Opening<'a> {
    /// That of a session of which nothing else is to be said.
    #[must_use]
    pub const fn new(session: SessionId, identity: &'a IdentityKey) -> Self {
        Self {
            session,
            identity,
            expires_in: None,
            ping_every: None,
            pong_within: None,
            request: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_makes_so_many_actions_and_no_more() {
        let mut actions = Actions::new();
        assert!(actions.is_empty());
        for _ in 0..Actions::MAX {
            actions.answer(FrameKind::Text, "{}").unwrap();
        }
        let error = actions.handle(Message::default()).unwrap_err();
        assert_eq!(error.kind(), CodecErrorKind::Malformed);
        assert_eq!(actions.len(), Actions::MAX);
    }
}
