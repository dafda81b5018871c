//! The bytes in front of what a node sends.
//!
//! ```text
//!   version 1 │ kind │ flags │ hints │ incarnation │ base │ seq │ source        │ topic               │ body
//!   u8        │ u8   │ u8    │ u8    │ u64         │ u64  │ u64 │ u8 length, id │ kind u8, u16 length │ the rest
//! ```
//! Numbers are big-endian. A flag that isn't known makes the whole unreadable, a hint that isn't
//! known is skipped.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{
    Incarnation, NodeId, Text,
    broker::{BrokerError, BrokerErrorKind, NodeInfo, Topic, TopicName},
};

pub(super) const VERSION: u8 = 1;
/// The hint of a beacon that asks others for their numbers.
pub(super) const HELLO: u8 = 1;

/// What stands before the source: version, kind, flags, hints and three numbers.
const FIXED: usize = 28;
/// How many bytes a stamp adds to a message, at the most: with the longest id and the longest name
/// of a topic. A backend whose server has a largest message says that its own is smaller by so much.
pub const MAX_STAMP: usize = FIXED + 4 + NodeId::MAX + TopicName::MAX;

const TO_ALL: u8 = 0;
const TO_NODE: u8 = 1;
const TO_NAMED: u8 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Something to deliver.
    Message = 0,
    /// For all: which number has been reached, and how often this is said.
    Beacon = 1,
    /// On a name, before it is taken: is another alive under it?
    Question = 2,
    /// For all: yes.
    Answer = 3,
    /// On another topic: which number has been reached there.
    Mark = 4,
    /// On a node's own topic, from itself: does it come back?
    Probe = 5,
    /// For all: this node leaves.
    Goodbye = 6,
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

impl Numbers {
    /// Takes note of a message that has come. Returns how many should have come before it and did
    /// not, or nothing for one that has come already.
    pub(super) fn arrive(self, last: &mut Option<u64>) -> Option<u64> {
        // Not known before: what came earlier was not for this node, which had not joined.
        let before = last
            .unwrap_or_else(|| self.seq.saturating_sub(1))
            .max(self.base);
        if self.seq <= before {
            return None;
        }
        *last = Some(self.seq);
        Some(self.seq - before - 1)
    }

    /// Takes note that a source has reached these numbers, and says how many never came.
    pub(super) fn reach(self, last: &mut Option<u64>) -> u64 {
        let Some(before) = *last else {
            *last = Some(self.seq);
            return 0;
        };
        let before = before.max(self.base);
        *last = Some(before.max(self.seq));
        self.seq.saturating_sub(before)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) kind: Kind,
    pub(super) hints: u8,
    pub(super) source: NodeInfo,
    pub(super) topic: Topic,
    pub(super) numbers: Numbers,
}

impl Stamp {
    /// How large the stamp of such a message is.
    pub(super) fn size(source: &NodeId, topic: &Topic) -> usize {
        FIXED + 4 + source.as_str().len() + name_of(topic).1.len()
    }

    pub(super) fn put(&self, body: &[u8]) -> Bytes {
        let source = self.source.id.as_str();
        let (kind, name) = name_of(&self.topic);
        let size = Self::size(&self.source.id, &self.topic) + body.len();
        let mut out = BytesMut::with_capacity(size);
        out.put_slice(&[VERSION, self.kind as u8, 0, self.hints]);
        out.put_u64(self.source.incarnation.as_u64());
        out.put_u64(self.numbers.base);
        out.put_u64(self.numbers.seq);
        // At most 64 bytes.
        out.put_u8(source.len() as u8);
        out.put_slice(source.as_bytes());
        out.put_u8(kind);
        // At most 512 bytes.
        out.put_u16(name.len() as u16);
        out.put_slice(name.as_bytes());
        out.put_slice(body);
        out.freeze()
    }

    /// Reads a stamp, and leaves the body behind it in `bytes`.
    pub(super) fn take(bytes: &mut Bytes) -> Result<Self, BrokerError> {
        if bytes.len() < FIXED {
            return Err(cut_off());
        }
        let (version, kind, flags, hints) = (
            bytes.get_u8(),
            bytes.get_u8(),
            bytes.get_u8(),
            bytes.get_u8(),
        );
        let kind = match (version, kind, flags) {
            (VERSION, 0, 0) => Kind::Message,
            (VERSION, 1, 0) => Kind::Beacon,
            (VERSION, 2, 0) => Kind::Question,
            (VERSION, 3, 0) => Kind::Answer,
            (VERSION, 4, 0) => Kind::Mark,
            (VERSION, 5, 0) => Kind::Probe,
            (VERSION, 6, 0) => Kind::Goodbye,
            _ => {
                return Err(invalid(format!(
                    "expected a message of version {VERSION} without flags; got version \
                     {version}, kind {kind}, flags {flags}"
                )));
            }
        };
        let incarnation = Incarnation::from_u64(bytes.get_u64());
        let (base, seq) = (bytes.get_u64(), bytes.get_u64());
        if base > seq {
            return Err(invalid("expected a number past its base; it lies before"));
        }
        let length = bytes.try_get_u8().map_err(|_| cut_off())?;
        let source = take_id(bytes, length.into())?;
        let (to, length) = match (bytes.try_get_u8(), bytes.try_get_u16()) {
            (Ok(to), Ok(length)) => (to, usize::from(length)),
            _ => return Err(cut_off()),
        };
        let topic = match to {
            TO_ALL if length == 0 => Topic::All,
            TO_NODE => Topic::Node(take_id(bytes, length)?),
            TO_NAMED => Topic::Named(take_topic(bytes, length)?),
            _ => return Err(invalid(format!("expected a topic; got one of kind {to}"))),
        };
        Ok(Self {
            kind,
            hints,
            source: NodeInfo::new(source, incarnation),
            topic,
            numbers: Numbers { base, seq },
        })
    }
}

fn name_of(topic: &Topic) -> (u8, &str) {
    match topic {
        Topic::All => (TO_ALL, ""),
        Topic::Node(id) => (TO_NODE, id.as_str()),
        Topic::Named(name) => (TO_NAMED, name.as_str()),
    }
}

fn invalid(context: impl Into<std::borrow::Cow<'static, str>>) -> BrokerError {
    BrokerError::new(BrokerErrorKind::InvalidMessage, context)
}

fn cut_off() -> BrokerError {
    invalid("expected a stamped message; it is cut off")
}

fn take_name(bytes: &mut Bytes, length: usize) -> Result<Bytes, BrokerError> {
    if length > bytes.len() {
        return Err(cut_off());
    }
    Ok(bytes.split_to(length))
}

fn take_id(bytes: &mut Bytes, length: usize) -> Result<NodeId, BrokerError> {
    let name = take_name(bytes, length)?;
    let parsed = std::str::from_utf8(&name)
        .ok()
        .and_then(|name| name.parse().ok());
    parsed.ok_or_else(|| invalid("expected a node id; got other bytes"))
}

fn take_topic(bytes: &mut Bytes, length: usize) -> Result<TopicName, BrokerError> {
    let name = take_name(bytes, length)?;
    let name = Text::try_from(name).ok();
    let name = name.and_then(|name| TopicName::try_from(name).ok());
    name.ok_or_else(|| invalid("expected the name of a topic; got other bytes"))
}
