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

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{BrokerError, BrokerErrorKind};
use crate::{
    Text,
    codec::FrameKind,
    history::{InvalidEpoch, Position},
};

pub use except::Except;
pub use target::Target;

const VERSION: u8 = 1;
const CONTROL: u8 = 1;
/// The flag of a body that is text.
const TEXT: u8 = 1;
/// The flag of an envelope that names some who don't get it: who doesn't know it must not deliver.
const HAS_EXCEPT: u8 = 2;
/// What stands before the target: version, kind, flags, hints, correlation.
const FIXED: usize = 12;
/// The extension with the W3C trace context.
const TRACEPARENT: u8 = 1;
/// The extension with those who don't get it.
const EXCEPT: u8 = 2;
/// The extension with the position in a history: the offset (`u64`) and the epoch.
const POSITION: u8 = 3;

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

    /// The bytes that travel. Names are cut at 32,000 bytes, which no identity has that a gateway
    /// admits.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let (codec, traceparent) = (short(&self.codec), self.traceparent().map_or("", short));
        let mut flags = match self.frame_kind {
            FrameKind::Text => TEXT,
            _ => 0,
        };
        let mut extensions = match traceparent {
            "" => 0,
            text => 3 + text.len(),
        };
        let (mut except, mut position) = (0, None);
        if let Some(rare) = &self.rare {
            except = except::size(&rare.except);
            if except > 0 {
                flags |= HAS_EXCEPT;
                extensions += 3 + except;
            }
            position = rare.position.as_ref();
            extensions += position.map_or(0, |position| 3 + 8 + position.epoch.as_str().len());
        }
        let target = self.target.size();
        let names = target + codec.len() + extensions;
        let mut out = BytesMut::with_capacity(FIXED + 12 + names + self.body.len());
        // At once: it is done for each message.
        let mut fixed = [0; FIXED + 3];
        fixed[..4].copy_from_slice(&[VERSION, self.kind as u8, flags, 0]);
        fixed[4..FIXED].copy_from_slice(&self.correlation.to_be_bytes());
        fixed[FIXED] = self.target.kind();
        fixed[FIXED + 1..].copy_from_slice(&(target as u16).to_be_bytes());
        out.put_slice(&fixed);
        self.target.put(&mut out);
        put_name(&mut out, codec);
        out.put_u16(extensions as u16);
        if !traceparent.is_empty() {
            out.put_u8(TRACEPARENT);
            put_name(&mut out, traceparent);
        }
        if except > 0 {
            out.put_u8(EXCEPT);
            out.put_u16(except as u16);
            except::put(self.except(), &mut out);
        }
        if let Some(position) = position {
            let epoch = position.epoch.as_str();
            out.put_u8(POSITION);
            out.put_u16((8 + epoch.len()) as u16);
            out.put_u64(position.offset);
            out.put_slice(epoch.as_bytes());
        }
        out.put_slice(&self.body);
        out.freeze()
    }

    /// The number of a control, from its head alone; `None` for what is none, is of another version
    /// or asks for no answer. So who can't read the rest can still say so.
    ///
    /// ```
    /// use realtime::{
    ///     broker::envelope::{Envelope, EnvelopeKind, Target},
    ///     codec::FrameKind,
    /// };
    ///
    /// let message = Envelope::new(Target::All, "", FrameKind::Binary, "?".into());
    /// assert_eq!(Envelope::number_of_control(&message.encode()), None);
    /// let control = message.with_kind(EnvelopeKind::Control).with_correlation(7);
    /// assert_eq!(Envelope::number_of_control(&control.encode()[..12]), Some(7));
    /// ```
    #[must_use]
    pub fn number_of_control(bytes: &[u8]) -> Option<u64> {
        let [VERSION, CONTROL, _, _, rest @ ..] = bytes else {
            return None;
        };
        let number = rest.first_chunk().map(|number| u64::from_be_bytes(*number));
        number.filter(|number| *number != 0)
    }

    /// Reads what [`encode`](Self::encode) has written. The body shares the input.
    ///
    /// # Errors
    /// Kind [`InvalidMessage`](BrokerErrorKind::InvalidMessage) for anything else, such as the
    /// envelope of a later version, or one for whom this version doesn't know.
    pub fn decode(mut bytes: Bytes) -> Result<Self, BrokerError> {
        let [version, kind, flags, _hints, ..] = bytes[..] else {
            return Err(cut_off());
        };
        let kind = match kind {
            0 => Some(EnvelopeKind::Message),
            CONTROL => Some(EnvelopeKind::Control),
            2 => Some(EnvelopeKind::Receipt),
            _ => None,
        };
        let (VERSION, Some(kind), 0) = (version, kind, flags & !(TEXT | HAS_EXCEPT)) else {
            return Err(invalid(format!(
                "expected an envelope of version {VERSION}, of a known kind and with known flags; \
                 got version {version}, kind {}, flags {flags}",
                bytes[1]
            )));
        };
        bytes.advance(4);
        let correlation = bytes.try_get_u64().map_err(|_| cut_off())?;
        let to = bytes.try_get_u8().map_err(|_| cut_off())?;
        let target = Target::read(to, take(&mut bytes)?)?;
        let codec = text(take(&mut bytes)?)?;
        let mut extensions = take(&mut bytes)?;
        let (mut traceparent, mut rare) = (None, None::<Box<Rare>>);
        while let Ok(extension) = extensions.try_get_u8() {
            let value = take(&mut extensions)?;
            match extension {
                TRACEPARENT => traceparent = Some(text(value)?),
                POSITION => rare.get_or_insert_default().position = Some(position(value)?),
                EXCEPT if flags & HAS_EXCEPT != 0 => {
                    rare.get_or_insert_default().except = except::read(value)?;
                }
                _ => {}
            }
        }
        if flags & HAS_EXCEPT != 0 && rare.as_ref().is_none_or(|rare| rare.except.is_empty()) {
            return Err(invalid(
                "expected those who don't get the message; nobody is named",
            ));
        }
        Ok(Self {
            kind,
            correlation,
            target,
            codec,
            frame_kind: match flags & TEXT {
                0 => FrameKind::Binary,
                _ => FrameKind::Text,
            },
            traceparent: traceparent.filter(|text| !text.is_empty()),
            rare,
            body: bytes,
        })
    }
}

