//! Every frame is a message without a route.

use bytes::{BufMut, BytesMut};
use realtime::{
    Message, Payload,
    codec::{Codec, CodecError, Frame, FrameKind, Notice},
    message::Text,
};

/// The data is the whole frame.
#[derive(Debug)]
pub(crate) struct RawCodec;

impl Codec for RawCodec {
    fn name(&self) -> &str {
        "raw"
    }

    fn encode(&self, message: &Message, out: &mut BytesMut) -> Result<FrameKind, CodecError> {
        out.put_slice(message.data().as_bytes());
        Ok(match message.data().is_binary() {
            true => FrameKind::Binary,
            false => FrameKind::Text,
        })
    }

    fn decode(&self, frame: Frame) -> Result<Message, CodecError> {
        let data = match frame {
            Frame::Binary(bytes) => Payload::binary(bytes),
            Frame::Text(text) => Payload::from(text),
        };
        Ok(Message::plain(None, Text::new(), data))
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
