//! Names of sessions and nodes.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The unique id of one session, from connect to disconnect.
///
/// Random and unguessable, but not a secret: it appears in logs and in presence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(Uuid);

impl SessionId {
    /// A new random id.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The id as it travels between nodes.
    pub(crate) fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }

    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for SessionId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::parse_str(text).map(Self)
    }
}

/// The name of a node, unique among the nodes of one cluster.
///
/// 1 to 64 ASCII letters, digits, `-`, `_` and `.`, so that every backend can use it in the name
/// of a queue or a key. Cheap to clone.
///
/// ```
/// use realtime::node::NodeId;
///
/// let node: NodeId = "eu-1".parse()?;
/// assert_eq!(node.as_str(), "eu-1");
/// assert!("eu 1".parse::<NodeId>().is_err());
/// # Ok::<(), realtime::error::InvalidNodeId>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(Arc<str>);

/// A node id that isn't 1 to 64 ASCII letters, digits, `-`, `_` or `.`.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "a node id is 1 to 64 ASCII letters, digits, '-', '_' or '.'; got {length} bytes{}",
    match .character { Some(c) => format!(", among them {c:?}"), None => String::new() }
)]
pub struct InvalidNodeId {
    length: usize,
    character: Option<char>,
}

impl NodeId {
    /// The longest id, in bytes.
    pub(crate) const MAX: usize = 64;

    /// A new random id.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4().to_string().into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeId {
    type Err = InvalidNodeId;

    fn from_str(text: &str) -> Result<Self, InvalidNodeId> {
        let odd = |c: &char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        let character = text.chars().find(odd);
        if character.is_some() || text.is_empty() || text.len() > Self::MAX {
            return Err(InvalidNodeId {
                length: text.len(),
                character,
            });
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for NodeId {
    type Error = InvalidNodeId;

    fn try_from(text: String) -> Result<Self, InvalidNodeId> {
        text.parse()
    }
}

impl From<NodeId> for String {
    fn from(node: NodeId) -> Self {
        node.as_str().to_owned()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// A number drawn at random for each start of a gateway.
///
/// Two gateways that use one node id differ in it, and a node recognises its own messages by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(u64);

impl Incarnation {
    /// A new random incarnation.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4().as_u64_pair().0)
    }

    /// The number, as it travels between nodes.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The incarnation with this number, as it came from another node.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_ids_are_checked() {
        assert!("a".repeat(64).parse::<NodeId>().is_ok());
        for bad in ["", "a b", "a/b", "ä", "a\n", &"a".repeat(65)] {
            assert!(bad.parse::<NodeId>().is_err(), "{bad:?}");
        }
        assert!(
            "a b"
                .parse::<NodeId>()
                .is_err_and(|e| e.to_string().contains("' '"))
        );
    }

    #[test]
    fn ids_survive_json() {
        let id = SessionId::random();
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<SessionId>(&json).unwrap(), id);
        assert!(serde_json::from_str::<NodeId>("\"a b\"").is_err());
    }
}
