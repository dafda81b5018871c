//! The envelope as a JSON object in a text frame.

use std::{borrow::Cow, fmt};

use bytes::{BufMut, Bytes, BytesMut};
use realtime_core::{
    Message, MessageParts, Metadata, Payload, Text,
    codec::{Codec, CodecError, CodecErrorKind, Frame, FrameKind},
};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The longest route or id, in bytes.
const NAME: usize = 256;
/// The most entries of metadata.
const METADATA: usize = 64;

/// Envelopes as JSON objects, in text frames. Its name, and subprotocol, is `realtime.json`.
///
/// Read strictly: a field that comes twice, a route or an id that is not a string or is over 256
/// bytes, and more than 64 entries of metadata are refused. Fields that it doesn't know are
/// ignored, so that later versions may add some. `data` must be one JSON value: what
/// [`Json`](crate::Json) makes is one, while a raw [`Payload`] is not checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JsonCodec;

impl Codec for JsonCodec {
    fn name(&self) -> &str {
        "realtime.json"
    }

    fn encode(&self, message: &Message, out: &mut BytesMut) -> Result<FrameKind, CodecError> {
        out.reserve(message.data().len() + message.route().len() + 48);
        let mut start = b'{';
        let mut field = |out: &mut BytesMut, name: &str| {
            out.put_u8(std::mem::replace(&mut start, b','));
            out.put_slice(name.as_bytes());
        };
        if let Some(id) = message.id() {
            field(out, "\"id\":");
            put_json(out, id)?;
        }
        if !message.route().is_empty() {
            field(out, "\"route\":");
            put_json(out, message.route())?;
        }
        if !message.data().is_empty() {
            field(out, "\"data\":");
            out.put_slice(message.data().as_bytes());
        }
        if let Some(metadata) = message.metadata() {
            field(out, "\"metadata\":");
            put_json(out, metadata)?;
        }
        if start == b'{' {
            out.put_u8(b'{');
        }
        out.put_u8(b'}');
        Ok(FrameKind::Text)
    }

    fn decode(&self, frame: Frame) -> Result<Message, CodecError> {
        if frame.kind != FrameKind::Text {
            let got = "expected a text frame with a JSON object; got a binary frame";
            return Err(CodecError::new(CodecErrorKind::UnsupportedFrame, got));
        }
        let envelope: Envelope<'_> = serde_json::from_slice(&frame.payload).map_err(|e| {
            // serde's own words may quote the client's data: only the place is told.
            let (line, column) = (e.line(), e.column());
            let got = format!("expected an envelope; it is wrong at line {line}, column {column}");
            CodecError::new(CodecErrorKind::Malformed, got)
        })?;
        let mut parts = MessageParts::default();
        parts.id = envelope.id.map(|id| text(&frame.payload, id)).transpose()?;
        if let Some(route) = envelope.route {
            parts.route = text(&frame.payload, route)?;
        }
        if let Some(data) = envelope.data {
            parts.data = Payload::from(frame.payload.slice_ref(data.get().as_bytes()));
        }
        parts.metadata = envelope.metadata.unwrap_or_default();
        Ok(Message::from_parts(parts))
    }
}

fn put_json(
    out: &mut BytesMut,
    value: &(impl serde::Serialize + ?Sized),
) -> Result<(), CodecError> {
    serde_json::to_writer(out.writer(), value).map_err(|e| {
        let context = "the envelope can't be written as JSON";
        CodecError::new(CodecErrorKind::Encode, context).with_source(e)
    })
}

/// A name without a copy, unless it had escapes.
fn text(payload: &Bytes, name: Cow<'_, str>) -> Result<Text, CodecError> {
    match name {
        Cow::Owned(name) => Ok(Text::from(name)),
        Cow::Borrowed(name) => Text::try_from(payload.slice_ref(name.as_bytes()))
            .map_err(|_| CodecError::new(CodecErrorKind::Malformed, "expected names in UTF-8")),
    }
}

/// The fields of an envelope, borrowed from the frame.
#[derive(Default)]
struct Envelope<'f> {
    id: Option<Cow<'f, str>>,
    route: Option<Cow<'f, str>>,
    data: Option<&'f RawValue>,
    metadata: Option<Metadata>,
}

impl<'de> Deserialize<'de> for Envelope<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an envelope")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope<'de>, A::Error> {
        let mut envelope = Envelope::default();
        while let Some(Name(field)) = map.next_key::<Name<'de>>()? {
            let twice = match &*field {
                "id" => envelope.id.replace(name(map.next_value()?)?).is_some(),
                "route" => envelope.route.replace(name(map.next_value()?)?).is_some(),
                "data" => envelope.data.replace(map.next_value()?).is_some(),
                "metadata" => envelope
                    .metadata
                    .replace(map.next_value::<Entries>()?.0)
                    .is_some(),
                _ => {
                    map.next_value::<de::IgnoredAny>()?;
                    false
                }
            };
            if twice {
                return Err(de::Error::custom("a field comes twice"));
            }
        }
        Ok(envelope)
    }
}

fn name<E: de::Error>(Name(name): Name<'_>) -> Result<Cow<'_, str>, E> {
    if name.len() > NAME {
        return Err(E::custom("a name is too long"));
    }
    Ok(name)
}

/// A string that is borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'n>(#[serde(borrow)] Cow<'n, str>);

/// Metadata, no more of it than is allowed, and no name twice.
struct Entries(Metadata);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("metadata: names and strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Metadata::new();
                while let Some((name, value)) = map.next_entry::<String, String>()? {
                    if entries.insert(name, value).is_some() || entries.len() > METADATA {
                        return Err(de::Error::custom("metadata twice, or too much of it"));
                    }
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(V)
    }
}
