//! Reading an envelope: its fields first, whatever is in them, then each by itself, so that what is
//! wrong can be named without a word of the client's data.

use bytes::Bytes;
use realtime_core::{
    ClientError, Exchange, Message, MessageId, MessageParts, Metadata, Payload, RoomName, Text,
};

use crate::{
    read::{Broken, Item, Reader},
    to_json,
};

/// Up to here floating-point numbers have room for every integer.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// What is wrong with an envelope.
#[derive(Debug)]
pub(crate) struct Malformed {
    /// For the client, without a word of its data.
    pub(crate) reason: String,
    /// The request that it was, where that can be read.
    pub(crate) id: Option<MessageId>,
}

/// Reads any envelope; or says what is wrong with it.
pub(crate) fn read(frame: &Bytes) -> Result<Message, Malformed> {
    let fields = Fields::read(frame).map_err(|reason| Malformed { reason, id: None })?;
    let is_id_twice = fields.twice == Some("id");
    let (id, wrong_id) = match fields.id.map(|value| id(frame, "id", value)).transpose() {
        Ok(id) => (id.flatten().filter(|_| !is_id_twice), None),
        Err(reason) => (None, Some(reason)),
    };
    let rest = match (fields.twice, wrong_id) {
        (Some(field), _) => Err(format!("expected {field:?} once; got it twice")),
        (None, Some(reason)) => Err(reason),
        (None, None) => fields.rest(frame),
    };
    match rest {
        Ok(mut parts) => {
            parts.id = id;
            Ok(Message::from_parts(parts))
        }
        Err(reason) => Err(Malformed { reason, id }),
    }
}

/// The fields as they came: each is one whole value.
#[derive(Debug, Default)]
struct Fields<'f> {
    id: Option<&'f [u8]>,
    route: Option<&'f [u8]>,
    data: Option<&'f [u8]>,
    metadata: Option<&'f [u8]>,
    room: Option<&'f [u8]>,
    offset: Option<&'f [u8]>,
    request: Option<&'f [u8]>,
    reply: Option<&'f [u8]>,
    error: Option<&'f [u8]>,
    /// One that came more than once.
    twice: Option<&'static str>,
}

impl<'f> Fields<'f> {
    fn read(frame: &'f [u8]) -> Result<Self, String> {
        let mut reader = Reader::new(frame);
        if frame.is_empty() {
            return Err("expected a map; got nothing".to_owned());
        }
        let fields = Self::read_from(&mut reader);
        let at = frame.len() - reader.rest().len();
        match fields {
            Ok(fields) if reader.rest().is_empty() => Ok(fields),
            Ok(_) => Err(format!(
                "expected one map; got more behind it, at byte {at}"
            )),
            Err(NoFields::NoMap(what)) => Err(format!("expected a map; got {what}")),
            Err(NoFields::NoName(what)) => Err(format!(
                "expected a map whose keys are strings; got {what} as one, before byte {at}"
            )),
            Err(NoFields::Broken(broken)) => {
                let what = broken.what();
                Err(format!("expected a map; it {what}, at byte {at}"))
            }
        }
    }

    fn read_from(reader: &mut Reader<'f>) -> Result<Self, NoFields> {
        let pairs = match reader.item()? {
            Item::Map(pairs) => pairs,
            other => return Err(NoFields::NoMap(other.what())),
        };
        let mut fields = Fields::default();
        for _ in 0..pairs {
            let field = match reader.item()? {
                Item::Text(field) => field,
                other => return Err(NoFields::NoName(other.what())),
            };
            let value = reader.value()?;
            let (name, slot) = match field {
                b"id" => ("id", &mut fields.id),
                b"route" => ("route", &mut fields.route),
                b"data" => ("data", &mut fields.data),
                b"metadata" => ("metadata", &mut fields.metadata),
                b"room" => ("room", &mut fields.room),
                b"offset" => ("offset", &mut fields.offset),
                b"request" => ("request", &mut fields.request),
                b"reply" => ("reply", &mut fields.reply),
                b"error" => ("error", &mut fields.error),
                _ => continue,
            };
            if slot.replace(value).is_some() {
                fields.twice = Some(name);
            }
        }
        Ok(fields)
    }

    /// What stands beside the id.
    fn rest(&self, frame: &Bytes) -> Result<MessageParts, String> {
        let mut parts = MessageParts::default();
        if let Some(value) = self.route {
            parts.route = route(frame, value)?;
        }
        if let Some(value) = self.data {
            parts.data = data(frame, value, &parts.route)?;
        }
        parts.metadata = self.metadata.map(metadata).transpose()?.flatten();
        let room = self.room.and_then(|value| room(frame, value));
        parts.room = room.and_then(RoomName::shown);
        parts.offset = self.offset.and_then(offset);
        parts.exchange = self.exchange(frame)?;
        Ok(parts)
    }

