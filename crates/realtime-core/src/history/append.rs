//! What is appended, and what becomes of it.

use std::{fmt, str::FromStr};

use bytes::Bytes;

use super::{Position, Retention};
use crate::Text;

/// Names one publication, so that making it twice appends it once: 1 to 128 bytes of text, chosen
/// by who publishes.
///
/// A stream remembers it for [`IDEMPOTENCY_WINDOW`](super::IDEMPOTENCY_WINDOW). Cheap to clone.
///
/// ```
/// use realtime::history::IdempotencyKey;
///
/// let key: IdempotencyKey = "payment-4711".parse()?;
/// assert_eq!(key.as_str(), "payment-4711");
/// assert!("".parse::<IdempotencyKey>().is_err());
/// # Ok::<(), realtime::history::InvalidIdempotencyKey>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyKey(Text);

/// An idempotency key that isn't 1 to 128 bytes long.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key is 1 to 128 bytes; got {length}")]
pub struct InvalidIdempotencyKey {
    length: usize,
}

impl IdempotencyKey {
    /// The longest key, in bytes.
    pub const MAX: usize = 128;

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<Text> for IdempotencyKey {
    type Error = InvalidIdempotencyKey;

    /// The key keeps a copy: the text may be a part of something larger.
    fn try_from(key: Text) -> Result<Self, InvalidIdempotencyKey> {
        key.as_str().parse()
    }
}

impl FromStr for IdempotencyKey {
    type Err = InvalidIdempotencyKey;

    fn from_str(key: &str) -> Result<Self, InvalidIdempotencyKey> {
        match key.len() {
            1..=Self::MAX => Ok(Self(Text::from(key))),
            length => Err(InvalidIdempotencyKey { length }),
        }
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// What [`append`](super::History::append) is to append.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Append {
    /// The bytes, which mean nothing to the store; at most [`MAX_DATA`](super::MAX_DATA).
    pub data: Bytes,
    /// How much of the stream is kept, from now on.
    pub retention: Retention,
    /// By which a repetition is known.
    pub key: Option<IdempotencyKey>,
}

impl Append {
    /// Appends these bytes each time that it is asked to.
    #[must_use]
    pub fn new(data: impl Into<Bytes>, retention: Retention) -> Self {
        Self {
            data: data.into(),
            retention,
            key: None,
        }
    }

    /// Appends once, however often it is asked with this key.
    #[must_use]
    pub fn with_key(mut self, key: IdempotencyKey) -> Self {
        self.key = Some(key);
        self
    }
}

/// What became of an [`Append`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Appended {
    /// Where the entry is: its own offset, and not that of what came after it.
    pub position: Position,
    /// Whether it was there already: the key was used before, and nothing was appended now.
    pub is_duplicate: bool,
}

impl Appended {
    /// It was appended now, as the last entry.
    #[must_use]
    pub const fn now(position: Position) -> Self {
        Self {
            position,
            is_duplicate: false,
        }
    }

    /// It had been appended here before.
    #[must_use]
    pub const fn before(position: Position) -> Self {
        Self {
            position,
            is_duplicate: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_counted_in_bytes() {
        assert!("a".repeat(128).parse::<IdempotencyKey>().is_ok());
        assert!("ä".repeat(64).parse::<IdempotencyKey>().is_ok());
        for bad in ["", &"a".repeat(129), &"ä".repeat(65)] {
            assert!(bad.parse::<IdempotencyKey>().is_err(), "{bad:?}");
        }
    }
}
