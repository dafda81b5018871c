//! The bytes in front of what a node sends.
//!
//! ```text
//!   version 1 │ kind │ incarnation │ base │ seq │ source         │ target          │ body
//!   one byte  │ one  │ u64         │ u64  │ u64 │ u8 length, id  │ u8 length, id   │ the rest
//! ```
//! No target means everyone. Numbers are big-endian.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{
    Incarnation, NodeId,
    broker::{BrokerError, BrokerErrorKind, NodeInfo, Topic},
};

const VERSION: u8 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Message = 0,
    Beacon = 1,
    Question = 2,
    Answer = 3,
}

/// Where a topic's numbers stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    /// The number before the first of this series; a series begins anew when its topic was
    /// forgotten meanwhile.
    pub(super) base: u64,
    /// The last number.
    pub(super) seq: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) kind: Kind,
    pub(super) source: NodeInfo,
    pub(super) topic: Topic,
    pub(super) numbers: Numbers,
}

impl Stamp {
    pub(super) fn put(&self, body: &[u8]) -> Bytes {
        let source = self.source.id.as_str();
        let target = match &self.topic {
            Topic::Node(id) => id.as_str(),
            Topic::All => "",
        };
        let size = 28 + source.len() + target.len() + body.len();
        let mut out = BytesMut::with_capacity(size);
        out.put_slice(&[VERSION, self.kind as u8]);
        out.put_u64(self.source.incarnation.as_u64());
        put_numbers(&mut out, self.numbers);
        put_name(&mut out, source);
        put_name(&mut out, target);
        out.put_slice(body);
        out.freeze()
    }

    /// Reads a stamp, and leaves the body behind it in `bytes`.
    pub(super) fn take(bytes: &mut Bytes) -> Result<Self, BrokerError> {
        let version = bytes.try_get_u8().map_err(cut_off)?;
        let kind = bytes.try_get_u8().map_err(cut_off)?;
        let kind = match (version, kind) {
            (VERSION, 0) => Kind::Message,
            (VERSION, 1) => Kind::Beacon,
            (VERSION, 2) => Kind::Question,
            (VERSION, 3) => Kind::Answer,
            _ => {
                let got = format!(
                    "expected a message of version {VERSION}; got version {version}, kind {kind}"
                );
                return Err(invalid(got));
            }
        };
        let incarnation = Incarnation::from_u64(bytes.try_get_u64().map_err(cut_off)?);
        let numbers = take_numbers(bytes)?;
        let source = take_name(bytes)?.ok_or_else(|| invalid("expected a source; got none"))?;
        let topic = take_name(bytes)?.map_or(Topic::All, Topic::Node);
        Ok(Self {
            kind,
            source: NodeInfo::new(source, incarnation),
            topic,
            numbers,
        })
    }
}

fn invalid(context: impl Into<std::borrow::Cow<'static, str>>) -> BrokerError {
    BrokerError::new(BrokerErrorKind::InvalidMessage, context)
}

fn cut_off(_: bytes::TryGetError) -> BrokerError {
    invalid("expected a stamped message; it is cut off")
}

pub(super) fn put_numbers(out: &mut BytesMut, numbers: Numbers) {
    out.put_u64(numbers.base);
    out.put_u64(numbers.seq);
}

pub(super) fn take_numbers(bytes: &mut Bytes) -> Result<Numbers, BrokerError> {
    let base = bytes.try_get_u64().map_err(cut_off)?;
    let seq = bytes.try_get_u64().map_err(cut_off)?;
    if base > seq {
        return Err(invalid("expected a number past its base; it lies before"));
    }
    Ok(Numbers { base, seq })
}

/// A node id has at most 64 bytes, and no name at all is an empty one.
pub(super) fn put_name(out: &mut BytesMut, name: &str) {
    out.put_u8(name.len() as u8);
    out.put_slice(name.as_bytes());
}

pub(super) fn take_name(bytes: &mut Bytes) -> Result<Option<NodeId>, BrokerError> {
    let length = usize::from(bytes.try_get_u8().map_err(cut_off)?);
    if length > bytes.len() {
        return Err(invalid("expected a node id; it is cut off"));
    }
    let name = bytes.split_to(length);
    if name.is_empty() {
        return Ok(None);
    }
    let parsed = std::str::from_utf8(&name)
        .ok()
        .and_then(|name| name.parse().ok());
    parsed
        .map(Some)
        .ok_or_else(|| invalid("expected a node id; got other bytes"))
}
