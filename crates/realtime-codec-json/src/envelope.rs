//! Reading an envelope: its fields first, whatever is in them, then each by itself, so that what is
//! wrong can be named without a word of the client's data.

use std::{borrow::Cow, fmt};

use base64::{Engine, prelude::BASE64_STANDARD as BASE64};
use realtime_core::{
    ClientError, Exchange, Message, MessageId, MessageParts, Metadata, Payload, RoomName, Text,
};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The fields of an envelope, borrowed from the frame.
#[derive(Default)]
pub(crate) struct Envelope<'f> {
    id: Option<Id<'f>>,
    route: Option<Cow<'f, str>>,
    data: Option<Payload>,
    metadata: Option<Metadata>,
    room: Option<Cow<'f, str>>,
    offset: Option<u64>,
    exchange: Option<Asked<'f>>,
}

/// What it is in an exchange that the server has begun.
enum Asked<'f> {
    Request(Id<'f>),
    Reply(Id<'f>),
    Refusal(Id<'f>, ClientError),
}

#[derive(Debug, PartialEq, Eq)]
enum Id<'f> {
    Number(&'f str),
    Text(Cow<'f, str>),
}

/// What is wrong with an envelope.
pub(crate) struct Malformed<'f> {
    /// For the client, without a word of its data.
    pub(crate) reason: String,
    /// The request that it was, where that can be read.
    id: Option<Id<'f>>,
}

impl Malformed<'_> {
    pub(crate) fn message_id(&mut self, text: &Text) -> Option<MessageId> {
        self.id.take().and_then(|id| id.in_text(text))
    }
}

impl Id<'_> {
    fn in_text(self, text: &Text) -> Option<MessageId> {
        match self {
            Self::Number(number) => MessageId::number(text.slice_ref(number)),
            Self::Text(id) => Some(name_in(text, id).into()),
        }
    }
}

impl Asked<'_> {
    fn in_text(self, text: &Text) -> Option<Exchange> {
        Some(match self {
            Self::Request(id) => Exchange::Request(id.in_text(text)?),
            Self::Reply(id) => Exchange::Reply(id.in_text(text)?),
            Self::Refusal(id, error) => Exchange::Refusal(id.in_text(text)?, error),
        })
    }
}

impl<'f> Envelope<'f> {
    /// Reads any envelope; or says what is wrong with it.
    pub(crate) fn read(text: &'f Text) -> Result<Self, Malformed<'f>> {
        let mut fields: Fields<'f> = serde_json::from_str(text).map_err(|error| Malformed {
            reason: not_an_object(text, &error),
            id: None,
        })?;
        let is_id_twice = fields.twice == Some("id");
        let id = fields.id.take().map(|value| id("id", value)).transpose();
        let (id, wrong_id) = match id {
            Ok(id) => (id.flatten().filter(|_| !is_id_twice), None),
            Err(reason) => (None, Some(reason)),
        };
        let rest = match (fields.twice, wrong_id) {
            (Some(field), _) => Err(format!("expected {field:?} once; got it twice")),
            (None, Some(reason)) => Err(reason),
            (None, None) => Self::rest(&fields, text),
        };
        match rest {
            Ok(rest) => Ok(Self { id, ..rest }),
            Err(reason) => Err(Malformed { reason, id }),
        }
    }

    /// What stands beside the id.
    fn rest(fields: &Fields<'f>, text: &Text) -> Result<Self, String> {
        Ok(Self {
            id: None,
            route: fields.route.map(route).transpose()?,
            data: data(fields, text)?,
            metadata: fields.metadata.map(metadata).transpose()?.flatten(),
            room: fields.room.and_then(room),
            offset: fields.offset.and_then(offset),
            exchange: exchange(fields)?,
        })
    }

    pub(crate) fn into_message(self, text: &Text) -> Message {
        let mut parts = MessageParts::default();
        parts.id = self.id.and_then(|id| id.in_text(text));
        if let Some(route) = self.route {
            parts.route = name_in(text, route);
        }
        parts.data = self.data.unwrap_or_default();
        parts.metadata = self.metadata;
        let room = self.room.map(|room| name_in(text, room));
        parts.room = room.and_then(RoomName::shown);
        parts.offset = self.offset;
        parts.exchange = self.exchange.and_then(|asked| asked.in_text(text));
        Message::from_parts(parts)
    }
}

