//! The envelope as a JSON object in a text frame.

use base64::{Engine, prelude::BASE64_STANDARD as BASE64};
use bytes::{BufMut, BytesMut};
use realtime_core::{
    ClientError, Exchange, Message, MessageId, Payload, PayloadKind, RoomName, Text,
    codec::{Codec, CodecError, CodecErrorKind, Frame, FrameKind, Notice, Recovered, routes},
    history::Position,
};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{
    Json,
    envelope::{Envelope, Malformed},
    scan::scan,
};

/// Envelopes as JSON objects, in text frames. Its name, and subprotocol, is `realtime.json`.
///
/// Read strictly: a field that comes twice, a route that is not a string, an id that is neither a
/// string nor a number, either of them over 256 bytes, and more than 64 entries of metadata are
/// refused. An id or metadata that is `null` is as if it were left out, and so is what only a server
/// says (`room`, `offset`, `request`) where it is nothing of the kind. Fields that it doesn't know are
/// ignored, so that later versions may add some.
///
/// Written as strictly: what it would refuse to read is an error. `data` must be one JSON value:
/// what [`Json`](crate::Json) makes is one, and the text of a raw
/// [`Payload`](realtime_core::Payload) is checked. Binary data is written, and read, as base64, with
/// `"encoding":"base64"` beside it: a third more bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JsonCodec;

impl Codec for JsonCodec {
    fn name(&self) -> &str {
        "realtime.json"
    }

    fn encode(&self, message: &Message, out: &mut BytesMut) -> Result<FrameKind, CodecError> {
        // What is sent is held to what is accepted.
        message.check_bounds(CodecErrorKind::Encode)?;
        out.reserve(message.data().len() + message.route().len() + 48);
        // Each field brings a comma, and the first one's becomes the brace.
        let start = out.len();
        if let Some(id) = message.message_id() {
            out.put_slice(b",\"id\":");
            put_id(out, id)?;
        }
        if !message.route().is_empty() {
            out.put_slice(b",\"route\":");
            put_name(out, message.route())?;
        }
        if !message.is_plain() {
            put_room(out, message)?;
            put_exchange(out, message)?;
        }
        let data = message.data();
        match data.kind() {
            PayloadKind::Json => put_data(out, data),
            PayloadKind::Binary => put_binary(out, data.as_bytes())?,
            _ if data.is_empty() => {}
            _ => {
                data.check_json()?;
                put_data(out, data);
            }
        }
        if let Some(metadata) = message.metadata() {
            out.put_slice(b",\"metadata\":");
            put_json(out, metadata)?;
        }
        match out.get_mut(start) {
            Some(comma) => *comma = b'{',
            None => out.put_u8(b'{'),
        }
        out.put_u8(b'}');
        Ok(FrameKind::Text)
    }

    fn decode(&self, frame: Frame) -> Result<Message, CodecError> {
        let Frame::Text(text) = frame else {
            let got = "expected a text frame with a JSON object; got a binary frame";
            return Err(CodecError::new(CodecErrorKind::UnsupportedFrame, got));
        };
        match scan(&text) {
            Some(plain) => Ok(plain.into_message(&text)),
            None => {
                let envelope = Envelope::read(&text).map_err(|wrong| malformed(wrong, &text))?;
                Ok(envelope.into_message(&text))
            }
        }
    }

    fn encode_notice(
        &self,
        notice: &Notice<'_>,
        out: &mut BytesMut,
    ) -> Result<Option<FrameKind>, CodecError> {
        let message = match *notice {
            Notice::Error { id, error } => {
                let message = Message::new(routes::ERROR, Json(Failure::of(error)?))?;
                match id {
                    Some(id) => message.with_id(id.clone()),
                    None => message,
                }
            }
            Notice::Gap { missed, rooms } => {
                let missed = Missed { missed, rooms };
                Message::new(routes::GAP, Json(missed))?
            }
            Notice::Expiring { within } => {
                // Rounded down: it holds no longer than that.
                let seconds = within.as_secs();
                let within = Within { seconds };
                Message::new(routes::EXPIRING, Json(within))?
            }
            Notice::Removed { room } => {
                let room = room.as_str();
                Message::new(routes::REMOVED, Json(RemovedFrom { room }))?
            }
            Notice::Joined {
                id,
                route,
                position,
                recovery,
            } => {
                // It is written by hand, since messages stand in it as envelopes.
                let message = Message::plain(Some(id.clone()), route.clone(), Payload::empty());
                self.encode(&message, out)?;
                out.truncate(out.len().saturating_sub(1));
                out.put_slice(b",\"data\":");
                self.put_joined(out, position, recovery)?;
                out.put_u8(b'}');
                return Ok(Some(FrameKind::Text));
            }
            Notice::Request { id, message } => {
                let message = message.clone();
                message.with_exchange(Exchange::Request(id.clone()))
            }
            _ => return Ok(None),
        };
        self.encode(&message, out).map(Some)
    }
}

