//! What an application sends: opaque bytes, and everything that turns into them.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    Text,
    codec::{CodecError, CodecErrorKind},
};

/// The data of a message: bytes that the gateway carries and never looks into.
///
/// The JSON codec puts them into the envelope as they are, so there they must be one JSON value.
/// What `Json(&value)` and [`Payload::json`] make is one, and so is what the codec has received;
/// other bytes are checked each time they are encoded, and are an error if they aren't. Clones
/// share the bytes.
///
/// ```
/// use realtime::Payload;
///
/// assert!(Payload::json(&["hello"])?.is_json());
/// let checked = Payload::from(r#"{"said":"hello"}"#).into_json()?;
/// assert!(checked.is_json());
/// assert!(Payload::from("1},\"route\":\"other\"").into_json().is_err());
/// # Ok::<(), realtime::codec::CodecError>(())
/// ```
#[derive(Clone, Default)]
pub struct Payload {
    bytes: Bytes,
    /// They are known to be one JSON value.
    is_json: bool,
}

impl Payload {
    /// No data.
    #[must_use]
    pub const fn empty() -> Self {
        Self::opaque(Bytes::new())
    }

    const fn opaque(bytes: Bytes) -> Self {
        Self {
            bytes,
            is_json: false,
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
        Ok(Self {
            bytes: bytes.into(),
            is_json: true,
        })
    }

    /// A JSON value out of a text that was received, for codecs: the part of the text's buffer, or
    /// a copy if it stands elsewhere.
    #[must_use]
    #[inline]
    pub fn received(value: &RawValue, within: &Text) -> Self {
        Self {
            bytes: within.slice_ref(value.get()).into(),
            is_json: true,
        }
    }

    /// Whether the bytes are known to be one JSON value. Bytes that aren't known to be one may
    /// still be one.
    #[must_use]
    pub const fn is_json(&self) -> bool {
        self.is_json
    }

    /// Checks once that the bytes are one JSON value, so that they aren't checked again.
    ///
    /// # Errors
    /// Kind [`Encode`](CodecErrorKind::Encode) when they aren't; the source says where.
    pub fn into_json(mut self) -> Result<Self, CodecError> {
        self.check_json()?;
        self.is_json = true;
        Ok(self)
    }

    /// Whether the bytes are one JSON value, for codecs that put them into JSON.
    ///
    /// It costs nothing where that [is known](Self::is_json).
    ///
    /// # Errors
    /// Those of [`into_json`](Self::into_json).
    #[inline]
    pub fn check_json(&self) -> Result<(), CodecError> {
        if self.is_json {
            Ok(())
        } else {
            self.read_as_json()
        }
    }

    #[cold]
    fn read_as_json(&self) -> Result<(), CodecError> {
        // It reads any depth without a stack, as the codec does what it receives.
        let checked = serde_json::from_slice::<&RawValue>(&self.bytes);
        checked.map(drop).map_err(|e| {
            let context = "expected a payload that is one JSON value, as Json(&value) makes it; \
                           got other bytes";
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

/// Of the bytes.
impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Payload {}

impl Hash for Payload {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self::opaque(bytes)
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self::opaque(bytes.into())
    }
}

impl From<String> for Payload {
    fn from(text: String) -> Self {
        Self::opaque(text.into())
    }
}

impl From<&'static str> for Payload {
    fn from(text: &'static str) -> Self {
        Self::opaque(Bytes::from_static(text.as_bytes()))
    }
}

/// What can be sent as the data of a message.
///
/// A codec crate implements it for its own wrapper, as `realtime-codec-json` does for `Json<T>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent as the data of a message",
    label = "expected `Json(&value)`, a `Payload`, a `&RawValue` or `()`",
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

impl IntoPayload for &RawValue {
    fn into_payload(self) -> Result<Payload, CodecError> {
        Ok(Payload {
            bytes: self.get().to_owned().into(),
            is_json: true,
        })
    }
}

impl IntoPayload for Box<RawValue> {
    fn into_payload(self) -> Result<Payload, CodecError> {
        Ok(Payload {
            bytes: String::from(Box::<str>::from(self)).into(),
            is_json: true,
        })
    }
}

/// No data.
impl IntoPayload for () {
    fn into_payload(self) -> Result<Payload, CodecError> {
        Ok(Payload::empty())
    }
}
