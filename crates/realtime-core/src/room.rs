//! The name of a room.

use std::{fmt, str::FromStr};

use crate::Text;

/// The name of a room: 1 to 256 bytes of text. Cheap to clone.
///
/// Any text is allowed. Two rooms are the same where their names are the same bytes.
///
/// ```
/// use realtime::room::RoomName;
///
/// let name: RoomName = "order:42".parse()?;
/// assert_eq!(name.as_str(), "order:42");
/// assert!("".parse::<RoomName>().is_err());
/// # Ok::<(), realtime::error::InvalidRoomName>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomName(Text);

/// The name of a room that isn't 1 to 256 bytes long.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the name of a room is 1 to 256 bytes; got {length}")]
pub struct InvalidRoomName {
    length: usize,
}

impl RoomName {
    /// The longest name, in bytes.
    pub const MAX: usize = 256;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as shared text, for passing it on without a copy.
    #[must_use]
    pub fn text(&self) -> &Text {
        &self.0
    }
}

impl TryFrom<Text> for RoomName {
    type Error = InvalidRoomName;

    fn try_from(name: Text) -> Result<Self, InvalidRoomName> {
        match name.len() {
            1..=Self::MAX => Ok(Self(name)),
            length => Err(InvalidRoomName { length }),
        }
    }
}

impl TryFrom<&str> for RoomName {
    type Error = InvalidRoomName;

    fn try_from(name: &str) -> Result<Self, InvalidRoomName> {
        Self::try_from(Text::from(name))
    }
}

impl TryFrom<String> for RoomName {
    type Error = InvalidRoomName;

    fn try_from(name: String) -> Result<Self, InvalidRoomName> {
        Self::try_from(Text::from(name))
    }
}

impl FromStr for RoomName {
    type Err = InvalidRoomName;

    fn from_str(name: &str) -> Result<Self, InvalidRoomName> {
        Self::try_from(Text::from(name))
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
