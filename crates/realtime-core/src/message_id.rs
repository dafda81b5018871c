//! The id of a request, in the form in which its sender wrote it.

use std::{fmt, ops::Deref};

use crate::Text;

/// The id by which a client matches an answer to its request.
///
/// Clients write strings or numbers, and an answer has what the request had: to many, `7` is not
/// `"7"`. Everything else reads it as text.
///
/// ```
/// use realtime::message::MessageId;
///
/// assert_eq!(MessageId::from("7").as_str(), MessageId::from(7).as_str());
/// assert_ne!(MessageId::from("7"), MessageId::from(7));
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct MessageId {
    text: Text,
    is_number: bool,
}

impl MessageId {
    /// The id of a client that has written this number, in its digits; `None` for any other text.
    #[must_use]
    pub fn number(text: Text) -> Option<Self> {
        let is_number = text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
            && !text.ends_with(|c: char| c.is_ascii_whitespace())
            && serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        is_number.then_some(Self { text, is_number })
    }

    /// The text, or the digits of the number.
    #[must_use]
    #[inline]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is a number on the wire.
    #[must_use]
    #[inline]
    pub const fn is_number(&self) -> bool {
        self.is_number
    }
}

impl Deref for MessageId {
    type Target = Text;

    fn deref(&self) -> &Text {
        &self.text
    }
}

impl From<Text> for MessageId {
    #[inline]
    fn from(text: Text) -> Self {
        Self {
            text,
            is_number: false,
        }
    }
}

impl From<&str> for MessageId {
    fn from(text: &str) -> Self {
        Text::from(text).into()
    }
}

impl From<String> for MessageId {
    fn from(text: String) -> Self {
        Text::from(text).into()
    }
}

macro_rules! from_numbers {
    ($($number:ty)*) => {$(
        impl From<$number> for MessageId {
            fn from(number: $number) -> Self {
                Self { text: Text::from(number.to_string()), is_number: true }
            }
        }
    )*};
}
from_numbers!(i32 i64 u32 u64);

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_number {
            f.write_str(&self.text)
        } else {
            fmt::Debug::fmt(&self.text, f)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_is_a_number() {
        for number in ["7", "-1", "1.5e3", "18446744073709551616"] {
            let id = MessageId::number(number.into()).unwrap();
            assert_eq!((id.as_str(), id.is_number()), (number, true));
        }
        for other in [
            "",
            "x",
            " 7",
            "7 ",
            "7,\"route\":1",
            "-",
            "1.",
            "NaN",
            "\"7\"",
        ] {
            assert_eq!(MessageId::number(other.into()), None, "{other}");
        }
    }
}
