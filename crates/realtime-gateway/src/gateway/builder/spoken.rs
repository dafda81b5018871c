//! What clients may speak.

use std::sync::Arc;

use bytes::Bytes;
use realtime_core::{
    codec::Codec,
    dialect::{Dialect, Heartbeat},
};
use realtime_websocket::frame;

use super::Builder;
use crate::{
    BuildError, BuildErrorKind,
    dialects::{Dialects, Encoder},
    guarded::{Whose, caught},
};

impl<S, L> Builder<S, L> {
    /// Adds a codec that clients may speak, too: they ask for it by its name, as a subprotocol. Who
    /// asks for nothing speaks the gateway's own, which is also what nodes speak among each other
    /// and what histories keep.
    ///
    /// What is sent to many is encoded once for each codec that somebody here speaks.
    ///
    /// ```
    /// use realtime::{Gateway, codec::JsonCodec};
    /// # use realtime::{Message, codec::{Codec, CodecError, Frame, FrameKind, Notice}};
    /// # #[derive(Debug)]
    /// # struct Compact;
    /// # impl Codec for Compact {
    /// #     fn name(&self) -> &str { "compact" }
    /// #     fn encode(&self, m: &Message, out: &mut bytes::BytesMut) -> Result<FrameKind, CodecError> { JsonCodec.encode(m, out) }
    /// #     fn decode(&self, frame: Frame) -> Result<Message, CodecError> { JsonCodec.decode(frame) }
    /// #     fn encode_notice(&self, n: &Notice<'_>, out: &mut bytes::BytesMut) -> Result<Option<FrameKind>, CodecError> { JsonCodec.encode_notice(n, out) }
    /// # }
    ///
    /// let gateway = Gateway::builder(JsonCodec).codec(Compact).build()?;
    /// # Ok::<(), realtime::error::BuildError>(())
    /// ```
    pub fn codec(mut self, codec: impl Codec) -> Self {
        self.others.push(Encoder::Codec(Arc::new(codec)));
        self
    }

    /// Adds a [dialect](realtime_core::dialect::Dialect) that clients may speak, too: they ask for
    /// it by its name, as a subprotocol, or connect where [it is spoken](crate::Gateway::speaking).
    pub fn dialect(mut self, dialect: impl Dialect) -> Self {
        self.others.push(Encoder::Dialect(Arc::new(dialect)));
        self
    }
}

/// What is spoken, where it can be asked for by its name.
pub(super) fn dialects(
    codec: Arc<dyn Codec>,
    others: Vec<Encoder>,
) -> Result<Dialects, BuildError> {
    check_name(codec.name())?;
    if others.len() > Dialects::MAX {
        let (most, got) = (Dialects::MAX, others.len());
        return Err(invalid(format!(
            "expected at most {most} codecs and dialects beside the first codec; got {got}"
        )));
    }
    let mut names = vec![codec.name().to_owned()];
    let mut spoken = Vec::with_capacity(others.len());
    for other in others {
        let name = other.name().to_owned();
        check_name(&name)?;
        if names.contains(&name) {
            return Err(invalid(format!(
                "expected codecs and dialects of different names; got {name:?} twice"
            )));
        }
        let ping = ping(&other)?;
        names.push(name);
        spoken.push((other, ping));
    }
    Ok(Dialects::new(codec, frame::ping(&[]), spoken))
}

fn ping(encoder: &Encoder) -> Result<Bytes, BuildError> {
    match encoder {
        Encoder::Dialect(dialect) if dialect.heartbeat() == Heartbeat::Messages => {
            let name = dialect.name();
            let none = || {
                invalid(format!(
                    "the dialect {name:?} pings by messages: expected it to have a form for \
                     `Event::Ping`"
                ))
            };
            let ping = caught(Whose::Codec, || encoder.ping());
            let ping = ping.map_err(|error| none().with_source(error))?;
            let ping = ping.map_err(|error| none().with_source(error))?;
            ping.ok_or_else(none)
        }
        _ => Ok(frame::ping(&[])),
    }
}

fn check_name(name: &str) -> Result<(), BuildError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(fits) {
        return Err(invalid(format!(
            "the name of a codec or a dialect is its subprotocol: expected letters, digits and \
             !#$%&'*+-.^_`|~; got {name:?}"
        )));
    }
    Ok(())
}

fn invalid(context: String) -> BuildError {
    BuildError::new(BuildErrorKind::InvalidOption, context)
}
