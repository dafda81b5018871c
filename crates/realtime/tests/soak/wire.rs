//! What the server's process says to the other one, a line of JSON each.

use std::net::SocketAddr;

use crate::{plan::NODES, support::tls::ServerIdentity};

use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub enum Said {
    /// The address of each policy's gateway, and who they are over TLS.
    Listening(Vec<SocketAddr>, ServerIdentity),
    /// The answer to a line of input.
    Held(Held),
    /// A session has ended.
    Ended(Ended),
    /// A broadcast of this number whose sender was told that other nodes may not get it.
    Failed { node: usize, number: u64 },
}

/// What the server's process holds, and has counted so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Held {
    pub sessions: u64,
    pub tasks: usize,
    pub descriptors: usize,
    pub resident_bytes: usize,
    /// Sessions that haven't been reported as ended.
    pub unreported: usize,
    /// By policy.
    pub stats: Vec<Counted>,
}

impl Held {
    pub fn is_well(&self) -> bool {
        self.stats.iter().all(|node| node.well)
    }
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Counted {
    pub opened: u64,
    pub closed: u64,
    pub aborted: u64,
    pub sent: u64,
    pub dropped: u64,
    pub failed: u64,
    pub panics: u64,
    pub slow_consumers: u64,
    pub write_timeouts: u64,
    pub pong_timeouts: u64,
    pub lost: u64,
    pub queued_bytes: u64,
    pub hooks_abandoned: u64,
    /// Messages of other nodes that were reported as lost on the way.
    pub missed_from_nodes: u64,
    /// Whether the links to the broker and to presence are up.
    pub well: bool,
    /// Outages of the broker and of presence.
    pub outages: u64,
}

/// A session that has ended, as the server saw it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ended {
    pub id: u64,
    /// How many numbered messages were sent or dropped.
    pub offered: u64,
    /// How many of them the policy `DropNewest` dropped.
    pub refused: u64,
    /// The first broadcast that was surely for it, and how many there had been when it was closed:
    /// a range, where it was not closed between two broadcasts.
    pub first_broadcast: u64,
    pub broadcasts: (u64, u64),
    /// How many broadcasts each node had begun when it was opened, and when it had ended.
    pub begun: [[u64; NODES]; 2],
    /// It was closed as a slow consumer.
    pub slow: bool,
    /// The code of the close frame.
    pub code: Option<u16>,
}
