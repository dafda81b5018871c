//! UTF-8 text that shares the buffer it was read from.

use std::{borrow::Borrow, fmt, ops::Deref, str::Utf8Error};

use bytes::Bytes;
use bytestring::ByteString;

/// Immutable UTF-8 text whose clones share one buffer.
///
/// A codec cuts routes and ids out of a received frame without copying them. Everything else
/// reads it as a `&str`.
///
/// ```
/// use realtime::message::Text;
///
/// let text = Text::from("room.42");
/// assert_eq!(text.strip_prefix("room."), Some("42"));
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(ByteString);

impl Text {
    /// Empty text, without an allocation.
    #[must_use]
    pub const fn new() -> Self {
        Self(ByteString::new())
    }

    /// Text that lives as long as the program, without an allocation.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        Self(ByteString::from_static(text))
    }

    /// The text as a string slice.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part of the same buffer that `part` points into.
    ///
    /// Returns a copy if `part` is not a slice of this text.
    #[must_use]
    pub fn slice_ref(&self, part: &str) -> Self {
        let (whole, inner) = (
            self.0.as_bytes().as_ptr_range(),
            part.as_bytes().as_ptr_range(),
        );
        if part.is_empty() {
            Self::new()
        } else if whole.start <= inner.start && inner.end <= whole.end {
            Self(self.0.slice_ref(part))
        } else {
            Self::from(part)
        }
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(ByteString::from(text))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(ByteString::from(text))
    }
}

impl TryFrom<Bytes> for Text {
    type Error = Utf8Error;

    fn try_from(bytes: Bytes) -> Result<Self, Utf8Error> {
        ByteString::try_from(bytes).map(Self)
    }
}

impl From<Text> for Bytes {
    fn from(text: Text) -> Self {
        text.0.into_bytes()
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_shares_the_buffer_and_a_stranger_is_copied() {
        let text = Text::from("room.42 and some more text");
        let tail = text.slice_ref(&text[5..7]);
        assert_eq!(tail, "42");
        assert_eq!(tail.as_ptr(), text[5..].as_ptr());
        assert_eq!(text.slice_ref("stranger"), "stranger");
        assert_eq!(text.slice_ref(""), "");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused() {
        assert!(Text::try_from(Bytes::from_static(b"\xff")).is_err());
    }
}
