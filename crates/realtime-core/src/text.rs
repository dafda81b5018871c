//! UTF-8 text that shares the buffer it was read from, or is short.

use std::{
    borrow::Borrow,
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
    str::Utf8Error,
};

use arrayvec::ArrayString;
use bytes::Bytes;
use bytestring::ByteString;

/// What fits beside the pointer by which long text is told from short.
const SHORT: usize = 20;

/// Immutable UTF-8 text whose clones are cheap: long ones share one buffer, and short ones, as nearly
/// all routes and ids are, have none.
///
/// A codec cuts routes and ids out of a received frame without an allocation. Everything else reads
/// it as a `&str`.
///
/// ```
/// use realtime::message::Text;
///
/// let text = Text::from("room.42");
/// assert_eq!(text.strip_prefix("room."), Some("42"));
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Kept);

#[derive(Clone)]
enum Kept {
    Short(ArrayString<SHORT>),
    Shared(ByteString),
}

impl Text {
    /// Empty text, without an allocation.
    #[must_use]
    pub const fn new() -> Self {
        Self(Kept::Short(ArrayString::new_const()))
    }

    /// Text that lives as long as the program, without an allocation.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        Self(Kept::Shared(ByteString::from_static(text)))
    }

    /// The text as a string slice.
    #[must_use]
    #[inline]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The part of the same buffer that `part` points into, or a copy where it is short.
    ///
    /// Returns a copy, too, if `part` is not a slice of this text.
    #[must_use]
    #[inline]
    pub fn slice_ref(&self, part: &str) -> Self {
        match Self::short(part) {
            Some(short) => short,
            None => self.long_slice_ref(part),
        }
    }

    fn long_slice_ref(&self, part: &str) -> Self {
        Self(Kept::Shared(match self.buffer_of(part) {
            Some(text) => text.slice_ref(part),
            None => ByteString::from(part),
        }))
    }

    /// The same as bytes, which share the buffer however short they are: for data, which has a count of
    /// its own in any case.
    #[inline]
    pub(crate) fn bytes_of(&self, part: &str) -> Bytes {
        match self.buffer_of(part) {
            Some(text) => text.as_bytes().slice_ref(part.as_bytes()),
            None => Bytes::copy_from_slice(part.as_bytes()),
        }
    }

    /// What is shared, where this part lies in it.
    fn buffer_of(&self, part: &str) -> Option<&ByteString> {
        let Kept::Shared(text) = &self.0 else {
            return None;
        };
        let (whole, inner) = (
            text.as_bytes().as_ptr_range(),
            part.as_bytes().as_ptr_range(),
        );
        (whole.start <= inner.start && inner.end <= whole.end).then_some(text)
    }

    #[inline]
    fn short(text: &str) -> Option<Self> {
        let short = ArrayString::from(text).ok()?;
        Some(Self(Kept::Short(short)))
    }
}

impl Kept {
    #[inline]
    fn as_str(&self) -> &str {
        match self {
            Self::Short(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self::Short(ArrayString::new())
    }
}

// However it is kept, it is the same text.

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Kept {}

impl PartialOrd for Kept {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Kept {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

/// As a `str`, by which a text may be looked up.
impl Hash for Kept {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
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
        Self::short(text).unwrap_or_else(|| Self(Kept::Shared(ByteString::from(text))))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::short(&text).unwrap_or_else(|| Self(Kept::Shared(ByteString::from(text))))
    }
}

impl TryFrom<Bytes> for Text {
    type Error = Utf8Error;

    fn try_from(bytes: Bytes) -> Result<Self, Utf8Error> {
        ByteString::try_from(bytes).map(|text| Self(Kept::Shared(text)))
    }
}

impl From<Text> for Bytes {
    fn from(text: Text) -> Self {
        match text.0 {
            Kept::Short(text) => Self::copy_from_slice(text.as_bytes()),
            Kept::Shared(text) => text.into_bytes(),
        }
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
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_long_slice_shares_the_buffer_and_a_short_one_and_a_stranger_are_copied() {
        let text = Text::from("room.42 and some more text than fits into it");
        let tail = text.slice_ref(&text[5..]);
        assert_eq!(tail, text[5..]);
        assert_eq!(tail.as_ptr(), text[5..].as_ptr());
        assert_eq!(tail.clone().as_ptr(), tail.as_ptr());
        let short = text.slice_ref(&text[5..7]);
        assert_eq!(short, "42");
        assert_ne!(short.as_ptr(), text[5..].as_ptr());
        let stranger = tail.to_string();
        assert_eq!(text.slice_ref(&stranger), *stranger);
        assert_eq!(short.slice_ref(&stranger), *stranger);
        assert_eq!(text.slice_ref(""), "");
    }

    #[test]
    fn text_is_the_same_however_it_is_kept() {
        for text in [
            "",
            "42",
            "twenty bytes or less",
            "a few more than twenty bytes",
            "ää",
        ] {
            let forms = [
                Text::from(text),
                Text::from(text.to_owned()),
                Text::try_from(Bytes::from(text)).unwrap(),
            ];
            for form in forms {
                assert_eq!(form, Text::from_static(text));
                assert_eq!(form.cmp(&Text::from_static(text)), Ordering::Equal);
                assert_eq!(Bytes::from(form.clone()), text);
                assert!(HashSet::from([form]).contains(text));
            }
        }
    }

    #[test]
    fn it_is_no_larger_than_what_shares_a_buffer() {
        assert_eq!(size_of::<Text>(), size_of::<Bytes>());
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused() {
        assert!(Text::try_from(Bytes::from_static(b"\xff")).is_err());
    }
}
