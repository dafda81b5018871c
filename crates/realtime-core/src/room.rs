//! The name of a room.

use std::{fmt, fmt::Write, str::FromStr};

use sha2::{Digest, Sha256};

use crate::{IdentityKey, Text};

/// The name of a room: 1 to 256 bytes of text. Cheap to clone.
///
/// Any text is allowed that doesn't begin with `@me`: such are the names of
/// [inboxes](Self::inbox), which no text makes. Two rooms are the same where their names are the same bytes.
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

/// The name of a room that isn't 1 to 256 bytes long, or is kept for inboxes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct InvalidRoomName(#[from] Wrong);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Wrong {
    #[error("the name of a room is 1 to 256 bytes; got {0}")]
    Length(usize),
    #[error(
        "expected the name of a room that doesn't begin with `@me`; that is for inboxes, whose \
         names `RoomName::inbox` makes"
    )]
    Inbox,
}

impl RoomName {
    /// The longest name, in bytes.
    pub const MAX: usize = 256;

    /// What a client calls its own inbox, and what messages from there say.
    pub const OWN_INBOX: &str = "@me";

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
        let mut name = format!("{}:{}:{tenant}{id}", Self::OWN_INBOX, tenant.len());
        if name.len() > Self::MAX {
            let digest = Sha256::digest(name.as_bytes());
            name = format!("{}#", Self::OWN_INBOX);
            for byte in digest {
                let _never_fails = write!(name, "{byte:02x}");
            }
        }
        Self(name.into())
    }

    /// Whether it is the room that some identity has for itself.
    #[must_use]
    pub fn is_inbox(&self) -> bool {
        self.0.starts_with(Self::OWN_INBOX)
    }

    /// What the clients of an inbox see: the room that each has for itself. No session is ever in a
    /// room of this very name.
    #[doc(hidden)]
    #[must_use]
    pub fn own_inbox() -> Self {
        Self(Text::from_static(Self::OWN_INBOX))
    }

    /// The room that a message says it is of, as a client reads it.
    #[doc(hidden)]
    #[must_use]
    pub fn shown(name: Text) -> Option<Self> {
        match name == Self::OWN_INBOX {
            true => Some(Self::own_inbox()),
            false => Self::try_from(name).ok(),
        }
    }

    /// A name that another node has written.
    pub(crate) fn read(name: Text) -> Result<Self, InvalidRoomName> {
        match name.len() {
            1..=Self::MAX => Ok(Self(name)),
            length => Err(Wrong::Length(length).into()),
        }
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
        match name.starts_with(Self::OWN_INBOX) {
            true => Err(Wrong::Inbox.into()),
            false => Self::read(name),
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
        for name in names.iter().map(RoomName::as_str).chain(["@me", "@men"]) {
            let refused = RoomName::try_from(name).unwrap_err();
            assert!(refused.to_string().contains("RoomName::inbox"), "{refused}");
        }
        assert!(!RoomName::try_from("x@me").unwrap().is_inbox());
    }
}
