//! Every frame is a message without a route.

use bytes::{BufMut, BytesMut};
use realtime::{
    Message, Payload,
    codec::{Codec, CodecError, Frame, FrameKind, Notice},
    message::{MessageParts, Metadata},
};

/// Where the kind of frame that a message came in is noted, so that it goes back the same way.
const BINARY: &str = "binary";

/// The data is the whole frame.
#[derive(Debug)]
pub(crate) struct RawCodec;

impl Codec for RawCodec {
    fn name(&self) -> &str {
        "raw"
    }

    fn encode(&self, message: &Message, out: &mut BytesMut) -> Result<FrameKind, CodecError> {
        out.put_slice(message.data().as_bytes());
        let binary = message
            .metadata()
            .is_some_and(|metadata| metadata.contains_key(BINARY));
        Ok(if binary {
            FrameKind::Binary
        } else {
            FrameKind::Text
        })
    }

    fn decode(&self, frame: Frame) -> Result<Message, CodecError> {
        let mut parts = MessageParts::default();
        if frame.kind() == FrameKind::Binary {
            parts.metadata = Some(Metadata::from([(BINARY.to_owned(), String::new())]));
        }
        parts.data = Payload::from(frame.into_bytes());
        Ok(Message::from_parts(parts))
    }

    /// Nothing but what came goes back: the clients know no other message.
    fn encode_notice(
        &self,
        _: &Notice<'_>,
        _: &mut BytesMut,
    ) -> Result<Option<FrameKind>, CodecError> {
        Ok(None)
    }
}
