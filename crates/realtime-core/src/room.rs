//! The name of a room.

use std::{fmt, fmt::Write, str::FromStr};

use sha2::{Digest, Sha256};

use crate::{IdentityKey, Text};

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

    /// By what a client names its own inbox, and what messages there say.
    pub const INBOX: &str = "@me";

    /// The room that an identity has for itself, where the router has an inbox.
    ///
    /// Different identities have different rooms, however long their names.
    ///
    /// ```
    /// use realtime::{IdentityKey, room::RoomName};
    ///
    /// let ann = RoomName::inbox(&IdentityKey::new("ann"));
    /// assert!(ann.is_inbox());
    /// assert_ne!(ann, RoomName::inbox(&IdentityKey::new("ann").with_tenant("acme")));
    /// ```
    #[must_use]
    pub fn inbox(identity: &IdentityKey) -> Self {
        let (tenant, id) = (identity.tenant(), identity.id());
        // The tenant's length stands before it, so that no two identities share a name.
        let mut name = format!("{}:{}:{tenant}{id}", Self::INBOX, tenant.len());
        if name.len() > Self::MAX {
            let digest = Sha256::digest(name.as_bytes());
            name = format!("{}#", Self::INBOX);
            for byte in digest {
                let _never_fails = write!(name, "{byte:02x}");
            }
        }
        Self(name.into())
    }

    /// Whether it is the room that some identity has for itself.
    #[must_use]
    pub fn is_inbox(&self) -> bool {
        let rest = self.0.strip_prefix(Self::INBOX);
        rest.is_some_and(|rest| rest.starts_with([':', '#']))
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_identity_has_an_inbox_of_its_own() {
        let long = "x".repeat(300);
        let identities = [
            ("", "ann"),
            ("a", "nn"),
            ("an", "n"),
            ("", "1:ann"),
            ("", &long),
            (&long, ""),
        ];
        let names = identities.map(|(tenant, id)| {
            let name = RoomName::inbox(&IdentityKey::new(id).with_tenant(tenant));
            assert!(
                name.is_inbox() && name.as_str().len() <= RoomName::MAX,
                "{name}"
            );
            name
        });
        let different: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(different.len(), identities.len());
        for other in ["@me", "@men", "me:", "x@me:1"] {
            assert!(!RoomName::try_from(other).unwrap().is_inbox(), "{other}");
        }
    }
}
