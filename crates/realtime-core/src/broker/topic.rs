//! Where a message is published.

use std::{fmt, str::FromStr};

use crate::{NodeId, Text};

/// Where a message is published.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Topic {
    /// Every node.
    All,
    /// One node.
    Node(NodeId),
    /// The nodes that have [joined](super::Broker::join) it.
    Named(TopicName),
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Node(id) => write!(f, "n.{id}"),
            Self::Named(name) => write!(f, "t.{name}"),
        }
    }
}

/// The name of a topic that nodes join and leave: 1 to 512 bytes of text. Cheap to clone.
///
/// Any text is allowed: a backend whose names are narrower encodes it.
///
/// ```
/// use realtime::broker::TopicName;
///
/// let name: TopicName = "order:42".parse()?;
/// assert_eq!(name.as_str(), "order:42");
/// assert!("".parse::<TopicName>().is_err());
/// # Ok::<(), realtime::error::InvalidTopicName>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Text);

/// The name of a topic that isn't 1 to 512 bytes long.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the name of a topic is 1 to 512 bytes; got {length}")]
pub struct InvalidTopicName {
    length: usize,
}

impl TopicName {
    /// The longest name, in bytes.
    pub const MAX: usize = 512;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<Text> for TopicName {
    type Error = InvalidTopicName;

    fn try_from(name: Text) -> Result<Self, InvalidTopicName> {
        match name.len() {
            1..=Self::MAX => Ok(Self(name)),
            length => Err(InvalidTopicName { length }),
        }
    }
}

impl FromStr for TopicName {
    type Err = InvalidTopicName;

    fn from_str(name: &str) -> Result<Self, InvalidTopicName> {
        Self::try_from(Text::from(name))
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
