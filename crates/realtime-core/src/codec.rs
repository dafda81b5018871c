//! The codec seam: how an envelope becomes a frame, and back, and what form the gateway's own
//! messages have.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::{
    ClientError, Message, MessageId, RoomName, Text, error::operation_error, history::Position,
};

/// Encodes and decodes envelopes.
///
/// A codec sees one whole WebSocket message at a time, and looks into a payload only where JSON has
/// to become something else. It is synchronous, is called from many threads at once, and is named in
/// the handshake: a client may ask for it as a subprotocol.
///
/// ```
/// use bytes::{BufMut, Bytes, BytesMut};
/// use realtime::{
///     Message, Payload,
///     codec::{Codec, CodecError, Frame, FrameKind, Notice},
///     message::MessageParts,
/// };
///
/// /// Every frame is a message without a route, and its data as it came.
/// #[derive(Debug)]
/// struct Raw;
///
/// impl Codec for Raw {
///     fn name(&self) -> &str {
///         "raw"
///     }
///
///     fn encode(&self, message: &Message, out: &mut BytesMut) -> Result<FrameKind, CodecError> {
///         out.put_slice(message.data().as_bytes());
///         Ok(FrameKind::Binary)
///     }
///
///     fn decode(&self, frame: Frame) -> Result<Message, CodecError> {
///         let mut parts = MessageParts::default();
///         parts.data = Payload::binary(frame.into_bytes());
///         Ok(Message::from_parts(parts))
///     }
///
///     /// Bare data has no room for what the gateway says itself.
///     fn encode_notice(
///         &self,
///         _: &Notice<'_>,
///         _: &mut BytesMut,
///     ) -> Result<Option<FrameKind>, CodecError> {
///         Ok(None)
///     }
/// }
///
/// let mut out = BytesMut::new();
/// let message = Raw.decode(Frame::Binary(Bytes::from_static(b"\x00\x01")))?;
/// assert_eq!(Raw.encode(&message, &mut out)?, FrameKind::Binary);
/// assert_eq!(&out[..], b"\x00\x01");
/// # Ok::<(), CodecError>(())
/// ```
pub trait Codec: std::fmt::Debug + Send + Sync + 'static {
    /// The name of the codec, which is also its WebSocket subprotocol.
    ///
    /// # Behavior
    /// - The name is a non-empty HTTP token: letters, digits and `!#$%&'*+-.^_|~` with a backtick.
    /// - The name is the same at every call.
    fn name(&self) -> &str;

    /// Appends the encoded envelope to `out`, and says which kind of frame carries it.
    ///
    /// # Behavior
    /// - What it appends decodes to the same message.
    /// - It only appends: what `out` held before stays as it was.
    /// - Text frames are UTF-8.
    ///
    /// # Errors
    /// Kind [`Encode`](CodecErrorKind::Encode) when the message has no form in this codec; `out`
    /// may then hold a part of it, which the caller discards.
    fn encode(&self, message: &Message, out: &mut BytesMut) -> Result<FrameKind, CodecError>;

    /// Reads an envelope from one whole WebSocket message.
    ///
    /// # Behavior
    /// - Garbage is refused with kind [`Malformed`](CodecErrorKind::Malformed), without a panic;
    ///   where a request's id can be read all the same, the error
    ///   [has it](CodecError::with_request).
    /// - A kind of frame that the codec doesn't speak is refused with kind
    ///   [`UnsupportedFrame`](CodecErrorKind::UnsupportedFrame).
    /// - Where [`Notice::Request`] has a form, it is read as a message that is an
    ///   [`Exchange::Request`](crate::Exchange::Request) with that id, and what answers it has a
    ///   form, too.
    ///
    /// # Errors
    /// As above. The gateway answers the first kind with an `error` message and the second with
    /// close code 1003.
    fn decode(&self, frame: Frame) -> Result<Message, CodecError>;

    /// Appends the encoded notice to `out`, and says which kind of frame carries it; `None` where
    /// the protocol has no form for it: then nothing is sent.
    ///
    /// There is no default: whether this protocol has a place for such messages is for each author
    /// to decide. A codec with envelopes uses the routes in [`routes`]. New notices may be added,
    /// so a `match` ends with `_ => Ok(None)`.
    ///
    /// # Behavior
    /// - It only appends: what `out` held before stays as it was.
    /// - Where there is no form, nothing is appended.
    /// - Text frames are UTF-8, and every frame is one that the codec's own clients can read.
    ///
    /// # Errors
    /// Kind [`Encode`](CodecErrorKind::Encode) when the notice has a form but can't be written;
    /// `out` may then hold a part of it, which the caller discards.
    fn encode_notice(
        &self,
        notice: &Notice<'_>,
        out: &mut BytesMut,
    ) -> Result<Option<FrameKind>, CodecError>;
}

