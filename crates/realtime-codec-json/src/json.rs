//! Typed JSON in handlers and wherever data is sent.

use std::ops::{Deref, DerefMut};

use realtime_core::{
    BoxError, IntoPayload, Payload,
    codec::CodecError,
    extract::{FromContext, HasMessage, IntoReply, Reply},
};
use serde::{Serialize, de::DeserializeOwned};

/// Data as JSON: as an argument of a handler it is read from the message, as its result it is the
/// reply, and wherever data is sent it is what is sent.
///
/// Data that is missing reads as `null`. Data that doesn't fit `T` rejects the message, and the
/// client receives the error `bad_data` if it asked with an id.
///
/// JSON has no NaN and no infinities: they are written as `null`, as `serde_json` does. Integers are
/// written with all their digits, but those over 64 bits are read as floating-point numbers by
/// `serde_json::Value`, and those over 53 bits by JavaScript: send them as strings.
///
/// ```
/// use realtime::{Json, Message};
///
/// let message = Message::new("chat", Json(&["hello"]))?;
/// assert_eq!(message.data().as_bytes(), br#"["hello"]"#);
/// # Ok::<(), realtime::codec::CodecError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T> Deref for Json<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Json<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Serialize> IntoPayload for Json<T> {
    fn into_payload(self) -> Result<Payload, CodecError> {
        Payload::json(&self.0)
    }
}

impl<T: Serialize> IntoReply for Json<T> {
    fn into_reply(self) -> Result<Reply, BoxError> {
        Ok(Reply::data(self.into_payload()?))
    }
}

impl<T: DeserializeOwned, Cx: HasMessage> FromContext<Cx> for Json<T> {
    type Rejection = CodecError;

    fn from_context(cx: &Cx) -> Result<Self, CodecError> {
        cx.message().decode().map(Self)
    }
}