impl JsonCodec {
    /// The data of the answer to a wish to be in a room. The messages in it are envelopes.
    fn put_joined(
        self,
        out: &mut BytesMut,
        position: Option<&Position>,
        recovery: Option<Recovered<'_>>,
    ) -> Result<(), CodecError> {
        out.put_slice(b"{");
        let (recovered, missed) = match recovery {
            None => (None, None),
            Some(Recovered::Complete(missed)) => (Some(true), Some(missed)),
            Some(_) => (Some(false), Some(&[] as &[Message])),
        };
        if let Some(recovered) = recovered {
            out.put_slice(b"\"recovered\":");
            put_json(out, &recovered)?;
        }
        if let Some(position) = position {
            let comma: &[u8] = if recovered.is_some() { b"," } else { b"" };
            out.put_slice(comma);
            out.put_slice(b"\"position\":");
            let (epoch, offset) = (position.epoch.as_str(), position.offset);
            put_json(out, &At { epoch, offset })?;
        }
        if let Some(missed) = missed {
            out.put_slice(b",\"missed\":[");
            for (at, message) in missed.iter().enumerate() {
                if at > 0 {
                    out.put_u8(b',');
                }
                self.encode(message, out)?;
            }
            out.put_u8(b']');
        }
        out.put_u8(b'}');
        Ok(())
    }
}

/// A position in the history of a room.
#[derive(Serialize)]
struct At<'p> {
    epoch: &'p str,
    offset: u64,
}

/// The data of the route `error`, and the reason of a refusal.
#[derive(Serialize)]
struct Failure<'e> {
    code: &'e str,
    message: &'e str,
    temporary: bool,
    /// In seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<f64>,
    /// The application's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'e RawValue>,
}

/// The data of the route `expiring`.
#[derive(Serialize)]
struct Within {
    seconds: u64,
}

/// The data of the route `removed`.
#[derive(Serialize)]
struct RemovedFrom<'r> {
    room: &'r str,
}

impl<'e> Failure<'e> {
    fn of(error: &'e ClientError) -> Result<Self, CodecError> {
        let data = error.data_to_send()?.map(as_json).transpose()?;
        Ok(Self {
            data,
            code: error.code(),
            message: error.message(),
            temporary: error.is_temporary(),
            // Up to a millisecond, and never less.
            retry_after: error
                .retry_after()
                .map(|wait| wait.as_nanos().div_ceil(1_000_000) as f64 / 1_000.0),
        })
    }
}

/// Data as the JSON value that it has to be.
fn as_json(data: &Payload) -> Result<&RawValue, CodecError> {
    data.check_json()?;
    serde_json::from_slice(data.as_bytes()).map_err(|e| {
        let context = "expected the data of an error to be one JSON value, as Json(&value) makes it; \
                       got other bytes";
        CodecError::new(CodecErrorKind::Encode, context).with_source(e)
    })
}

/// The data of the route `gap`.
#[derive(Serialize)]
struct Missed<'r> {
    missed: u64,
    #[serde(skip_serializing_if = "<[_]>::is_empty", serialize_with = "by_room")]
    rooms: &'r [(RoomName, Position)],
}

