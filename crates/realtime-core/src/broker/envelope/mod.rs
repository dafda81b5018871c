//! What gateways say to each other: an encoded message and whom it is for.
//!
//! ```text
//!   version 1 │ kind │ flags │ hints │ correlation │ target           │ codec   │ extensions │ body
//!   u8        │ u8   │ u8    │ u8    │ u64         │ kind u8, u16, .. │ u16, .. │ u16, ..    │ the rest
//! ```
//! Numbers are big-endian, and a `u16` is the length of what follows it. What a target
//! holds is in [`Target`]. An extension is a type (`u8`), a length
//! (`u16`) and a value. A flag, a kind or a target that isn't known makes the whole unreadable; a
//! hint or an extension that isn't known is skipped. `docs/wire.md` has it all, with examples.

mod except;
mod target;
mod wire;

use bytes::Bytes;

use crate::{Text, codec::FrameKind, history::Position};

pub use except::Except;
pub use target::Target;

/// A message on its way to other nodes. The body is encoded already: the node that receives it
/// puts it into a frame and never parses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    kind: EnvelopeKind,
    correlation: u64,
    target: Target,
    codec: Text,
    frame_kind: FrameKind,
    traceparent: Option<Text>,
    /// What few messages have, so that the others stay small.
    rare: Option<Box<Rare>>,
    body: Bytes,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Rare {
    except: Vec<Except>,
    position: Option<Position>,
}

/// What an envelope is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EnvelopeKind {
    /// A message to be delivered to sessions.
    Message = 0,
    /// Something that the receiving node is to do.
    Control = 1,
    /// The outcome of what was asked for under the same correlation id.
    Receipt = 2,
}

impl Envelope {
    /// An envelope around a message that this codec has encoded.
    #[must_use]
    pub fn new(target: Target, codec: impl Into<Text>, kind: FrameKind, body: Bytes) -> Self {
        Self {
            kind: EnvelopeKind::Message,
            correlation: 0,
            target,
            codec: codec.into(),
            frame_kind: kind,
            traceparent: None,
            rare: None,
            body,
        }
    }

    /// For something else than a message.
    #[must_use]
    pub const fn with_kind(mut self, kind: EnvelopeKind) -> Self {
        self.kind = kind;
        self
    }

    /// Carries a number under which an outcome is reported; 0 is none.
    #[must_use]
    pub const fn with_correlation(mut self, correlation: u64) -> Self {
        self.correlation = correlation;
        self
    }

    /// Carries the W3C trace context of the one who sends, so that a trace continues at the
    /// other node.
    #[must_use]
    pub fn with_traceparent(mut self, traceparent: impl Into<Text>) -> Self {
        self.traceparent = Some(traceparent.into()).filter(|text| !text.is_empty());
        self
    }

    /// Not for these, though they are among those whom it is for: at most
    /// [`Except::MAX`].
    #[must_use]
    pub fn with_except(mut self, except: Vec<Except>) -> Self {
        if !except.is_empty() || self.rare.is_some() {
            self.rare.get_or_insert_default().except = except;
        }
        self
    }

    /// It is kept in the history of its room, and is there.
    #[must_use]
    pub fn with_position(mut self, position: Position) -> Self {
        self.rare.get_or_insert_default().position = Some(position);
        self
    }

    /// What it is for.
    #[must_use]
    pub const fn kind(&self) -> EnvelopeKind {
        self.kind
    }

    /// The number under which an outcome is reported, if one is.
    #[must_use]
    pub const fn correlation(&self) -> Option<u64> {
        match self.correlation {
            0 => None,
            number => Some(number),
        }
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

    /// Who doesn't get it, though they are among those whom it is for.
    #[must_use]
    pub fn except(&self) -> &[Except] {
        self.rare.as_deref().map_or(&[], |rare| &rare.except)
    }

    /// Where in the history of its room it is, if it is kept there.
    #[must_use]
    pub fn position(&self) -> Option<&Position> {
        self.rare.as_deref()?.position.as_ref()
    }

    /// The name of the codec that encoded the message.
    #[must_use]
    pub fn codec(&self) -> &str {
        &self.codec
    }

    /// Which kind of frame carries the message.
    #[must_use]
    pub const fn frame_kind(&self) -> FrameKind {
        self.frame_kind
    }

    /// The encoded message.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

#[cfg(test)]
mod tests;
