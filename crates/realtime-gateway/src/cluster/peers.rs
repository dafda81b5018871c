//! Which other nodes are there, as the broker says.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use realtime_core::{Incarnation, NodeId, broker::NodeInfo};

/// How many are remembered. Nobody waits for any more of them.
const NODES: usize = 4_096;

/// The other nodes that have come and not gone. What a node has sent before it went may arrive
/// behind the news of that, so nothing but the news counts.
#[derive(Debug, Default)]
pub(crate) struct Peers(Mutex<HashMap<NodeId, Incarnation>>);

impl Peers {
    fn lock(&self) -> MutexGuard<'_, HashMap<NodeId, Incarnation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node is there. Returns the start of it that has gone with that, if one was known.
    pub(crate) fn is_up(&self, node: &NodeInfo) -> Option<NodeInfo> {
        let mut nodes = self.lock();
        if nodes.len() >= NODES && !nodes.contains_key(&node.id) {
            return None;
        }
        let before = nodes.insert(node.id.clone(), node.incarnation)?;
        let is_other = before != node.incarnation;
        is_other.then(|| NodeInfo::new(node.id.clone(), before))
    }

    /// That start of a node has gone.
    pub(crate) fn is_down(&self, node: &NodeInfo) {
        let mut nodes = self.lock();
        if nodes.get(&node.id) == Some(&node.incarnation) {
            nodes.remove(&node.id);
        }
    }

    /// Nothing is known of any of them any more. Returns those that were.
    pub(crate) fn forget_all(&self) -> Vec<NodeInfo> {
        let nodes = std::mem::take(&mut *self.lock());
        let nodes = nodes.into_iter();
        nodes
            .map(|(id, incarnation)| NodeInfo::new(id, incarnation))
            .collect()
    }

    pub(crate) fn has(&self, node: &NodeInfo) -> bool {
        self.lock().get(&node.id) == Some(&node.incarnation)
    }

    pub(crate) fn all(&self) -> Vec<NodeInfo> {
        let nodes = self.lock();
        let nodes = nodes.iter();
        nodes
            .map(|(id, incarnation)| NodeInfo::new(id.clone(), *incarnation))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, n: u64) -> NodeInfo {
        NodeInfo::new(name.parse().unwrap(), Incarnation::from_u64(n))
    }

    #[test]
    fn a_later_start_takes_the_place_of_an_earlier_one() {
        let peers = Peers::default();
        assert_eq!(peers.is_up(&node("a", 1)), None);
        assert_eq!(peers.is_up(&node("a", 1)), None);
        assert_eq!(peers.is_up(&node("a", 2)), Some(node("a", 1)));
        peers.is_down(&node("a", 1));
        assert_eq!(peers.all(), [node("a", 2)]);
        peers.is_down(&node("a", 2));
        assert_eq!(peers.all(), []);
    }

    #[test]
    fn a_bounded_number_is_remembered() {
        let peers = Peers::default();
        for n in 0..2 * NODES {
            peers.is_up(&node(&n.to_string(), 1));
        }
        assert_eq!(peers.all().len(), NODES);
        assert_eq!(peers.is_up(&node("0", 2)), Some(node("0", 1)));
    }
}