fn by_room<S: Serializer>(
    rooms: &&[(RoomName, Position)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(rooms.iter().map(|(room, position)| {
        let (epoch, offset) = (position.epoch.as_str(), position.offset);
        (room.as_str(), At { epoch, offset })
    }))
}

/// The reason is the client's to know. It holds nothing of the client's data.
fn malformed(mut wrong: Malformed<'_>, text: &Text) -> CodecError {
    let (id, reason) = (wrong.message_id(text), wrong.reason);
    let error = CodecError::new(
        CodecErrorKind::Malformed,
        "the message is not a valid envelope",
    )
    .with_source(ClientError::new("malformed", reason));
    match id {
        Some(id) => error.with_request(id),
        None => error,
    }
}

/// What JSON doesn't write as it is. A table, since names are looked at for each message.
const ESCAPED: [bool; 256] = {
    let mut escaped = [false; 256];
    let mut byte = 0;
    while byte < b' ' {
        escaped[byte as usize] = true;
        byte += 1;
    }
    escaped[b'"' as usize] = true;
    escaped[b'\\' as usize] = true;
    escaped
};

#[inline]
fn put_data(out: &mut BytesMut, data: &Payload) {
    out.put_slice(b",\"data\":");
    out.put_slice(data.as_bytes());
}

/// Bytes, which JSON has no form for.
#[cold]
fn put_binary(out: &mut BytesMut, data: &[u8]) -> Result<(), CodecError> {
    out.put_slice(b",\"data\":\"");
    let start = out.len();
    out.resize(start + data.len().div_ceil(3) * 4, 0);
    let written = BASE64.encode_slice(data, out.get_mut(start..).unwrap_or_default());
    let written = written.map_err(|error| {
        let context = "binary data could not be written as base64";
        CodecError::new(CodecErrorKind::Encode, context).with_source(error.to_string())
    })?;
    out.truncate(start + written);
    out.put_slice(b"\",\"encoding\":\"base64\"");
    Ok(())
}

/// Which room, and which place in its history.
#[cold]
fn put_room(out: &mut BytesMut, message: &Message) -> Result<(), CodecError> {
    if let Some(room) = message.room() {
        out.put_slice(b",\"room\":");
        put_name(out, room.as_str())?;
    }
    if let Some(offset) = message.offset() {
        out.put_slice(b",\"offset\":");
        put_json(out, &offset)?;
    }
    Ok(())
}

/// What it is in an exchange that the server has begun.
#[cold]
fn put_exchange(out: &mut BytesMut, message: &Message) -> Result<(), CodecError> {
    let (field, id): (&[u8], _) = match message.exchange() {
        None => return Ok(()),
        Some(Exchange::Request(id)) => (b",\"request\":", id),
        Some(Exchange::Reply(id) | Exchange::Refusal(id, _)) => (b",\"reply\":", id),
        Some(_) => {
            let context = "the message has no form as JSON: it is part of an exchange of a sort \
                           that this version doesn't know";
            return Err(CodecError::new(CodecErrorKind::Encode, context));
        }
    };
    let refusal = match message.exchange() {
        Some(Exchange::Refusal(_, error)) => Some(error),
        _ => None,
    };
    out.put_slice(field);
    put_id(out, id)?;
    if let Some(error) = refusal {
        out.put_slice(b",\"error\":");
        put_json(out, &Failure::of(error)?)?;
    }
    Ok(())
}

/// An id in the form in which it came.
#[inline]
fn put_id(out: &mut BytesMut, id: &MessageId) -> Result<(), CodecError> {
    if id.is_number() {
        out.put_slice(id.as_bytes());
        return Ok(());
    }
    put_name(out, id.as_str())
}

/// A string. Nearly none has a character that JSON writes in another way.
fn put_name(out: &mut BytesMut, name: &str) -> Result<(), CodecError> {
    if name.bytes().any(|byte| ESCAPED[usize::from(byte)]) {
        return put_json(out, name);
    }
    out.put_u8(b'"');
    out.put_slice(name.as_bytes());
    out.put_u8(b'"');
    Ok(())
}

fn put_json(out: &mut BytesMut, value: &(impl Serialize + ?Sized)) -> Result<(), CodecError> {
    serde_json::to_writer(out.writer(), value).map_err(|e| {
        let context = "the envelope can't be written as JSON";
        CodecError::new(CodecErrorKind::Encode, context).with_source(e)
    })
}
