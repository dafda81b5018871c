//! From messages to frames that are ready to be written, in one dialect.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use realtime_core::{
    CloseCode, Message, RoomName,
    codec::{Codec, CodecError, CodecErrorKind, FrameKind, Notice},
    dialect::{Closing, Dialect, Event, Heartbeat, Opening},
    history::Position,
};
use realtime_websocket::{Kind, frame};

use crate::guarded::{Whose, caught};

/// Speaks for all sessions of one dialect.
#[derive(Debug, Clone)]
pub(crate) enum Encoder {
    /// Envelopes in an encoding of their own: by far the most, so they go the short way.
    Codec(Arc<dyn Codec>),
    Dialect(Arc<dyn Dialect>),
}

impl Encoder {
    /// Its name, which is its subprotocol.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Codec(codec) => codec.name(),
            Self::Dialect(dialect) => dialect.name(),
        }
    }

    pub(super) fn codec(&self) -> Option<&dyn Codec> {
        match self {
            Self::Codec(codec) => Some(&**codec),
            Self::Dialect(_) => None,
        }
    }

    /// A frame, split off a buffer; empty where the message has no form, so that its client is told
    /// nothing.
    #[inline]
    pub(crate) fn frame_in(
        &self,
        out: &mut BytesMut,
        message: &Message,
    ) -> Result<Bytes, CodecError> {
        match self {
            Self::Codec(codec) => {
                frame::server_frame_in(out, |out| Ok(opcode(codec.encode(message, out)?)))
            }
            Self::Dialect(dialect) => {
                let frame = event(&**dialect, &event_of(message))?;
                Ok(frame.unwrap_or_default())
            }
        }
    }

    /// A frame for those of many who speak it; empty where the message has no form in it.
    pub(super) fn frame_if_any(&self, message: &Message) -> Result<Bytes, CodecError> {
        match self {
            Self::Codec(codec) => unbroken(|| encode(&**codec, message)).map(|(frame, ..)| frame),
            Self::Dialect(dialect) => {
                let frame = event(&**dialect, &event_of(message))?;
                Ok(frame.unwrap_or_default())
            }
        }
    }

    /// What the gateway itself has to say; `None` where there is no form for it.
    pub(crate) fn notice(&self, notice: &Notice<'_>) -> Result<Option<Bytes>, CodecError> {
        match self {
            Self::Codec(codec) => {
                let mut body = BytesMut::with_capacity(128);
                let kind = codec.encode_notice(notice, &mut body)?;
                Ok(kind.map(|kind| frame_of(kind, &body)))
            }
            Self::Dialect(dialect) => event(&**dialect, &Event::Notice(notice)),
        }
    }

    /// What opens a session. In a codec nothing does.
    pub(crate) fn opened(&self, opening: &Opening<'_>) -> Result<Option<Bytes>, CodecError> {
        match self {
            Self::Codec(_) => Ok(None),
            Self::Dialect(dialect) => event(&**dialect, &Event::Opened(opening)),
        }
    }

    /// That the session was put into a room. In a codec nobody is told.
    pub(crate) fn entered(
        &self,
        room: &RoomName,
        position: Option<&Position>,
    ) -> Result<Option<Bytes>, CodecError> {
        match self {
            Self::Codec(_) => Ok(None),
            Self::Dialect(dialect) => event(&**dialect, &Event::Entered(room, position)),
        }
    }

    /// What is said before a close frame. In a codec nothing is: the frame says all.
    pub(crate) fn closing(&self, closing: &Closing<'_>) -> Result<Option<Bytes>, CodecError> {
        match self {
            Self::Codec(_) => Ok(None),
            Self::Dialect(dialect) => event(&**dialect, &Event::Closing(closing)),
        }
    }

    /// With which code a connection is closed.
    pub(crate) fn close_code(&self, code: CloseCode) -> CloseCode {
        match self {
            Self::Codec(_) => code,
            Self::Dialect(dialect) => unbroken(|| Ok(dialect.close_code(code))).unwrap_or(code),
        }
    }

    /// How it is found out whether a client is there.
    pub(crate) fn heartbeat(&self) -> Heartbeat {
        match self {
            Self::Codec(_) => Heartbeat::WebSocket,
            Self::Dialect(dialect) => dialect.heartbeat(),
        }
    }

    /// What asks whether the client is there, where that isn't asked by WebSocket pings.
    pub(crate) fn ping(&self) -> Result<Option<Bytes>, CodecError> {
        match self {
            Self::Codec(_) => Ok(None),
            Self::Dialect(dialect) => event(&**dialect, &Event::Ping),
        }
    }
}

/// A message with an id answers the request of that id.
fn event_of(message: &Message) -> Event<'_> {
    match message.message_id() {
        Some(_) => Event::Reply(message),
        None => Event::Message(message),
    }
}

fn event(dialect: &dyn Dialect, event: &Event<'_>) -> Result<Option<Bytes>, CodecError> {
    let mut body = BytesMut::with_capacity(128);
    let kind = unbroken(|| dialect.write(event, &mut body))?;
    if kind == Some(FrameKind::Text) && std::str::from_utf8(&body).is_err() {
        let context = "expected text frames of a dialect to be UTF-8; got other bytes";
        return Err(CodecError::new(CodecErrorKind::Encode, context));
    }
    Ok(kind.map(|kind| frame_of(kind, &body)))
}

/// A panic as an error.
pub(super) fn unbroken<T>(call: impl FnOnce() -> Result<T, CodecError>) -> Result<T, CodecError> {
    caught(Whose::Codec, call).unwrap_or_else(|broken| {
        let context = "what was to be said could not be encoded";
        Err(CodecError::new(CodecErrorKind::Encode, context).with_source(broken))
    })
}

/// A frame, its body, and which kind it is.
pub(super) fn encode(
    codec: &dyn Codec,
    message: &Message,
) -> Result<(Bytes, Bytes, FrameKind), CodecError> {
    let (mut kind, mut length) = (FrameKind::Text, 0);
    let frame = frame::server_frame_with(|out| {
        let start = out.len();
        kind = codec.encode(message, out)?;
        length = out.len().saturating_sub(start);
        Ok::<_, CodecError>(opcode(kind))
    })?;
    let body = frame.slice(frame.len() - length..);
    Ok((frame, body, kind))
}

/// Frames a body that is encoded already.
pub(crate) fn frame_of(kind: FrameKind, body: &[u8]) -> Bytes {
    frame::server_frame(opcode(kind), body)
}

const fn opcode(kind: FrameKind) -> Kind {
    match kind {
        FrameKind::Binary => Kind::Binary,
        FrameKind::Text => Kind::Text,
    }
}