/// serde's own words may quote the client's data: only the place is told.
fn not_an_object(text: &str, error: &serde_json::Error) -> String {
    let begin = text
        .trim_start_matches([' ', '\t', '\n', '\r'])
        .chars()
        .next();
    match begin {
        Some('[') => "expected a JSON object; got an array".to_owned(),
        Some('"') => "expected a JSON object; got a string".to_owned(),
        Some('{') => {
            let (line, column) = (error.line(), error.column());
            format!("expected a JSON object; it is wrong at line {line}, column {column}")
        }
        Some(_) => "expected a JSON object; got something else".to_owned(),
        None => "expected a JSON object; got nothing".to_owned(),
    }
}

/// A name without a copy, unless it had escapes.
fn name_in(text: &Text, name: Cow<'_, str>) -> Text {
    match name {
        Cow::Owned(name) => Text::from(name),
        Cow::Borrowed(name) => text.slice_ref(name),
    }
}

/// A request or an answer that is `null` is none; without an answer, an error is an unknown field.
fn exchange<'f>(fields: &Fields<'f>) -> Result<Option<Asked<'f>>, String> {
    let id_in = |field, value: Option<&'f RawValue>| {
        let id = value.map(|value| id(field, value));
        Ok::<_, String>(id.transpose()?.flatten())
    };
    // The server alone asks. Anything but an id is a field of the client's own.
    let request = id_in("request", fields.request).unwrap_or_default();
    let Some(reply) = id_in("reply", fields.reply)? else {
        return Ok(request.map(Asked::Request));
    };
    if request.is_some() {
        return Err("expected \"request\" or \"reply\"; got both".to_owned());
    }
    let error = fields.error.filter(|value| value.get() != "null");
    let error = error.map(refusal).transpose()?;
    Ok(Some(match error {
        Some(error) => Asked::Refusal(reply, error),
        None => Asked::Reply(reply),
    }))
}

fn refusal(value: &RawValue) -> Result<ClientError, String> {
    let expected = "an object with the string \"code\" of at most 256 bytes, and at most 16 KiB of \
                    \"data\"";
    let refusal: Option<Refusal<'_>> = serde_json::from_str(value.get()).ok();
    let fits = |refusal: &Refusal<'_>| {
        let data = refusal.data.map_or(0, |data| data.get().len());
        refusal.code.len() <= Message::MAX_NAME_BYTES && data <= ClientError::MAX_DATA
    };
    let refusal = refusal.filter(fits);
    let refusal = refusal.ok_or_else(|| wrong("error", expected, value))?;
    let error = ClientError::new(refusal.code, refusal.message);
    let error = match refusal.data {
        Some(data) => error.with_data(data),
        None => error,
    };
    Ok(match refusal.temporary {
        true => error.temporary(),
        false => error,
    })
}

/// Why a client doesn't do what the server asks.
#[derive(Deserialize)]
struct Refusal<'f> {
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    temporary: bool,
    #[serde(borrow, default)]
    data: Option<&'f RawValue>,
}

/// An id that is `null` is none.
fn id<'f>(field: &str, value: &'f RawValue) -> Result<Option<Id<'f>>, String> {
    let text = value.get();
    let id = match text.as_bytes().first() {
        Some(b'n') => return Ok(None),
        Some(b'-' | b'0'..=b'9') => Some(Id::Number(text)),
        _ => name(value).map(Id::Text),
    };
    let fits = |id: &Id<'_>| match id {
        Id::Number(id) => id.len() <= Message::MAX_NAME_BYTES,
        Id::Text(id) => id.len() <= Message::MAX_NAME_BYTES,
    };
    let expected = "a string or a number of at most 256 bytes";
    id.filter(fits)
        .map(Some)
        .ok_or_else(|| wrong(field, expected, value))
}

/// What stands there, or the bytes that it stands for.
fn data(fields: &Fields<'_>, text: &Text) -> Result<Option<Payload>, String> {
    let Some(encoding) = fields.encoding.filter(|value| value.get() != "null") else {
        return Ok(fields.data.map(|data| Payload::received(data.into(), text)));
    };
    if name(encoding).as_deref() != Some("base64") {
        return Err(wrong("encoding", "\"base64\"", encoding));
    }
    let expected = "a string of standard base64, since \"encoding\" says so";
    let Some(data) = fields.data else {
        return Err(format!("expected \"data\" to be {expected}; there is none"));
    };
    let bytes = name(data).and_then(|data| BASE64.decode(data.as_bytes()).ok());
    let bytes = bytes.ok_or_else(|| wrong("data", expected, data))?;
    Ok(Some(Payload::binary(bytes)))
}

