//! What became of a broadcast or a targeted message.

/// What became of a broadcast or a targeted message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// The sessions of this node to which the message was handed: written, put into their
    /// queues, or, for a broadcast, put into the log that they are served from next.
    pub local: usize,
    /// What went to other nodes.
    pub remote: Remote,
}

/// What went to other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remote {
    /// A targeted message was published to this many nodes.
    Nodes(usize),
    /// The gateway isn't started, so nothing was published.
    NotStarted,
    /// A broadcast was published to all nodes.
    Published,
}

impl Delivery {
    pub(crate) const fn none() -> Self {
        Self {
            local: 0,
            remote: Remote::NotStarted,
        }
    }
}
