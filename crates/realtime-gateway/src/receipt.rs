//! What became of something that sessions were told to do, on all nodes.

use std::time::Duration;

use realtime_core::broker::{BrokerError, NodeInfo};

/// What became of something that was to be done to sessions, on whatever node they are: what
/// [`Audience::disconnect`](crate::Audience::disconnect), [`join`](crate::Audience::join) and
/// [`leave`](crate::Audience::leave) return, and the account of
/// [`request`](crate::Audience::request).
///
/// It is no error that a node didn't answer: the receipt says so, and what the others did.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Receipt {
    /// The sessions that were meant, on all nodes that have answered.
    pub sessions: u64,
    /// Those of them with which it failed.
    pub failed: u64,
    /// What each node has answered: this one first, where it was done in time, then the others in
    /// the order of their answers.
    pub nodes: Vec<NodeReceipt>,
    /// Nodes that are there, as far as is known, and didn't answer in time. They may have done it
    /// all the same, or are cut off, or were killed just now: the broker takes some seconds to find
    /// that out. To do it again is harmless.
    pub missing: Vec<NodeInfo>,
    /// Nodes that went while they were waited for, with their sessions: those that said goodbye,
    /// were started again, or were found to be gone. Nobody is missing there.
    pub left: Vec<NodeInfo>,
    /// Why other nodes could not be asked, where that is so. All that are known are
    /// [`missing`](Self::missing) then.
    pub not_asked: Option<BrokerError>,
    /// How long it took.
    pub elapsed: Duration,
}

/// What one node has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeReceipt {
    /// The node.
    pub node: NodeInfo,
    /// Whether it has done it.
    pub answer: NodeAnswer,
    /// Its sessions that were meant.
    pub sessions: u64,
    /// Those of them with which it failed.
    pub failed: u64,
}

/// Whether a node has done what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NodeAnswer {
    /// It has too much of this to do already. Try again.
    Busy,
    /// It has.
    Done,
    /// It doesn't know how: it is of another version, or speaks another codec.
    NotUnderstood,
}

impl Receipt {
    /// Whether every node that is known has done it. Sessions with which it
    /// [`failed`](Self::failed) count as done.
    ///
    /// ```
    /// use realtime::{CloseCode, IdentityKey};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// let ann = gateway.identity(&IdentityKey::new("ann"));
    /// let receipt = ann.disconnect(CloseCode::DISCONNECTED, "banned").await?;
    /// if !receipt.is_complete() {
    ///     eprintln!("she may still be on {:?}", receipt.missing);
    /// }
    /// # assert_eq!((receipt.sessions, receipt.is_complete()), (0, true));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let is_done = |node: &NodeReceipt| node.answer == NodeAnswer::Done;
        self.missing.is_empty() && self.not_asked.is_none() && self.nodes.iter().all(is_done)
    }
}

impl NodeReceipt {
    pub(crate) const fn done(node: NodeInfo, sessions: u64, failed: u64) -> Self {
        Self {
            node,
            answer: NodeAnswer::Done,
            sessions,
            failed,
        }
    }

    pub(crate) const fn refused(node: NodeInfo, answer: NodeAnswer) -> Self {
        Self {
            node,
            answer,
            sessions: 0,
            failed: 0,
        }
    }
}
