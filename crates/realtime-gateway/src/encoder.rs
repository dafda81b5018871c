//! From messages to frames that are ready to be written: the codec, and what goes around it.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use realtime_core::{
    Message,
    codec::{Codec, CodecError, Frame, FrameKind, Notice},
};
use realtime_websocket::{Kind, frame};

/// Encodes and decodes for all sessions of a node.
#[derive(Debug, Clone)]
pub(crate) struct Encoder(Arc<dyn Codec>);

/// A message that is encoded and framed once, for all who get it.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// For sessions of this node.
    pub(crate) frame: Bytes,
    /// The same without the frame's header, for other nodes.
    pub(crate) body: Bytes,
    pub(crate) kind: FrameKind,
}

impl Encoder {
    pub(crate) fn new(codec: Arc<dyn Codec>) -> Self {
        Self(codec)
    }

    pub(crate) const fn codec(&self) -> &Arc<dyn Codec> {
        &self.0
    }

    /// The codec's name, which is its subprotocol.
    pub(crate) fn name(&self) -> &str {
        self.0.name()
    }

    pub(crate) fn decode(&self, frame: Frame) -> Result<Message, CodecError> {
        self.0.decode(frame)
    }

    /// A frame, split off a buffer.
    pub(crate) fn frame_in(
        &self,
        out: &mut BytesMut,
        message: &Message,
    ) -> Result<Bytes, CodecError> {
        frame::server_frame_in(out, |out| Ok(opcode(self.0.encode(message, out)?)))
    }

    /// A frame, and its body for other nodes.
    pub(crate) fn encode(&self, message: &Message) -> Result<Encoded, CodecError> {
        let (mut kind, mut length) = (FrameKind::Text, 0);
        let frame = frame::server_frame_with(|out| {
            let start = out.len();
            kind = self.0.encode(message, out)?;
            length = out.len().saturating_sub(start);
            Ok::<_, CodecError>(opcode(kind))
        })?;
        let body = frame.slice(frame.len() - length..);
        Ok(Encoded { frame, body, kind })
    }

    /// What the gateway itself has to say; `None` where the codec has no form for it.
    pub(crate) fn notice(&self, notice: &Notice<'_>) -> Result<Option<Bytes>, CodecError> {
        let mut body = BytesMut::with_capacity(128);
        let kind = self.0.encode_notice(notice, &mut body)?;
        Ok(kind.map(|kind| frame_of(kind, &body)))
    }
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
