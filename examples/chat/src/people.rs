//! Who people are, and how the gateway knows them.

use realtime::{Identity, IdentityKey};
use serde::{Deserialize, Serialize};

/// The tenant of everybody here.
pub(crate) const TENANT: &str = "chat";
/// The role of those who may remove others from a room.
pub(crate) const MODERATOR: &str = "moderator";

/// A person as the server knows them, and as it signs it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Person {
    /// Made by the server, and the same under any name. It has no space in it.
    pub(crate) person: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) moderator: bool,
}

impl Person {
    /// The person with this id of an identity: `PERSON NAME`. What the gateway tells of who comes,
    /// who goes and who is there has the id alone, from whatever node: so everybody has a name
    /// that need not be looked up. Under another name somebody is somebody else in a room.
    pub(crate) fn of_id(id: &str) -> Option<Self> {
        let (person, name) = id.split_once(' ')?;
        Some(Self {
            person: person.to_owned(),
            name: name.to_owned(),
            moderator: false,
        })
    }

    pub(crate) fn of(identity: &Identity) -> Self {
        let moderator = identity.has_role(MODERATOR);
        let person = Self::of_id(identity.id()).unwrap_or_default();
        Self {
            moderator,
            ..person
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        let identity = Identity::new(format!("{} {}", self.person, self.name)).with_tenant(TENANT);
        match self.moderator {
            true => identity.with_role(MODERATOR),
            false => identity,
        }
    }
}

/// Where to reach somebody by the id that others see.
pub(crate) fn key(id: &str) -> IdentityKey {
    IdentityKey::new(id).with_tenant(TENANT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_has_the_person_the_name_and_the_role() {
        for moderator in [false, true] {
            let ada = Person {
                person: "1815".to_owned(),
                name: "Ada King Lovelace".to_owned(),
                moderator,
            };
            assert_eq!(Person::of(&ada.identity()), ada);
            assert_eq!(*ada.identity().key(), key("1815 Ada King Lovelace"));
        }
        assert_eq!(Person::of_id("1815"), None);
    }
}
