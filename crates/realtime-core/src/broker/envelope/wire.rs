//! The bytes of an envelope, and what is read of them.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Envelope, EnvelopeKind, Rare, Target, except};
use crate::{
    broker::{
        BrokerError,
        fields::{cut_off, invalid, put_name, short, take, text},
    },
    codec::FrameKind,
    history::{InvalidEpoch, Position},
};

pub(super) const VERSION: u8 = 1;
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

impl Envelope {
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
    /// Kind [`InvalidMessage`](crate::broker::BrokerErrorKind::InvalidMessage) for anything
    /// else, such as the envelope of a later version, or one for whom this version doesn't know.
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