fn position(mut value: Bytes) -> Result<Position, BrokerError> {
    let offset = value.try_get_u64().map_err(|_| cut_off())?;
    let epoch = text(value)?.parse();
    let epoch = epoch.map_err(|wrong: InvalidEpoch| invalid(wrong.to_string()))?;
    Ok(Position::new(epoch, offset))
}

/// The longest beginning of a name that has room in an envelope, whole characters of it.
pub(super) fn short(name: &str) -> &str {
    cut(name, 32_000)
}

/// The longest beginning of so many bytes, whole characters of it.
pub(super) fn cut(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let whole = |end: &usize| text.is_char_boundary(*end);
    let end = (0..=most).rev().find(whole);
    &text[..end.unwrap_or(0)]
}

pub(super) fn put_name(out: &mut BytesMut, name: &str) {
    out.put_u16(name.len() as u16);
    out.put_slice(name.as_bytes());
}

/// What stands behind a length.
pub(super) fn take(bytes: &mut Bytes) -> Result<Bytes, BrokerError> {
    match bytes.try_get_u16().map(usize::from) {
        Ok(length) if length <= bytes.len() => Ok(bytes.split_to(length)),
        _ => Err(cut_off()),
    }
}

pub(super) fn text(bytes: Bytes) -> Result<Text, BrokerError> {
    Text::try_from(bytes).map_err(|_| not_text())
}

#[cold]
fn not_text() -> BrokerError {
    invalid("expected UTF-8; got other bytes")
}

#[cold]
pub(super) fn cut_off() -> BrokerError {
    invalid("expected an envelope; it is cut off")
}

