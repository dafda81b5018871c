//! What an application sends: bytes, what they are, and everything that turns into them.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    RawJson, Text,
    codec::{CodecError, CodecErrorKind},
};

/// The data of a message: bytes that the gateway carries, and what they are.
///
/// - **JSON**: what `Json(&value)` and [`Payload::json`] make, and what clients send as such. Codecs
///   write it into their envelopes as it is, or in their own form.
/// - **Binary**: any bytes, from [`Payload::binary`] or `Bytes`. In JSON they travel as base64, in
///   codecs with a form for bytes as they are.
/// - **Text**: a string that may be JSON, such as `Payload::from("[1,2]")`. A codec whose envelopes
///   are JSON checks it each time that it is encoded, and refuses what isn't one JSON value.
///
/// Clones share the bytes.
///
/// ```
/// use realtime::{Payload, message::PayloadKind};
///
/// assert_eq!(Payload::json(&["hello"])?.kind(), PayloadKind::Json);
/// assert_eq!(Payload::binary(&b"\xff\x00"[..]).kind(), PayloadKind::Binary);
/// let checked = Payload::from(r#"{"said":"hello"}"#).into_json()?;
/// assert_eq!(checked.kind(), PayloadKind::Json);
/// assert!(Payload::from("1},\"route\":\"other\"").into_json().is_err());
/// # Ok::<(), realtime::codec::CodecError>(())
/// ```
#[derive(Clone, Default)]
pub struct Payload {
    bytes: Bytes,
    kind: PayloadKind,
}

/// What a [`Payload`] is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PayloadKind {
    /// Any bytes.
    Binary,
    /// One JSON value.
    Json,
    /// UTF-8, which may be JSON or not. No data at all is of this kind.
    #[default]
    Text,
}

impl Payload {
    /// No data.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            bytes: Bytes::new(),
            kind: PayloadKind::Text,
        }
    }

    /// Any bytes.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use realtime::{Json, Payload, Router};
    ///
    /// // `Bytes` are sent and received as they are.
    /// let thumbnail = async |image: Bytes| -> Bytes { image.slice(..image.len().min(100)) };
    /// let router = Router::new().route("thumbnail", thumbnail);
    /// # let _: Router = router;
    /// # assert!(Payload::binary(vec![0xff]).is_binary());
    /// ```
    #[must_use]
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Self {
            bytes: bytes.into(),
            kind: PayloadKind::Binary,
        }
    }

    fn text(bytes: impl Into<Bytes>) -> Self {
        Self {
            bytes: bytes.into(),
            kind: PayloadKind::Text,
        }
    }

    const fn known_json(bytes: Bytes) -> Self {
        Self {
            bytes,
            kind: PayloadKind::Json,
        }
    }

    /// A value as JSON.
    ///
    /// # Errors
    /// Kind [`Encode`](CodecErrorKind::Encode) when the value can't be written as JSON; the source
    /// says why.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, CodecError> {
        let bytes = serde_json::to_vec(value).map_err(|e| {
            let context = format!("{} can't be written as JSON", std::any::type_name::<T>());
            CodecError::new(CodecErrorKind::Encode, context).with_source(e)
        })?;
        Ok(Self::known_json(bytes.into()))
    }

    /// A JSON value out of a text that was received, for codecs: the part of the text's buffer, or
    /// a copy if it stands elsewhere.
    #[must_use]
    #[inline]
    pub fn received(value: RawJson<'_>, within: &Text) -> Self {
        Self::known_json(within.bytes_of(value.get()))
    }

    /// What it is.
    #[must_use]
    #[inline]
    pub const fn kind(&self) -> PayloadKind {
        self.kind
    }

    /// Whether it is any bytes, and not JSON or text.
    #[must_use]
    #[inline]
    pub const fn is_binary(&self) -> bool {
        matches!(self.kind, PayloadKind::Binary)
    }

    /// Checks once that it is one JSON value, so that it isn't checked again.
    ///
    /// # Errors
    /// Kind [`Encode`](CodecErrorKind::Encode) when it isn't; the source says where.
    pub fn into_json(mut self) -> Result<Self, CodecError> {
        self.check_json()?;
        self.kind = PayloadKind::Json;
        Ok(self)
    }

    /// Whether it is one JSON value, for codecs that put it into JSON.
    ///
    /// It costs nothing where that is known.
    ///
    /// # Errors
    /// Those of [`into_json`](Self::into_json).
    #[inline]
    pub fn check_json(&self) -> Result<(), CodecError> {
        match self.kind {
            PayloadKind::Json => Ok(()),
            _ => self.read_as_json(),
        }
    }

    #[cold]
    fn read_as_json(&self) -> Result<(), CodecError> {
        if self.is_binary() {
            let context = "expected a payload that is one JSON value, as Json(&value) makes it; \
                           got binary data";
            return Err(CodecError::new(CodecErrorKind::Encode, context));
        }
        // It reads any depth without a stack, as the codec does what it receives.
        let checked = serde_json::from_slice::<&RawValue>(&self.bytes);
        checked.map(drop).map_err(|e| {
            let context = "expected a payload that is one JSON value, as Json(&value) makes it; \
                           got other text";
            CodecError::new(CodecErrorKind::Encode, context).with_source(e)
        })
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives up the bytes, shared with all clones.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// Whether there is no data.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// Payloads are the users' data, so only their size is shown.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.len())
    }
}

/// Of the bytes, and of whether they are binary.
impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes && self.is_binary() == other.is_binary()
    }
}

impl Eq for Payload {}

impl Hash for Payload {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

/// Binary.
impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self::binary(bytes)
    }
}

/// Binary.
impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self::binary(bytes)
    }
}

/// Text.
impl From<Text> for Payload {
    fn from(text: Text) -> Self {
        Self::text(text)
    }
}

/// Text.
impl From<String> for Payload {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

/// Text.
impl From<&'static str> for Payload {
    fn from(text: &'static str) -> Self {
        Self::text(Bytes::from_static(text.as_bytes()))
    }
}

/// What can be sent as the data of a message.
///
/// A codec crate implements it for its own wrapper, as `realtime-codec-json` does for `Json<T>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent as the data of a message",
    label = "expected `Json(&value)`, `Bytes`, a `Payload`, a `&RawValue` or `()`",
    note = "wrap a value that implements `serde::Serialize` as `realtime::Json(&value)`, which is \
            not `axum::Json`"
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

/// Binary.
impl IntoPayload for Bytes {
    fn into_payload(self) -> Result<Payload, CodecError> {
        Ok(self.into())
    }
}

/// Binary.
impl IntoPayload for Vec<u8> {
    fn into_payload(self) -> Result<Payload, CodecError> {
        Ok(self.into())
    }
}

impl IntoPayload for &RawValue {
    fn into_payload(self) -> Result<Payload, CodecError> {
        Ok(Payload::known_json(self.get().to_owned().into()))
    }
}

impl IntoPayload for Box<RawValue> {
    fn into_payload(self) -> Result<Payload, CodecError> {
        let text = String::from(Box::<str>::from(self));
        Ok(Payload::known_json(text.into()))
    }
}

/// No data.
impl IntoPayload for () {
    fn into_payload(self) -> Result<Payload, CodecError> {
        Ok(Payload::empty())
    }
}
