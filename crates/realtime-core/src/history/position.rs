//! Where in a stream something is.

use std::{fmt, str::FromStr, sync::Arc};

use uuid::Uuid;

/// The name of one life of a stream. A stream that was lost and begun again has another one.
///
/// 1 to 64 ASCII letters, digits, `-`, `_` and `.`, drawn at random by the store when a stream
/// begins. Only whether two are the same means something. Cheap to clone.
///
/// ```
/// use realtime::history::Epoch;
///
/// let epoch = Epoch::random();
/// assert_eq!(epoch.as_str().parse(), Ok(epoch.clone()));
/// assert!("not an epoch".parse::<Epoch>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Epoch(Arc<str>);

/// An epoch that isn't 1 to 64 ASCII letters, digits, `-`, `_` or `.`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "an epoch is 1 to 64 ASCII letters, digits, '-', '_' or '.'; got {length} bytes that aren't one"
)]
pub struct InvalidEpoch {
    length: usize,
}

impl Epoch {
    /// The longest epoch, in bytes.
    pub const MAX: usize = 64;

    /// A new epoch, which no stream had before.
    #[must_use]
    pub fn random() -> Self {
        Self(format!("{:016x}", Uuid::new_v4().as_u64_pair().0).into())
    }

    /// The epoch as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Epoch {
    type Err = InvalidEpoch;

    fn from_str(text: &str) -> Result<Self, InvalidEpoch> {
        let odd = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if text.is_empty() || text.len() > Self::MAX || text.contains(odd) {
            return Err(InvalidEpoch { length: text.len() });
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// A place in the stream of a room: behind the entry with this offset.
///
/// Who has received everything up to a position asks for what came
/// [`since`](super::History::since).
///
/// ```
/// use realtime::history::{Epoch, Position};
///
/// let position = Position::new(Epoch::random(), 7);
/// assert_eq!(position.offset, 7);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Position {
    /// Which life of the stream. Offsets of two epochs have nothing to do with each other.
    pub epoch: Epoch,
    /// The offset of the last entry before this place: 1 for the first entry, and one more for
    /// each that follows. 0 is before the first.
    pub offset: u64,
}

impl Position {
    /// The place behind the entry with this offset.
    #[must_use]
    pub const fn new(epoch: Epoch, offset: u64) -> Self {
        Self { epoch, offset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_checked() {
        assert!("a".repeat(64).parse::<Epoch>().is_ok());
        for bad in ["", "a b", "a:b", "ä", "a\n", &"a".repeat(65)] {
            assert!(bad.parse::<Epoch>().is_err(), "{bad:?}");
        }
        let random = Epoch::random();
        assert_eq!(random.to_string().parse(), Ok(random.clone()));
        assert_ne!(random, Epoch::random());
    }
}
