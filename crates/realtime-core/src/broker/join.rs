//! A node as it joins the cluster, and what it joins.

use super::{Topic, TopicName};
use crate::{Incarnation, NodeId};

/// A node as it joins the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct NodeInfo {
    /// The node's name.
    pub id: NodeId,
    /// Drawn at random for each start of the gateway.
    pub incarnation: Incarnation,
}

impl NodeInfo {
    /// A node with this name and incarnation.
    #[must_use]
    pub const fn new(id: NodeId, incarnation: Incarnation) -> Self {
        Self { id, incarnation }
    }

    /// The topic of this node alone.
    #[must_use]
    pub fn topic(&self) -> Topic {
        Topic::Node(self.id.clone())
    }
}

/// What [`Broker::subscribe`](super::Broker::subscribe) is asked for: [`Topic::All`], the node's
/// own topic, and any that are named here.
///
/// ```
/// use realtime::{broker::{Join, NodeInfo}, node::{Incarnation, NodeId}};
///
/// let node = NodeInfo::new("eu-1".parse::<NodeId>()?, Incarnation::random());
/// let join = Join::new(node).with_topics(["order:42".parse()?]);
/// assert_eq!(join.topics.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Join {
    /// Who joins.
    pub node: NodeInfo,
    /// The named topics that it receives from the beginning.
    pub topics: Vec<TopicName>,
}

impl Join {
    /// For a node that receives what is for all and what is for itself.
    #[must_use]
    pub const fn new(node: NodeInfo) -> Self {
        Self {
            node,
            topics: Vec::new(),
        }
    }

    /// Receives these from the beginning, too.
    #[must_use]
    pub fn with_topics(mut self, topics: impl IntoIterator<Item = TopicName>) -> Self {
        self.topics.extend(topics);
        self
    }
}

/// What a broker can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokerLimits {
    /// The largest message in bytes, where there is a limit. Larger ones fail with kind
    /// [`TooLarge`](super::BrokerErrorKind::TooLarge).
    pub max_message: Option<usize>,
    /// How many named topics a member may be in at the same time, where there is a limit.
    pub max_topics: Option<usize>,
    /// Whether it can tell that nobody listens to a node's topic: a broker that can't answers
    /// [`Accepted`](super::Published::Accepted), and never
    /// [`NoRoute`](super::Published::NoRoute).
    pub knows_absence: bool,
}

impl BrokerLimits {
    /// A broker without limits, which knows whether somebody listens.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            max_message: None,
            max_topics: None,
            knows_absence: true,
        }
    }

    /// With a largest message, in bytes.
    #[must_use]
    pub const fn with_max_message(mut self, bytes: usize) -> Self {
        self.max_message = Some(bytes);
        self
    }

    /// With a largest number of named topics for a member.
    #[must_use]
    pub const fn with_max_topics(mut self, topics: usize) -> Self {
        self.max_topics = Some(topics);
        self
    }

    /// It can't tell whether somebody listens.
    #[must_use]
    pub const fn without_absence(mut self) -> Self {
        self.knows_absence = false;
        self
    }
}