pub(super) fn invalid(context: impl Into<std::borrow::Cow<'static, str>>) -> BrokerError {
    BrokerError::new(BrokerErrorKind::InvalidMessage, context)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{IdentityKey, RoomName, SessionId};

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            target in prop::option::of((".{0,9}", ".{0,9}")), codec in ".{0,9}", text: bool,
            trace in ".{0,9}", body: Vec<u8>, number: u64, sort in 0..3_usize,
        ) {
            let target = target.map_or(Target::All, |(t, i)| Target::Identity(IdentityKey::new(i).with_tenant(t)));
            let kind = if text { FrameKind::Text } else { FrameKind::Binary };
            let sort = [EnvelopeKind::Message, EnvelopeKind::Control, EnvelopeKind::Receipt][sort];
            let envelope = Envelope::new(target, codec, kind, body.into())
                .with_traceparent(trace).with_correlation(number).with_kind(sort);
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

    #[test]
    fn what_is_not_known_is_refused_or_skipped() {
        let codec = "realtime.json";
        let sent = Envelope::new(
            Target::All,
            codec,
            FrameKind::Text,
            Bytes::from_static(b"{}"),
        );
        let bytes = sent.encode();
        let changed = |at: usize, with: u8| {
            let mut bytes = bytes.to_vec();
            bytes[at] = with;
            Envelope::decode(bytes.into())
        };
        // A version, a kind, a flag and a target that this version doesn't know.
        for (at, with) in [(0, 2), (1, 3), (2, 0x81), (2, 3), (12, 5)] {
            let refused = changed(at, with).map_err(|error| error.kind());
            assert_eq!(refused, Err(BrokerErrorKind::InvalidMessage), "{at}");
        }
        assert_eq!(changed(3, 0xff).unwrap(), sent, "a hint");
        let (head, body) = bytes.split_at(bytes.len() - 4);
        assert_eq!(body, b"\0\0{}", "no extensions, and the body");
        let extended = [head, b"\0\x05", b"\xc8\0\x02??", b"{}"].concat();
        assert_eq!(Envelope::decode(extended.into()).unwrap(), sent);
    }

    #[test]
    fn one_session_is_a_target() {
        let target = Target::Session(SessionId::random());
        let sent = Envelope::new(target, "c", FrameKind::Binary, Bytes::new());
        let bytes = sent.encode();
        assert_eq!(Envelope::decode(bytes.clone()).unwrap(), sent);
        let mut shorter = bytes.to_vec();
        (shorter[14], _) = (15, shorter.remove(15));
        assert!(Envelope::decode(shorter.into()).is_err());
    }

    #[test]
    fn names_without_end_are_cut_between_characters() {
        let id = "€".repeat(30_000);
        let key = IdentityKey::new(id.clone()).with_tenant(id);
        let sent = Envelope::new(Target::Identity(key), "c", FrameKind::Binary, Bytes::new());
        let Target::Identity(key) = Envelope::decode(sent.encode()).unwrap().target else {
            panic!("it was for an identity");
        };
        assert_eq!((key.tenant().len(), key.id().len()), (31_998, 31_998));
    }

    #[test]
    fn the_largest_envelope_fits() {
        let name = |n: usize| RoomName::try_from(format!("{n:0>256}")).unwrap();
        let key = |n: usize| IdentityKey::new(format!("{n:0>512}")).with_tenant("t".repeat(512));
        let target = Target::Rooms((0..Target::MAX_ROOMS).map(name).collect());
        let except = (1..Except::MAX).map(|n| Except::Identity(key(n)));
        let except = except
            .chain([Except::Session(SessionId::random())])
            .collect();
        let sent = Envelope::new(target, "c", FrameKind::Binary, Bytes::new());
        let sent = sent
            .with_except(except)
            .with_traceparent("t".repeat(32_000));
        assert_eq!(Envelope::decode(sent.encode()).unwrap(), sent);
    }

    #[test]
    fn more_than_is_written_is_not_read() {
        let room = RoomName::try_from("a").unwrap();
        let many = vec![room.clone(); Target::MAX_ROOMS + 1];
        let sent = Envelope::new(Target::Rooms(many), "c", FrameKind::Text, Bytes::new());
        let read = Envelope::decode(sent.encode()).unwrap();
        let first = vec![room; Target::MAX_ROOMS];
        assert_eq!(read.target(), &Target::Rooms(first));
        let none = Envelope::new(Target::Rooms(vec![]), "c", FrameKind::Text, Bytes::new());
        assert!(Envelope::decode(none.encode()).is_err(), "it is for nobody");
    }
}
