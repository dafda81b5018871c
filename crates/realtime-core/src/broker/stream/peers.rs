//! Which other nodes are there, and how far each has come.
//!
//! Nobody is judged by a clock: a node is gone when this node's own probes came back so many times
//! and no beacon of it stood among them in the same line. So a backlog, a pause of this process or
//! an outage of its link ends nobody.

use std::{collections::HashMap, time::Duration};

use super::BEACON_INTERVAL;
use crate::{NodeId, broker::NodeInfo};

/// How many other nodes are remembered. Past it the one that was silent longest is forgotten.
const NODES: usize = 4_096;
/// How many beacons of a node may be missing.
const MISSING: u32 = 3;
/// Within how many probes of this node another has said how far it is on this node's topic, if it
/// has ever sent anything there.
const SETTLED: u32 = 4;

/// The other nodes.
#[derive(Debug, Default)]
pub(super) struct Peers {
    known: HashMap<NodeInfo, Peer>,
    /// How many messages were read: the clock of `Peer::at`.
    read: u64,
    /// How many are up.
    up: usize,
    /// The next probe that comes back may be an old one, and says nothing of others.
    is_anew: bool,
}

/// What is known of another node.
#[derive(Debug)]
pub(super) struct Peer {
    /// The last number for all; `None` before anything came.
    pub(super) all: Option<u64>,
    /// The last number on this node's own topic.
    pub(super) own: Option<u64>,
    /// How many probes of this node came back while that one was up.
    probes: u32,
    life: Life,
    /// How many probes of this node came back since the last beacon of that one.
    silent: u32,
    /// How many may.
    patience: u32,
    at: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Up,
    /// It left, or fell silent, and may be heard again.
    Down,
    /// Another start of it was heard after it.
    Over,
}

/// What became of nodes, in this order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) down: Vec<NodeInfo>,
    pub(super) up: Option<NodeInfo>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.down.is_empty() && self.up.is_none()
    }
}

impl Peers {
    pub(super) fn up(&self) -> usize {
        self.up
    }

    /// Something was heard of a node.
    pub(super) fn hear(&mut self, node: &NodeInfo) -> (&mut Peer, Changes) {
        let mut changes = Changes::default();
        self.read += 1;
        if !self.known.contains_key(node) {
            changes.down.extend(self.supersede(&node.id));
            changes.down.extend(self.make_room());
        }
        let peer = self.known.entry(node.clone()).or_insert(Peer {
            all: None,
            own: None,
            probes: 0,
            life: Life::Down,
            silent: 0,
            patience: patience(BEACON_INTERVAL),
            at: 0,
        });
        if peer.life == Life::Down {
            (peer.life, peer.silent) = (Life::Up, 0);
            self.up += 1;
            changes.up = Some(node.clone());
        }
        peer.at = self.read;
        (peer, changes)
    }

    /// A node says that it leaves.
    pub(super) fn leave(&mut self, node: &NodeInfo) -> Option<NodeInfo> {
        let peer = self.known.get_mut(node).filter(|p| p.life == Life::Up)?;
        peer.life = Life::Down;
        self.up -= 1;
        Some(node.clone())
    }

    /// A probe of this node has come back. Returns those that have been silent for too many.
    pub(super) fn judge(&mut self) -> Vec<NodeInfo> {
        let mut gone = Vec::new();
        if std::mem::take(&mut self.is_anew) {
            return gone;
        }
        for (node, peer) in &mut self.known {
            if peer.life == Life::Up {
                peer.silent += 1;
                peer.probes = peer.probes.saturating_add(1);
                if peer.probes >= SETTLED {
                    // So that its first message there can be missed, too.
                    peer.own.get_or_insert(0);
                }
                if peer.silent >= peer.patience {
                    peer.life = Life::Down;
                    gone.push(node.clone());
                }
            }
        }
        self.up -= gone.len();
        gone
    }

    /// The link is new, or nobody could say anything for a while: what they said meanwhile was not
    /// heard.
    pub(super) fn begin(&mut self) {
        self.is_anew = true;
        for peer in self.known.values_mut() {
            peer.silent = 0;
        }
    }

    /// Of two starts under one name the one that is heard first later is the living one.
    fn supersede(&mut self, id: &NodeId) -> Option<NodeInfo> {
        let mut ended = None;
        for (node, peer) in self.known.iter_mut().filter(|(node, _)| node.id == *id) {
            if peer.life == Life::Up {
                self.up -= 1;
                ended = Some(node.clone());
            }
            peer.life = Life::Over;
        }
        ended
    }

    /// Forgets the one that was silent longest, where there are too many. Returns it if it was up.
    fn make_room(&mut self) -> Option<NodeInfo> {
        if self.known.len() < NODES {
            return None;
        }
        let oldest = self.known.iter().min_by_key(|(_, peer)| peer.at);
        let oldest = oldest.map(|(node, _)| node.clone())?;
        let peer = self.known.remove(&oldest)?;
        (peer.life == Life::Up).then(|| {
            self.up -= 1;
            oldest
        })
    }
}

impl Peer {
    /// A beacon has come, and the next is due after this interval.
    pub(super) fn beacon(&mut self, interval: Duration) {
        (self.silent, self.patience) = (0, patience(interval));
    }
}

fn patience(interval: Duration) -> u32 {
    let probes = interval.as_millis().div_ceil(BEACON_INTERVAL.as_millis());
    MISSING * probes as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Incarnation;

    fn start_of(name: &str, number: u64) -> NodeInfo {
        NodeInfo::new(name.parse().unwrap(), Incarnation::from_u64(number))
    }

    #[test]
    fn where_all_room_is_taken_another_start_ends_the_one_before_it_all_the_same() {
        let mut peers = Peers::default();
        for n in 0..NODES {
            peers.hear(&start_of(&format!("n-{n}"), 1));
        }
        let again = start_of("n-7", 2);
        let (_, changes) = peers.hear(&again);
        // The one that was silent longest is forgotten for it.
        let down = vec![start_of("n-7", 1), start_of("n-0", 1)];
        let up = Some(again);
        assert_eq!(changes, Changes { down, up });
        assert_eq!(peers.up(), NODES - 1);
    }
}
