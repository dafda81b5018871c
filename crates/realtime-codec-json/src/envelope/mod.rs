//! Reading an envelope: its fields first, whatever is in them, then each by itself, so that what is
//! wrong can be named without a word of the client's data.

mod fields;
mod metadata;
mod values;

use std::borrow::Cow;

use realtime_core::{
    ClientError, Exchange, Message, MessageId, MessageParts, Metadata, Payload, RoomName, Text,
};

use self::{
    fields::Fields,
    metadata::metadata,
    values::{data, exchange, id, offset, room, route},
};

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

#[cfg(test)]
mod tests;
