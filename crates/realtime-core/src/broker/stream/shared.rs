//! What the two halves of a node's stream know of each other.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::sync::Notify;

use super::{Topics, loopback::Loopback};
use crate::{
    Events, NodeId,
    broker::{BrokerEvent, NodeInfo},
};

/// How many nodes are remembered that have asked for their numbers. Any more hear a beacon only,
/// and the numbers of their own topics with the next message there.
const ASKING: usize = 4_096;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) node: NodeInfo,
    pub(super) events: Arc<Events<BrokerEvent>>,
    pub(super) loopback: Loopback,
    pub(super) topics: Arc<Topics>,
    /// Something is asked for.
    pub(super) wake: Notify,
    others: AtomicUsize,
    /// This node has said nothing for a while, and may have heard nothing.
    is_anew: AtomicBool,
    asked: Mutex<Asked>,
}

/// What others have asked for.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Is another alive under this id?
    pub(super) answer: bool,
    /// Which numbers has this node reached? On the own topics of these, too.
    pub(super) numbers: bool,
    pub(super) by: BTreeSet<NodeId>,
}

impl Shared {
    pub(super) fn new(node: NodeInfo, events: Arc<Events<BrokerEvent>>) -> Self {
        Self {
            node,
            events,
            loopback: Loopback::default(),
            topics: Arc::default(),
            wake: Notify::new(),
            others: AtomicUsize::new(0),
            is_anew: AtomicBool::new(false),
            asked: Mutex::default(),
        }
    }

    pub(super) fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another node wants to know whether this one is alive.
    pub(super) fn ask_for_an_answer(&self) {
        self.asked().answer = true;
        self.wake.notify_one();
    }

    /// Another node wants to know which numbers this one has reached.
    pub(super) fn ask_for_numbers(&self, by: NodeId) {
        let mut asked = self.asked();
        asked.numbers = true;
        if asked.by.len() < ASKING {
            asked.by.insert(by);
        }
        drop(asked);
        self.wake.notify_one();
    }

    /// This node may speak, for the first time or again.
    pub(super) fn begin(&self) {
        self.loopback.begin();
        self.is_anew.store(true, Relaxed);
    }

    /// Whether it has begun since this was last asked.
    pub(super) fn has_begun(&self) -> bool {
        self.is_anew.swap(false, Relaxed)
    }

    /// How many other nodes are there.
    pub(super) fn others(&self) -> usize {
        self.others.load(Relaxed)
    }

    pub(super) fn set_others(&self, others: usize) {
        self.others.store(others, Relaxed);
    }
}
