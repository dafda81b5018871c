//! The envelope as a JSON object in a text frame.

use std::{borrow::Cow, fmt};

use bytes::{BufMut, Bytes, BytesMut};
use realtime_core::{
    Message, MessageParts, Metadata, Payload, Text,
    codec::{Codec, CodecError, CodecErrorKind, Frame, FrameKind, Notice, routes},
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    Json,
    scan::{Plain, scan},
};

/// The longest route or id, in bytes.
pub(crate) const NAME: usize = 256;
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
        let Frame::Text(text) = frame else {
            let got = "expected a text frame with a JSON object; got a binary frame";
            return Err(CodecError::new(CodecErrorKind::UnsupportedFrame, got));
        };
        let envelope: Envelope<'_> = match scan(&text) {
            Some(plain) => plain.into(),
            None => serde_json::from_str(&text).map_err(|e| malformed(&e))?,
        };
        Ok(envelope.into_message(&text))
    }

    fn encode_notice(
        &self,
        notice: &Notice<'_>,
        out: &mut BytesMut,
    ) -> Result<Option<FrameKind>, CodecError> {
        let message = match *notice {
            Notice::Error { id, error } => {
                let data = Failure {
                    code: error.code(),
                    message: error.message(),
                    temporary: error.is_temporary(),
                };
                let message = Message::new(routes::ERROR, Json(data))?;
                match id {
                    Some(id) => message.with_id(id.clone()),
                    None => message,
                }
            }
            Notice::Gap { missed } => Message::new(routes::GAP, Json(Missed { missed }))?,
            _ => return Ok(None),
        };
        self.encode(&message, out).map(Some)
    }
}

/// The data of the route `error`.
#[derive(Serialize)]
struct Failure<'e> {
    code: &'e str,
    message: &'e str,
    temporary: bool,
}

/// The data of the route `gap`.
#[derive(Serialize)]
struct Missed {
    missed: u64,
}

fn put_json(out: &mut BytesMut, value: &(impl Serialize + ?Sized)) -> Result<(), CodecError> {
    serde_json::to_writer(out.writer(), value).map_err(|e| {
        let context = "the envelope can't be written as JSON";
        CodecError::new(CodecErrorKind::Encode, context).with_source(e)
    })
}

/// A name without a copy, unless it had escapes.
fn name_in(text: &Text, name: Cow<'_, str>) -> Text {
    match name {
        Cow::Owned(name) => Text::from(name),
        Cow::Borrowed(name) => text.slice_ref(name),
    }
}

fn malformed(error: &serde_json::Error) -> CodecError {
    // serde's own words may quote the client's data: only the place is reported.
    let (line, column) = (error.line(), error.column());
    let got = format!("expected an envelope; it is wrong at line {line}, column {column}");
    CodecError::new(CodecErrorKind::Malformed, got)
}

/// The fields of an envelope, borrowed from the frame.
#[derive(Default)]
struct Envelope<'f> {
    id: Option<Cow<'f, str>>,
    route: Option<Cow<'f, str>>,
    data: Option<&'f str>,
    metadata: Option<Metadata>,
}

impl Envelope<'_> {
    fn into_message(self, text: &Text) -> Message {
        let mut parts = MessageParts::default();
        parts.id = self.id.map(|id| name_in(text, id));
        if let Some(route) = self.route {
            parts.route = name_in(text, route);
        }
        if let Some(data) = self.data {
            parts.data = Payload::from(Bytes::from(text.slice_ref(data)));
        }
        if let Some(metadata) = self.metadata {
            parts.metadata = metadata;
        }
        Message::from_parts(parts)
    }
}

impl<'f> From<Plain<'f>> for Envelope<'f> {
    fn from(plain: Plain<'f>) -> Self {
        Self {
            id: plain.id.map(Cow::Borrowed),
            route: plain.route.map(Cow::Borrowed),
            data: plain.data,
            metadata: None,
        }
    }
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
                "data" => {
                    let data: &RawValue = map.next_value()?;
                    envelope.data.replace(data.get()).is_some()
                }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What may stand in an envelope, in any order and with anything else between.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            " ",
            "\n",
            "\"id\"",
            "\"route\"",
            "\"data\"",
            "\"x\"",
            "\"id\":\"7\"",
            "\"route\":\"chat\"",
            "\"data\":{\"a\":[1]}",
            "\"metadata\":{}",
            "\"\\u0041\"",
            "\"ä\"",
            "1",
            "-0.5e3",
            "null",
            "tru",
            "\"",
            "\\",
            "\"\\ud800\"",
        ]);
        prop::collection::vec(piece, 0..9).prop_map(|pieces| pieces.concat())
    }

    /// A whole envelope, with a piece of garbage now and then.
    fn envelopes() -> impl Strategy<Value = String> {
        let field = prop::sample::select(vec![
            "\"id\":\"7\"",
            " \"route\" : \"room.1\" ",
            "\"data\":[{\"}\":\"{\"}, 1]",
            "\"data\":\"\\n\"",
            "\"data\":1",
            "\"id\":null",
            "\"metadata\":{\"a\":\"b\"}",
            "\"later\":true",
            "",
            "1",
        ]);
        prop::collection::vec(field, 0..4).prop_map(|fields| format!("{{{}}}", fields.join(",")))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn the_short_way_reads_what_serde_reads(text in prop_oneof![pieces(), envelopes()]) {
            if let Some(plain) = scan(&text) {
                let slow: Envelope<'_> = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(slow.id.as_deref(), plain.id);
                prop_assert_eq!(slow.route.as_deref(), plain.route);
                prop_assert_eq!(slow.data, plain.data);
                prop_assert_eq!(slow.metadata, None);
            }
        }
    }
}
