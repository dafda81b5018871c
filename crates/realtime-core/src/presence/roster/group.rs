//! Who is kept together: the members of a room, and those of a tenant who are online.

use std::fmt;

use crate::{IdentityKey, RoomName, Text};

/// A set of identities that a [`Roster`](super::Roster) keeps.
///
/// ```
/// use realtime::presence::Group;
///
/// let room = Group::Room("lobby".parse()?);
/// assert_ne!(room, Group::Tenant("lobby".into()), "they share no name");
/// # Ok::<(), realtime::error::InvalidRoomName>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Group {
    /// The members of a room, of whatever tenant.
    Room(RoomName),
    /// Everybody of this tenant who is online.
    Tenant(Text),
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Room(room) => write!(f, "room {room:?}"),
            Self::Tenant(tenant) => write!(f, "tenant {:?}", tenant.as_str()),
        }
    }
}

/// An identity in a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Member {
    /// The group.
    pub group: Group,
    /// Who is in it.
    pub identity: IdentityKey,
}

impl Member {
    /// This identity, in this group.
    #[must_use]
    pub const fn new(group: Group, identity: IdentityKey) -> Self {
        Self { group, identity }
    }
}