fn route(value: &RawValue) -> Result<Cow<'_, str>, String> {
    let route = name(value).filter(|route| route.len() <= Message::MAX_NAME_BYTES);
    route.ok_or_else(|| wrong("route", "a string of at most 256 bytes", value))
}

/// The server alone says of which room a message is. Anything but a room is a field of the client's
/// own.
fn room(value: &RawValue) -> Option<Cow<'_, str>> {
    name(value).filter(|room| (1..=RoomName::MAX).contains(&room.len()))
}

/// As of rooms.
fn offset(value: &RawValue) -> Option<u64> {
    serde_json::from_str(value.get()).ok()
}

fn name(value: &RawValue) -> Option<Cow<'_, str>> {
    let Name(name) = serde_json::from_str(value.get()).ok()?;
    Some(name)
}

/// Metadata that is `null` is none.
fn metadata(value: &RawValue) -> Result<Option<Metadata>, String> {
    if value.get() == "null" {
        return Ok(None);
    }
    let expected = "an object of at most 64 strings, no name twice";
    match serde_json::from_str(value.get()) {
        Ok(Entries(metadata)) => Ok(Some(metadata)),
        Err(_) if value.get().starts_with('{') => {
            let got = match serde_json::from_str(value.get()) {
                Ok(Strings) => "got more, or one twice",
                Err(_) => "got one with a value that is not a string",
            };
            Err(format!("expected \"metadata\" to be {expected}; {got}"))
        }
        Err(_) => Err(wrong("metadata", expected, value)),
    }
}

fn wrong(field: &str, expected: &str, value: &RawValue) -> String {
    let got = match value.get().as_bytes().first() {
        Some(b'"') => "another string",
        Some(b'{') => "another object",
        Some(b'[') => "an array",
        Some(b'n') => "null",
        Some(b't' | b'f') => "true or false",
        _ => "a number",
    };
    format!("expected {field:?} to be {expected}; got {got}")
}

/// The fields as they came.
#[derive(Default)]
struct Fields<'f> {
    id: Option<&'f RawValue>,
    route: Option<&'f RawValue>,
    data: Option<&'f RawValue>,
    metadata: Option<&'f RawValue>,
    room: Option<&'f RawValue>,
    offset: Option<&'f RawValue>,
    request: Option<&'f RawValue>,
    reply: Option<&'f RawValue>,
    error: Option<&'f RawValue>,
    encoding: Option<&'f RawValue>,
    /// One that came more than once.
    twice: Option<&'static str>,
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an envelope")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(Name(field)) = map.next_key::<Name<'de>>()? {
            let (name, slot) = match &*field {
                "id" => ("id", &mut fields.id),
                "route" => ("route", &mut fields.route),
                "data" => ("data", &mut fields.data),
                "metadata" => ("metadata", &mut fields.metadata),
                "room" => ("room", &mut fields.room),
                "offset" => ("offset", &mut fields.offset),
                "request" => ("request", &mut fields.request),
                "reply" => ("reply", &mut fields.reply),
                "error" => ("error", &mut fields.error),
                "encoding" => ("encoding", &mut fields.encoding),
                _ => {
                    map.next_value::<de::IgnoredAny>()?;
                    continue;
                }
            };
            if slot.replace(map.next_value()?).is_some() {
                fields.twice = Some(name);
            }
        }
        Ok(fields)
    }
}

/// A string that is borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'n>(#[serde(borrow)] Cow<'n, str>);

/// Metadata, no more of it than is allowed, and no name twice.
struct Entries(Metadata);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("metadata: names and strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
        let mut entries = Metadata::new();
        while let Some((name, value)) = map.next_entry::<String, String>()? {
            if entries.insert(name, value).is_some() || entries.len() > Message::MAX_METADATA {
                return Err(de::Error::custom("metadata twice, or too much of it"));
            }
        }
        Ok(Entries(entries))
    }
}

/// An object whose values are strings, whatever their names and however many.
struct Strings;

impl<'de> Deserialize<'de> for Strings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(StringsVisitor)
    }
}

struct StringsVisitor;

impl<'de> Visitor<'de> for StringsVisitor {
    type Value = Strings;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("names and strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strings, A::Error> {
        while map.next_entry::<Name<'de>, Name<'de>>()?.is_some() {}
        Ok(Strings)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scan::scan;

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
            "\"id\":7",
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
                let frame = Text::from(&*text);
                let slow = Envelope::read(&frame).ok().unwrap();
                let (slow, short) = (slow.into_message(&frame), plain.into_message(&frame));
                prop_assert_eq!(slow.data().kind(), short.data().kind());
                prop_assert_eq!(slow, short);
            }
        }
    }
}
