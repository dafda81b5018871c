//! The envelope: the only thing about a message that the gateway understands.

mod bounds;

use std::{collections::BTreeMap, sync::Arc};

use serde::de::DeserializeOwned;

use crate::{
    ClientError, IntoPayload, MessageId, Payload, RoomName, Text,
    codec::{CodecError, CodecErrorKind},
};

/// Names and values that travel beside the data of a message.
pub type Metadata = BTreeMap<String, String>;

/// One message: a route, data, and where needed an id and metadata.
///
/// The route chooses the handler. A message with an id is a request: its answer has the same id.
/// The data stays the raw bytes that were received or are to be sent. Cloning copies nothing.
///
/// ```
/// use realtime::{Message, Payload};
///
/// let message = Message::new("chat", Payload::from(r#"{"said":"hello"}"#))?.with_id("1");
/// let data: serde_json::Value = message.decode()?;
/// assert_eq!(data["said"], "hello");
/// # Ok::<(), realtime::codec::CodecError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    id: Option<MessageId>,
    route: Text,
    data: Payload,
    /// What few messages have, so that the others stay small.
    rare: Option<Arc<Rare>>,
}

/// What few messages have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Rare {
    metadata: Metadata,
    room: Option<RoomName>,
    offset: Option<u64>,
    exchange: Option<Exchange>,
}

/// What a message is in an exchange that the server has begun: it asks its client, and the client
/// answers.
///
/// What a client asks and the server answers is something else: there both messages have an
/// [id](Message::id).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exchange {
    /// The server asks, and wants an answer under this id.
    Request(MessageId),
    /// The client's answer to the server's request of this id.
    Reply(MessageId),
    /// The client's word that it doesn't do what the server's request of this id wants, and why.
    Refusal(MessageId, ClientError),
}

/// The parts of a [`Message`], for codecs: what was read from a frame, without a copy.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct MessageParts {
    /// The id, where the sender wants an answer.
    pub id: Option<MessageId>,
    /// The route; empty where the sender gave none.
    pub route: Text,
    /// The data, raw.
    pub data: Payload,
    /// The metadata, where there is any. Empty is as none.
    pub metadata: Option<Metadata>,
    /// The room through which the message comes.
    pub room: Option<RoomName>,
    /// Its place in the history of the room.
    pub offset: Option<u64>,
    /// What it is in an exchange that the server has begun.
    pub exchange: Option<Exchange>,
}

impl MessageParts {
    /// The parts of a message without id and metadata.
    #[must_use]
    #[inline]
    pub const fn new(route: Text, data: Payload) -> Self {
        Self {
            id: None,
            route,
            data,
            metadata: None,
            room: None,
            offset: None,
            exchange: None,
        }
    }
}

impl Message {
    /// A message without id and metadata.
    ///
    /// # Errors
    /// When the data can't be serialised.
    pub fn new(route: impl Into<Text>, data: impl IntoPayload) -> Result<Self, CodecError> {
        // Each field by itself: a default that is replaced has to be dropped.
        Ok(Self {
            id: None,
            route: route.into(),
            data: data.into_payload()?,
            rare: None,
        })
    }

    /// A message that has nothing else, as nearly all are: for codecs, without the way over
    /// [`MessageParts`].
    #[must_use]
    #[inline]
    pub const fn plain(id: Option<MessageId>, route: Text, data: Payload) -> Self {
        Self {
            id,
            route,
            data,
            rare: None,
        }
    }