/// What the gateway itself says to a client.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// The client's message failed.
    Error {
        /// The id of the request, where the message had one.
        id: Option<&'a MessageId>,
        /// What the client may learn of it.
        error: &'a ClientError,
    },
    /// Messages for this client were lost.
    Gap {
        /// How many.
        missed: u64,
        /// Where the histories are of those of its rooms that have one: a client that isn't there
        /// recovers, from where it is.
        rooms: &'a [(RoomName, Position)],
    },
    /// What the client has shown of who it is ends soon: it shows a fresh token on this connection,
    /// or is closed.
    Expiring {
        /// How long it still holds.
        within: Duration,
    },
    /// The session is no longer a member of a room, though its client didn't ask to leave.
    Removed {
        /// The room.
        room: &'a RoomName,
    },
    /// The client's request to be in a room was granted: the answer to it. Where it asked to
    /// recover what it had missed, that is in it.
    Joined {
        /// The id of the request.
        id: &'a MessageId,
        /// The route by which it came.
        route: &'a Text,
        /// Where the room's history is now, where the room has one. What is sent afterwards
        /// follows.
        position: Option<&'a Position>,
        /// What became of the wish to recover, where the client had one.
        recovery: Option<Recovered<'a>>,
    },
    /// The server asks its client, and wants an answer under this id. A codec that has a form for it
    /// reads the answer as a message with [`Exchange::Reply`](crate::Exchange::Reply) or
    /// [`Refusal`](crate::Exchange::Refusal).
    Request {
        /// The id, which is the server's: it has nothing to do with those of the client's requests.
        id: &'a MessageId,
        /// What is asked.
        message: &'a Message,
    },
}

/// What became of a client's wish to get what it had missed.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Recovered<'a> {
    /// All that it has missed, in order and each once.
    Complete(&'a [Message]),
    /// It can't be had any more, so the client loads afresh what it shows.
    Lost,
}

/// The routes of the gateway's own messages, in a codec whose messages have routes.
///
/// They are the gateway's: a client that sends on them is answered as for an unknown route, a
/// handler for one of them is refused when the gateway is built, and what an application sends on
/// one is an error.
pub mod routes {
    /// The client's message failed: [`Notice::Error`](super::Notice::Error).
    pub const ERROR: &str = "error";
    /// What the client has shown ends soon: [`Notice::Expiring`](super::Notice::Expiring).
    pub const EXPIRING: &str = "expiring";
    /// Messages for the client were lost: [`Notice::Gap`](super::Notice::Gap).
    pub const GAP: &str = "gap";
    /// The client is no longer in a room: [`Notice::Removed`](super::Notice::Removed).
    pub const REMOVED: &str = "removed";

    /// Whether a route is one of these.
    #[must_use]
    #[inline]
    pub fn is_reserved(route: &str) -> bool {
        matches!(route, ERROR | EXPIRING | GAP | REMOVED)
    }
}

/// Whether a frame carries text or binary data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// Arbitrary bytes.
    Binary,
    /// UTF-8 text.
    Text,
}

/// One whole WebSocket message as it came from the peer, fragments joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Arbitrary bytes.
    Binary(Bytes),
    /// UTF-8 text.
    Text(Text),
}

impl Frame {
    /// Text or binary.
    #[must_use]
    pub const fn kind(&self) -> FrameKind {
        match self {
            Self::Binary(_) => FrameKind::Binary,
            Self::Text(_) => FrameKind::Text,
        }
    }

    /// The bytes of either kind.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Binary(bytes) => bytes,
            Self::Text(text) => text.as_bytes(),
        }
    }

    /// Gives up the bytes, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Binary(bytes) => bytes,
            Self::Text(text) => text.into(),
        }
    }
}

operation_error! {
    /// A payload or an envelope that could not be encoded or decoded.
    CodecError, CodecErrorKind
}

/// The sorts of [`CodecError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CodecErrorKind {
    /// The data of a message doesn't fit the type that was asked for.
    Decode,
    /// A value can't be serialised, or a message has no form in the codec.
    Encode,
    /// The peer sent something that is not an envelope.
    Malformed,
    /// The peer sent a kind of frame that the codec doesn't speak.
    UnsupportedFrame,
}

impl CodecError {
    /// Says which request it was that could not be read, where its id could be: the client that
    /// waits for an answer gets one.
    ///
    /// ```
    /// use realtime::codec::{CodecError, CodecErrorKind};
    ///
    /// let error = CodecError::new(CodecErrorKind::Malformed, "not an envelope");
    /// assert_eq!(error.with_request("7".into()).request().map(|id| id.as_str()), Some("7"));
    /// ```
    #[must_use]
    pub fn with_request(mut self, id: MessageId) -> Self {
        let error = self.source.take();
        self.with_source(OfRequest { id, error })
    }

    /// The id of the request that could not be read, if the codec has found it.
    #[must_use]
    pub fn request(&self) -> Option<&MessageId> {
        let source = self.source.as_deref()?;
        source.downcast_ref().map(|OfRequest { id, .. }| id)
    }
}

/// What a failure was, and of which request.
#[derive(Debug)]
struct OfRequest {
    id: MessageId,
    error: Option<std::sync::Arc<dyn std::error::Error + Send + Sync + 'static>>,
}

impl std::fmt::Display for OfRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a request could not be read")
    }
}

impl std::error::Error for OfRequest {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let error = self.error.as_deref()?;
        Some(error)
    }
}
