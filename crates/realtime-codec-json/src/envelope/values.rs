//! What stands in a field of an envelope, or what is wrong with it.

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD as BASE64};
use realtime_core::{ClientError, Message, Payload, RoomName, Text};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Asked, Id, fields::Fields};

/// A request or an answer that is `null` is none; without an answer, an error is an unknown field.
pub(super) fn exchange<'f>(fields: &Fields<'f>) -> Result<Option<Asked<'f>>, String> {
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
pub(super) fn id<'f>(field: &str, value: &'f RawValue) -> Result<Option<Id<'f>>, String> {
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
pub(super) fn data(fields: &Fields<'_>, text: &Text) -> Result<Option<Payload>, String> {
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

pub(super) fn route(value: &RawValue) -> Result<Cow<'_, str>, String> {
    let route = name(value).filter(|route| route.len() <= Message::MAX_NAME_BYTES);
    route.ok_or_else(|| wrong("route", "a string of at most 256 bytes", value))
}

/// The server alone says of which room a message is. Anything but a room is a field of the client's
/// own.
pub(super) fn room(value: &RawValue) -> Option<Cow<'_, str>> {
    name(value).filter(|room| (1..=RoomName::MAX).contains(&room.len()))
}

/// As of rooms.
pub(super) fn offset(value: &RawValue) -> Option<u64> {
    serde_json::from_str(value.get()).ok()
}

fn name(value: &RawValue) -> Option<Cow<'_, str>> {
    let Name(name) = serde_json::from_str(value.get()).ok()?;
    Some(name)
}

pub(super) fn wrong(field: &str, expected: &str, value: &RawValue) -> String {
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

/// A string that is borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Name<'n>(#[serde(borrow)] pub(super) Cow<'n, str>);
