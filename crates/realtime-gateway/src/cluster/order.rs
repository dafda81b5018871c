//! What one node asks for is done in the order in which it has asked.
//!
//! Whoever comes stands behind the one before, and passes that on when it is dropped: so neither a
//! panic nor a task that is given up keeps those behind it waiting.

use std::{
    collections::{HashMap, hash_map::Entry},
    convert::Infallible,
    sync::Arc,
};

use realtime_core::NodeId;
use tokio::sync::oneshot;

use crate::sync::Mutex;

/// A line for each node of which something is under way, and no longer.
#[derive(Debug, Default)]
pub(crate) struct Order(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    next: u64,
    last: HashMap<NodeId, Last>,
}

/// Who stands last in a line.
#[derive(Debug)]
struct Last {
    number: u64,
    done: oneshot::Receiver<Infallible>,
}

/// A place in the line of a node, until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    order: Arc<Order>,
    node: NodeId,
    number: u64,
    before: Option<oneshot::Receiver<Infallible>>,
    done: Option<oneshot::Sender<Infallible>>,
}

impl Order {
    /// Stands behind all that the node has asked for before.
    pub(crate) fn stand_behind(self: &Arc<Self>, node: &NodeId) -> Place {
        let (done, is_done) = oneshot::channel();
        let mut lines = self.0.lock();
        let number = lines.next;
        lines.next = number.wrapping_add(1);
        let last = Last {
            number,
            done: is_done,
        };
        let before = lines.last.insert(node.clone(), last);
        drop(lines);
        Place {
            order: Arc::clone(self),
            node: node.clone(),
            number,
            before: before.map(|last| last.done),
            done: Some(done),
        }
    }

    #[cfg(all(test, not(realtime_loom)))]
    fn len(&self) -> usize {
        self.0.lock().last.len()
    }
}

impl Place {
    /// Waits until all that stand before it are done. Cancel safe.
    pub(crate) async fn first(&mut self) {
        if let Some(before) = &mut self.before {
            // It says nothing, and is dropped.
            let _done = before.await;
        }
        self.before = None;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lines = self.order.0.lock();
        if let Entry::Occupied(last) = lines.last.entry(self.node.clone())
            && last.get().number == self.number
        {
            last.remove();
        }
        drop(lines);
        drop(self.done.take());
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn each_waits_for_the_one_before_and_for_no_other_node() {
        let order = Arc::new(Order::default());
        let (a, b): (NodeId, NodeId) = ("a".parse().unwrap(), "b".parse().unwrap());
        let mut first = order.stand_behind(&a);
        let mut second = order.stand_behind(&a);
        let mut third = order.stand_behind(&a);
        let mut other = order.stand_behind(&b);
        assert!(first.first().now_or_never().is_some());
        assert!(second.first().now_or_never().is_none());
        assert!(other.first().now_or_never().is_some());
        drop(first);
        assert!(second.first().now_or_never().is_some());
        assert!(third.first().now_or_never().is_none());
        drop(second);
        assert!(third.first().now_or_never().is_some());
        assert!(third.first().now_or_never().is_some());
        drop((third, other));
        assert_eq!(order.len(), 0);
        assert!(order.stand_behind(&a).first().now_or_never().is_some());
    }
}
