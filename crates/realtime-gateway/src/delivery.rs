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
    /// Of a targeted message: how many other nodes should have received it, as presence says, and
    /// did not, or not as far as is known. Nobody may be there: a node that was killed stays in
    /// presence until its leases end. Where presence couldn't say which nodes, 1 for all of them.
    ///
    /// To send the message again would double it for those who have it.
    pub unreached: usize,
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
    /// Whether somebody has it: a session of this node, or another node that holds one.
    pub(crate) fn is_taken(&self) -> bool {
        self.local > 0 || matches!(self.remote, Remote::Nodes(1..) | Remote::Published)
    }

    pub(crate) const fn none() -> Self {
        Self {
            local: 0,
            remote: Remote::NotStarted,
            unreached: 0,
        }
    }
}
