//! The gateway's own words, when a test asks for them: what a client does at a `gap`, or where what
//! it has shown ends soon, is tried without an outage and without a token that ends.

use bytes::BytesMut;
use realtime::{
    Message,
    codec::{Codec, CodecError, Frame, FrameKind, JsonCodec, Notice},
};

/// What stands before such a route on its way here, since an application can't send on it.
pub(crate) const OWN: &str = "own:";

/// JSON, which leaves that out.
#[derive(Debug)]
pub(crate) struct OwnWords;

impl Codec for OwnWords {
    fn name(&self) -> &str {
        JsonCodec.name()
    }

    fn encode(&self, message: &Message, out: &mut BytesMut) -> Result<FrameKind, CodecError> {
        let Some(route) = message.route().strip_prefix(OWN) else {
            return JsonCodec.encode(message, out);
        };
        let mut parts = message.clone().into_parts();
        parts.route = route.into();
        JsonCodec.encode(&Message::from_parts(parts), out)
    }

    fn decode(&self, frame: Frame) -> Result<Message, CodecError> {
        JsonCodec.decode(frame)
    }

    fn encode_notice(
        &self,
        notice: &Notice<'_>,
        out: &mut BytesMut,
    ) -> Result<Option<FrameKind>, CodecError> {
        JsonCodec.encode_notice(notice, out)
    }
}