    /// Sets the id, by which an answer is matched to its request: text, or a number.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<MessageId>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Adds a metadata entry, in place of an earlier one of that name.
    #[must_use]
    pub fn with_metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.rare_mut().metadata.insert(name.into(), value.into());
        self
    }

    /// Says through which room it comes.
    #[must_use]
    pub fn with_room(mut self, room: RoomName) -> Self {
        self.rare_mut().room = Some(room);
        self
    }

    /// Says which place it has in the history of its room.
    #[must_use]
    pub fn with_offset(mut self, offset: u64) -> Self {
        self.rare_mut().offset = Some(offset);
        self
    }

    /// Says nothing of a room, nor of a place in its history.
    #[must_use]
    #[inline]
    pub fn without_room(mut self) -> Self {
        if self.rare.is_some() {
            let rare = self.rare_mut();
            (rare.room, rare.offset) = (None, None);
        }
        self
    }

    /// Says what it is in an exchange that the server has begun.
    #[must_use]
    pub fn with_exchange(mut self, exchange: Exchange) -> Self {
        self.rare_mut().exchange = Some(exchange);
        self
    }

    /// Is part of no exchange that the server has begun.
    #[must_use]
    pub fn without_exchange(mut self) -> Self {
        if self.exchange().is_some() {
            self.rare_mut().exchange = None;
        }
        self
    }

    fn rare_mut(&mut self) -> &mut Rare {
        Arc::make_mut(self.rare.get_or_insert_default())
    }

    /// The id, where the sender wants an answer.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_ref().map(MessageId::as_str)
    }

    /// The route; empty where the sender gave none.
    #[must_use]
    pub fn route(&self) -> &str {
        &self.route
    }

    /// The data, raw.
    #[must_use]
    pub fn data(&self) -> &Payload {
        &self.data
    }

    /// The metadata, where there is any.
    #[must_use]
    pub fn metadata(&self) -> Option<&Metadata> {
        let metadata = self.rare.as_deref().map(|rare| &rare.metadata);
        metadata.filter(|entries| !entries.is_empty())
    }

    /// The room through which it comes, where it comes through one.
    #[must_use]
    pub fn room(&self) -> Option<&RoomName> {
        self.rare.as_deref()?.room.as_ref()
    }

    /// Its place in the history of its room, where the room has one.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        self.rare.as_deref()?.offset
    }

    /// What it is in an exchange that the server has begun, where it is part of one.
    #[must_use]
    pub fn exchange(&self) -> Option<&Exchange> {
        self.rare.as_deref()?.exchange.as_ref()
    }

    /// Whether it has nothing beside id, route and data.
    #[must_use]
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.rare.is_none()
    }

    /// Reads the data as JSON. Empty data reads as `null`.
    ///
    /// # Errors
    /// Kind [`Decode`](CodecErrorKind::Decode) when the data is not JSON, or is binary, or doesn't fit
    /// `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, CodecError> {
        let data = if self.data.is_binary() {
            let context = "expected data that is JSON; the message has binary data, which a handler \
                           takes as `Bytes`";
            return Err(CodecError::new(CodecErrorKind::Decode, context));
        } else if self.data.is_empty() {
            b"null"
        } else {
            self.data.as_bytes()
        };
        serde_json::from_slice(data).map_err(|e| {
            let expected = std::any::type_name::<T>();
            let context = format!("the data of the message is not JSON that fits {expected}");
            CodecError::new(CodecErrorKind::Decode, context).with_source(e)
        })
    }

    /// A message of these parts.
    #[must_use]
    #[inline]
    pub fn from_parts(parts: MessageParts) -> Self {
        let MessageParts {
            id,
            route,
            data,
            metadata,
            room,
            offset,
            exchange,
        } = parts;
        let metadata = metadata.filter(|entries| !entries.is_empty());
        let is_plain =
            metadata.is_none() && room.is_none() && offset.is_none() && exchange.is_none();
        let rare = (!is_plain).then(|| {
            Arc::new(Rare {
                metadata: metadata.unwrap_or_default(),
                room,
                offset,
                exchange,
            })
        });
        Self {
            id,
            route,
            data,
            rare,
        }
    }

    /// The parts of the message.
    #[must_use]
    pub fn into_parts(self) -> MessageParts {
        let rare = self.rare.map(Arc::unwrap_or_clone).unwrap_or_default();
        MessageParts {
            id: self.id,
            route: self.route,
            data: self.data,
            metadata: Some(rare.metadata).filter(|entries| !entries.is_empty()),
            room: rare.room,
            offset: rare.offset,
            exchange: rare.exchange,
        }
    }

    /// The route as shared text, for passing it on without a copy.
    #[must_use]
    pub fn route_text(&self) -> &Text {
        &self.route
    }

    /// The id in its form, for passing it on without a copy.
    #[must_use]
    pub fn message_id(&self) -> Option<&MessageId> {
        self.id.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_shares_data_and_metadata() {
        let data = Payload::from(vec![b'1'; 4096]);
        let message = Message::new("r", data).unwrap().with_metadata("k", "v");
        let clone = message.clone();
        assert_eq!(
            clone.data().as_bytes().as_ptr(),
            message.data().as_bytes().as_ptr()
        );
        assert!(std::ptr::eq(
            clone.metadata().unwrap(),
            message.metadata().unwrap()
        ));
    }

    #[test]
    fn empty_data_reads_as_null() {
        let message = Message::new("r", ()).unwrap();
        assert_eq!(message.decode::<Option<u8>>().unwrap(), None);
        let error = message.decode::<u8>().unwrap_err();
        assert_eq!(error.kind(), CodecErrorKind::Decode);
        assert!(error.to_string().contains("u8"), "{error}");
    }

    #[test]
    fn parts_make_the_same_message_again() {
        let message = Message::new("r", Payload::from("1")).unwrap().with_id("i");
        let message = message.with_metadata("k", "v").with_offset(7);
        let message = message.with_room("order:42".parse().unwrap());
        let refusal = Exchange::Refusal("7".into(), ClientError::new("no", "not now"));
        let message = message.with_exchange(refusal);
        assert_eq!(Message::from_parts(message.clone().into_parts()), message);
    }
}
