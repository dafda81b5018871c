//! What is known of other nodes: those that a targeted message came back from, for as long as they
//! are not tried again, and the former lives of those that were started again.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use realtime_core::{Incarnation, NodeId, broker::NodeInfo};
use tokio::time::Instant;

/// For how long such a node gets no targeted message. It is short: the node may be back.
const SKIPPED: Duration = Duration::from_secs(1);
/// How many nodes are remembered, and how many former lives. Any more are tried each time.
const NODES: usize = 1_024;

/// Which nodes can't be reached, as far as this node has seen. No other node learns of it: one that
/// merely lost its link stays in presence, and one that is dead leaves it by its leases.
#[derive(Debug, Default)]
pub(crate) struct Unreachable {
    since: Mutex<HashMap<NodeId, Instant>>,
    /// Whether there may be any, so that a message costs no lock.
    any: AtomicBool,
    lives: Mutex<Lives>,
}

/// Which start of a node has sent last, and which starts were over by then.
#[derive(Debug, Default)]
struct Lives {
    current: HashMap<NodeId, Current>,
    former: HashSet<NodeInfo>,
}

#[derive(Debug)]
struct Current {
    incarnation: Incarnation,
    /// It was said to have gone.
    is_down: bool,
}

impl Unreachable {
    fn since(&self) -> MutexGuard<'_, HashMap<NodeId, Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message to this node came back.
    pub(crate) fn add(&self, node: NodeId) {
        let mut since = self.since();
        since.retain(|_, since| since.elapsed() < SKIPPED);
        if since.len() < NODES {
            since.insert(node, Instant::now());
            self.any.store(true, Relaxed);
        }
    }

    /// Whether a message to this node would come back.
    pub(crate) fn contains(&self, node: &NodeId) -> bool {
        let is_recent = |since: &Instant| since.elapsed() < SKIPPED;
        self.any.load(Relaxed) && self.since().get(node).is_some_and(is_recent)
    }

    /// This node has sent something.
    pub(crate) fn has_sent(&self, node: &NodeId, incarnation: Incarnation) {
        self.lives(node, incarnation);
        if !self.any.load(Relaxed) {
            return;
        }
        let mut since = self.since();
        since.remove(node);
        since.retain(|_, since| since.elapsed() < SKIPPED);
        self.any.store(!since.is_empty(), Relaxed);
    }
}

impl Unreachable {
    /// A node lives, in this start of it. Of two starts under one name the later one has ended the
    /// earlier one, whose last messages may come behind the news of it.
    pub(crate) fn lives(&self, node: &NodeId, incarnation: Incarnation) {
        let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        let Lives { current, former } = &mut *lives;
        let life = NodeInfo::new(node.clone(), incarnation);
        let now = Current {
            incarnation,
            is_down: false,
        };
        let before = match current.get_mut(node) {
            Some(known) if known.incarnation == incarnation => {
                known.is_down = false;
                return;
            }
            Some(known) if former.contains(&life) && !known.is_down => return,
            Some(known) => std::mem::replace(known, now),
            None => {
                if current.len() >= NODES {
                    current.clear();
                }
                current.insert(node.clone(), now);
                return;
            }
        };
        if former.len() >= NODES {
            former.clear();
        }
        former.insert(NodeInfo::new(node.clone(), before.incarnation));
        former.remove(&life);
    }

    /// This start of a node has gone: should an earlier one be heard, it lives after all.
    pub(crate) fn has_gone(&self, node: &NodeInfo) {
        let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lives.current.get_mut(&node.id) {
            known.is_down |= known.incarnation == node.incarnation;
        }
    }

    /// Whether this start of a node is over, since a later one was heard: nobody is there
    /// any more, whatever presence says until its leases end.
    pub(crate) fn is_former_life(&self, node: &NodeInfo) -> bool {
        let lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        lives.former.contains(node)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_node_is_tried_again_soon_and_at_once_when_it_sends() {
        let (unreachable, a, b) = (Unreachable::default(), NodeId::random(), NodeId::random());
        unreachable.add(a.clone());
        unreachable.add(b.clone());
        assert!(unreachable.contains(&a) && unreachable.contains(&b));
        unreachable.has_sent(&a, Incarnation::from_u64(1));
        assert!(!unreachable.contains(&a) && unreachable.contains(&b));
        advance(SKIPPED).await;
        assert!(!unreachable.contains(&b));
    }

    #[tokio::test(start_paused = true)]
    async fn a_bounded_number_of_nodes_is_remembered() {
        let unreachable = Unreachable::default();
        for _ in 0..2 * NODES {
            unreachable.add(NodeId::random());
        }
        assert_eq!(unreachable.since().len(), NODES);
        advance(SKIPPED).await;
        let node = NodeId::random();
        unreachable.add(node.clone());
        assert!(unreachable.contains(&node));
        assert_eq!(unreachable.since().len(), 1);
    }

    #[test]
    fn a_later_start_ends_an_earlier_one() {
        let (unreachable, name) = (Unreachable::default(), NodeId::random());
        let life = |n| NodeInfo::new(name.clone(), Incarnation::from_u64(n));
        unreachable.has_sent(&name, Incarnation::from_u64(1));
        assert!(!unreachable.is_former_life(&life(1)));
        assert!(!unreachable.is_former_life(&life(2)), "it may be the next");
        unreachable.has_sent(&name, Incarnation::from_u64(2));
        assert!(unreachable.is_former_life(&life(1)) && !unreachable.is_former_life(&life(2)));
        unreachable.has_sent(&name, Incarnation::from_u64(1));
        assert!(unreachable.is_former_life(&life(1)), "it comes late");
        unreachable.has_gone(&life(2));
        unreachable.has_sent(&name, Incarnation::from_u64(1));
        assert!(unreachable.is_former_life(&life(2)) && !unreachable.is_former_life(&life(1)));
        for n in 3..3_000 {
            unreachable.has_sent(&name, Incarnation::from_u64(n));
            unreachable.has_sent(&NodeId::random(), Incarnation::from_u64(n));
        }
        let lives = unreachable.lives.lock().unwrap();
        assert!(lives.current.len() <= NODES && lives.former.len() <= NODES);
    }
}
