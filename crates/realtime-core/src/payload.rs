//! What an application sends: opaque bytes, and everything that turns into them.

use std::fmt;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::codec::CodecError;

/// The data of a message: bytes that the gateway carries and never looks into.
///
/// The JSON codec puts them into the envelope as they are, so there they must be one JSON value;
/// `Json(&value)` makes them so. Clones share the bytes.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Payload(Bytes);

impl Payload {
    /// No data.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Bytes::new())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Gives up the bytes, shared with all clones.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// Whether there is no data.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// Payloads are the users' data, so only their size is shown.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.len())
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<String> for Payload {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&'static str> for Payload {
    fn from(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }
}

/// What can be sent as the data of a message.
///
/// A codec crate implements it for its own wrapper, as `realtime-codec-json` does for `Json<T>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent as the data of a message",
    label = "expected `Json(&value)`, a `Payload`, a `&RawValue` or `()`",
    note = "wrap a value that implements `serde::Serialize` as `Json(&value)`"
)]
pub trait IntoPayload {
    /// Turns the value into bytes.
    ///
    /// # Errors
    /// Kind [`Encode`](crate::codec::CodecErrorKind::Encode) when the value can't be serialised.
    fn into_payload(self) -> Result<Payload, CodecError>;
}

impl IntoPayload for Payload {
    fn into_payload(self) -> Result<Payload, CodecError> {
        Ok(self)
    }
}

impl IntoPayload for &Payload {
    fn into_payload(self) -> Result<Payload, CodecError> {
        Ok(self.clone())
    }
}

impl IntoPayload for &RawValue {
    fn into_payload(self) -> Result<Payload, CodecError> {
        Ok(Payload::from(self.get().to_owned()))
    }
}

impl IntoPayload for Box<RawValue> {
    fn into_payload(self) -> Result<Payload, CodecError> {
        Ok(Payload::from(String::from(Box::<str>::from(self))))
    }
}

/// No data.
impl IntoPayload for () {
    fn into_payload(self) -> Result<Payload, CodecError> {
        Ok(Payload::empty())
    }
}
