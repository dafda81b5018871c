//! What gateways say to each other: an encoded message and whom it is for.
//!
//! ```text
//!   version 1 │ flags: 1 = text, 2 = for an identity │ codec │ traceparent │ tenant │ id │ body
//!   one byte  │ one byte                             │ each: u16 length, bytes           │ the rest
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{BrokerError, BrokerErrorKind};
use crate::{IdentityKey, Text, codec::FrameKind};

const VERSION: u8 = 1;
const TEXT: u8 = 1;
const IDENTITY: u8 = 2;

/// A message on its way to other nodes. The body is encoded already: the node that receives it
/// puts it into a frame and never parses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    target: Target,
    codec: Text,
    kind: FrameKind,
    traceparent: Option<Text>,
    body: Bytes,
}

/// Whom a message is for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// Every session.
    All,
    /// The sessions of one identity.
    Identity(IdentityKey),
}

impl Envelope {
    /// An envelope around a message that this codec has encoded.
    #[must_use]
    pub fn new(target: Target, codec: impl Into<Text>, kind: FrameKind, body: Bytes) -> Self {
        Self {
            target,
            codec: codec.into(),
            kind,
            traceparent: None,
            body,
        }
    }

    /// Carries the W3C trace context of the one who sends, so that a trace continues at the
    /// other node.
    #[must_use]
    pub fn with_traceparent(mut self, traceparent: impl Into<Text>) -> Self {
        self.traceparent = Some(traceparent.into()).filter(|text| !text.is_empty());
        self
    }

    /// The W3C trace context of the one who sent, if there was one.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }

    /// Whom the message is for.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The name of the codec that encoded the message.
    #[must_use]
    pub fn codec(&self) -> &str {
        &self.codec
    }

    /// Which kind of frame carries the message.
    #[must_use]
    pub fn kind(&self) -> FrameKind {
        self.kind
    }

    /// The encoded message.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The bytes that travel. Names are cut at 65,535 bytes, which no identity has that a gateway
    /// admits.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let (flag, tenant, id) = match &self.target {
            Target::All => (0, "", ""),
            Target::Identity(key) => (IDENTITY, key.tenant(), key.id()),
        };
        let kind = if self.kind == FrameKind::Text {
            TEXT
        } else {
            0
        };
        let traceparent = self.traceparent().unwrap_or_default();
        let names = [self.codec.as_str(), traceparent, tenant, id];
        let size = 10 + names.iter().map(|n| n.len()).sum::<usize>() + self.body.len();
        let mut out = BytesMut::with_capacity(size);
        out.put_slice(&[VERSION, flag | kind]);
        for name in names {
            let name = &name.as_bytes()[..name.len().min(usize::from(u16::MAX))];
            out.put_u16(name.len() as u16);
            out.put_slice(name);
        }
        out.put_slice(&self.body);
        out.freeze()
    }

    /// Reads what [`encode`](Self::encode) has written. The body shares the input.
    ///
    /// # Errors
    /// Kind [`InvalidMessage`](BrokerErrorKind::InvalidMessage) for anything else, such as the
    /// envelope of a later version.
    pub fn decode(mut bytes: Bytes) -> Result<Self, BrokerError> {
        let invalid = |context: String| BrokerError::new(BrokerErrorKind::InvalidMessage, context);
        let (version, flags) = match bytes[..] {
            [version, flags, ..] => (version, flags),
            _ => {
                return Err(invalid(
                    "expected an envelope; got less than two bytes".into(),
                ));
            }
        };
        if version != VERSION || flags & !(TEXT | IDENTITY) != 0 {
            let got = format!(
                "expected an envelope of version {VERSION}; got version {version}, flags {flags}"
            );
            return Err(invalid(got));
        }
        bytes.advance(2);
        let mut name = || {
            let length = bytes.try_get_u16().ok().map(usize::from);
            let length = length.filter(|length| *length <= bytes.len());
            let name = length.and_then(|length| Text::try_from(bytes.split_to(length)).ok());
            name.ok_or_else(|| invalid("expected a name in the envelope; it is cut off".into()))
        };
        let (codec, traceparent, tenant, id) = (name()?, name()?, name()?, name()?);
        let target = if flags & IDENTITY == 0 {
            Target::All
        } else {
            Target::Identity(IdentityKey::from_parts(tenant.as_str(), id.as_str()))
        };
        let kind = if flags & TEXT == 0 {
            FrameKind::Binary
        } else {
            FrameKind::Text
        };
        Ok(Self {
            target,
            codec,
            kind,
            traceparent: Some(traceparent).filter(|text| !text.is_empty()),
            body: bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            target in prop::option::of((".{0,9}", ".{0,9}")), codec in ".{0,9}", text: bool,
            trace in ".{0,9}", body: Vec<u8>,
        ) {
            let target = target.map_or(Target::All, |(t, i)| Target::Identity(IdentityKey::new(i).with_tenant(t)));
            let kind = if text { FrameKind::Text } else { FrameKind::Binary };
            let envelope = Envelope::new(target, codec, kind, body.into()).with_traceparent(trace);
            prop_assert_eq!(Envelope::decode(envelope.encode()).unwrap(), envelope);
        }

        #[test]
        fn garbage_is_refused_or_read_and_never_panics(mut bytes: Vec<u8>, version: bool) {
            if let (true, Some(first)) = (version, bytes.first_mut()) {
                *first = VERSION;
            }
            if let Err(error) = Envelope::decode(bytes.into()) {
                prop_assert_eq!(error.kind(), BrokerErrorKind::InvalidMessage);
            }
        }
    }
}