    /// A request or an answer that is nil is none; without an answer, an error is an unknown field.
    fn exchange(&self, frame: &Bytes) -> Result<Option<Exchange>, String> {
        // The server alone asks. Anything but an id is a field of the client's own.
        let request = self
            .request
            .and_then(|value| id(frame, "request", value).ok());
        let request = request.flatten();
        let reply = self.reply.map(|value| id(frame, "reply", value));
        let Some(reply) = reply.transpose()?.flatten().map(as_asked) else {
            return Ok(request.map(Exchange::Request));
        };
        if request.is_some() {
            return Err("expected \"request\" or \"reply\"; got both".to_owned());
        }
        let error = self.error.map(refusal).transpose()?.flatten();
        Ok(Some(match error {
            Some(error) => Exchange::Refusal(reply, error),
            None => Exchange::Reply(reply),
        }))
    }
}

/// Why there are no fields.
enum NoFields {
    Broken(Broken),
    /// It is something else.
    NoMap(&'static str),
    /// One has no name, but this.
    NoName(&'static str),
}

impl From<Broken> for NoFields {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

/// The first item of a value that was found whole.
fn item(value: &[u8]) -> Item<'_> {
    Reader::new(value).item().unwrap_or(Item::Nil)
}

/// A part of the frame as text, without a copy.
fn text(frame: &Bytes, part: &[u8]) -> Option<Text> {
    Text::try_from(frame.slice_ref(part)).ok()
}

/// A string of at most so many bytes as names may have.
fn name(frame: &Bytes, item: Item<'_>) -> Option<Text> {
    match item {
        Item::Text(name) if name.len() <= Message::MAX_NAME_BYTES => text(frame, name),
        _ => None,
    }
}

/// An id that is nil is none.
fn id(frame: &Bytes, field: &str, value: &[u8]) -> Result<Option<MessageId>, String> {
    let item = item(value);
    let id = match item {
        Item::Nil => return Ok(None),
        Item::Unsigned(number) => Some(number.into()),
        Item::Negative(number) => Some(number.into()),
        Item::Float(number) => whole(number),
        item => name(frame, item).map(MessageId::from),
    };
    let expected = "a whole number or a string of at most 256 bytes";
    id.map(Some).ok_or_else(|| wrong(field, expected, item))
}

/// The number of a client that writes whole numbers as floating-point numbers, where they are large.
/// It has a form of its own, so that it goes back as it came: who writes so may read a long integer as
/// something else.
fn whole(number: f64) -> Option<MessageId> {
    let is_whole = number.fract() == 0.0 && number.abs() <= EXACT;
    // No zero has a sign.
    let number = number + 0.0;
    let id = is_whole.then(|| Text::from(format!("{number:.1}")));
    id.and_then(MessageId::number)
}

/// What was asked under an integer is answered to it, whatever form the answer gives that.
fn as_asked(id: MessageId) -> MessageId {
    let whole = id.is_number().then(|| id.strip_suffix(".0")).flatten();
    let whole = whole.and_then(|whole| whole.parse::<i64>().ok());
    whole.map_or(id, MessageId::from)
}

fn route(frame: &Bytes, value: &[u8]) -> Result<Text, String> {
    let item = item(value);
    let route = name(frame, item);
    route.ok_or_else(|| wrong("route", "a string of at most 256 bytes", item))
}

/// Bytes without a copy; everything else as JSON.
fn data(frame: &Bytes, value: &[u8], route: &str) -> Result<Payload, String> {
    match item(value) {
        Item::Binary(bytes) => Ok(Payload::binary(frame.slice_ref(bytes))),
        Item::Map(pairs) if route == "publish" && publishes_bytes(value, pairs) => {
            to_json::payload_with(value, ("encoding", "base64"))
        }
        Item::Map(_) if route == "recover" => to_json::payload_of_recover(value),
        _ => to_json::payload(value),
    }
}

/// Whether what is published is bytes, and the client doesn't say itself what they are.
fn publishes_bytes(value: &[u8], pairs: u32) -> bool {
    let mut reader = Reader::new(value);
    let mut is_binary = false;
    let mut entries = || {
        reader.item()?;
        for _ in 0..pairs {
            let key = reader.value()?;
            let value = reader.value()?;
            match item(key) {
                Item::Text(b"data") => is_binary = matches!(item(value), Item::Binary(_)),
                Item::Text(b"encoding") => return Ok(false),
                _ => {}
            }
        }
        Ok::<_, Broken>(is_binary)
    };
    entries().unwrap_or(false)
}

/// The server alone says of which room a message is. Anything but a room is a field of the client's
/// own.
fn room(frame: &Bytes, value: &[u8]) -> Option<Text> {
    match item(value) {
        Item::Text(room) if (1..=RoomName::MAX).contains(&room.len()) => text(frame, room),
        _ => None,
    }
}

/// As of rooms.
fn offset(value: &[u8]) -> Option<u64> {
    match item(value) {
        Item::Unsigned(offset) => Some(offset),
        Item::Float(offset) => as_asked(whole(offset)?).parse().ok(),
        _ => None,
    }
}

/// Metadata that is nil is none.
fn metadata(value: &[u8]) -> Result<Option<Metadata>, String> {
    let expected = "a map of at most 64 strings, no name twice";
    let mut reader = Reader::new(value);
    let pairs = match reader.item() {
        Ok(Item::Nil) => return Ok(None),
        Ok(Item::Map(pairs)) => pairs,
        _ => return Err(wrong("metadata", expected, item(value))),
    };
    let wrong = |got: &str| format!("expected \"metadata\" to be {expected}; got {got}");
    let mut entries = Metadata::new();
    for _ in 0..pairs {
        let (Some(name), Some(value)) = (string(&mut reader), string(&mut reader)) else {
            return Err(wrong("one with a name or a value that is not a string"));
        };
        if entries.insert(name, value).is_some() || entries.len() > Message::MAX_METADATA {
            return Err(wrong("more, or one twice"));
        }
    }
    Ok(Some(entries))
}

fn string(reader: &mut Reader<'_>) -> Option<String> {
    match reader.item() {
        Ok(Item::Text(text)) => std::str::from_utf8(text).ok().map(str::to_owned),
        _ => None,
    }
}

/// Why a client doesn't do what the server asks; nil is no reason.
fn refusal(value: &[u8]) -> Result<Option<ClientError>, String> {
    let expected = "a map with the string \"code\" of at most 256 bytes, and at most 16 KiB of \
                    \"data\" as JSON";
    let mut reader = Reader::new(value);
    let pairs = match reader.item() {
        Ok(Item::Nil) => return Ok(None),
        Ok(Item::Map(pairs)) => pairs,
        _ => return Err(wrong("error", expected, item(value))),
    };
    let refusal = Refusal::read(&mut reader, pairs);
    let fits = |code: &String| code.len() <= Message::MAX_NAME_BYTES;
    let Some((code, refusal)) = refusal.and_then(|mut refusal| {
        let code = refusal.code.take().filter(fits)?;
        Some((code, refusal))
    }) else {
        return Err(wrong("error", expected, item(value)));
    };
    let error = ClientError::new(code, refusal.message.unwrap_or_default());
    let error = match refusal.data.flatten() {
        Some(data) => error.with_data(data),
        None => error,
    };
    Ok(Some(match refusal.temporary {
        Some(true) => error.temporary(),
        _ => error,
    }))
}

/// The fields of a refusal that are known.
#[derive(Default)]
struct Refusal {
    code: Option<String>,
    message: Option<String>,
    temporary: Option<bool>,
    data: Option<Option<Payload>>,
}

impl Refusal {
    /// `None` where one doesn't fit or comes twice.
    fn read(reader: &mut Reader<'_>, pairs: u32) -> Option<Self> {
        let mut refusal = Self::default();
        for _ in 0..pairs {
            let is_twice = match item(reader.value().ok()?) {
                Item::Text(b"code") => refusal.code.replace(string(reader)?).is_some(),
                Item::Text(b"message") => refusal.message.replace(string(reader)?).is_some(),
                Item::Text(b"temporary") => {
                    let Ok(Item::Bool(temporary)) = reader.item() else {
                        return None;
                    };
                    refusal.temporary.replace(temporary).is_some()
                }
                Item::Text(b"data") => refusal.data.replace(told(reader)?).is_some(),
                _ => {
                    reader.value().ok()?;
                    false
                }
            };
            if is_twice {
                return None;
            }
        }
        Some(refusal)
    }
}

/// Data of a refusal: any JSON, of so many bytes. Nil is none.
fn told(reader: &mut Reader<'_>) -> Option<Option<Payload>> {
    let value = reader.value().ok()?;
    if let Item::Nil = item(value) {
        return Some(None);
    }
    let data = to_json::payload(value).ok()?;
    (data.len() <= ClientError::MAX_DATA).then_some(Some(data))
}

fn wrong(field: &str, expected: &str, got: Item<'_>) -> String {
    let got = got.what();
    format!("expected {field:?} to be {expected}; got {got}")
}
