//! The sessions of this node: an index to find them by, and shards to reach all of them.
//!
//! ```text
//!   broadcast ─► log of each shard ─► dispatcher ─► outbox of each session
//!   send ─────────────────────────────────────────►   │ first what the log holds for it
//! ```

mod batch;
mod dispatch;
mod index;
mod log;
mod shard;
mod sweep;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread::available_parallelism,
};

use tokio::time::Instant;

use bytes::Bytes;
use futures::FutureExt;
use realtime_core::{IdentityKey, SessionId};

use crate::{Session, shared::Shared};

pub(crate) use batch::Batch;
use index::Index;
pub(crate) use log::Log;
pub(crate) use shard::Shard;
use sweep::Clock;

/// More than this share a broadcast's work no better.
const MAX_SHARDS: usize = 16;

/// Every open session of this node. Bounded by the connection limit.
#[derive(Debug)]
pub(crate) struct Hub {
    index: Index,
    shards: Vec<Arc<Shard<Session>>>,
    next_shard: AtomicUsize,
    /// Whether there are tasks that carry and keep time.
    running: Arc<AtomicBool>,
    clock: Clock,
}

/// Held by all tasks of a hub: when the last of them is gone, others may begin.
struct Running(Arc<AtomicBool>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(false, Relaxed);
    }
}

impl Hub {
    pub(crate) fn new() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        let shards = (0..cores.min(MAX_SHARDS)).map(|_| Arc::new(Shard::new()));
        Self {
            index: Index::default(),
            shards: shards.collect(),
            next_shard: AtomicUsize::new(0),
            running: Arc::default(),
            clock: Clock::new(),
        }
    }

    /// The shard of the next session.
    pub(crate) fn next_shard(&self) -> Arc<Shard<Session>> {
        let next = self.next_shard.fetch_add(1, Relaxed) % self.shards.len();
        Arc::clone(&self.shards[next])
    }

    /// Begins to carry broadcasts to sessions and to keep their time, from the first session on,
    /// and once more should the runtime that did so be gone.
    pub(crate) fn run(&self, shared: &Arc<Shared>) {
        if self.running.swap(true, Relaxed) {
            return;
        }
        let running = Arc::new(Running(Arc::clone(&self.running)));
        for shard in &self.shards {
            let carry = dispatch::run(Arc::clone(shard), Arc::clone(shared));
            let held = Arc::clone(&running);
            shared.background.spawn(carry.map(|()| drop(held)));
        }
        let sweep = sweep::run(Arc::clone(shared));
        shared.background.spawn(sweep.map(|()| drop(running)));
    }

    /// The same, where there are sessions: those of one runtime may be left to another's tasks.
    pub(crate) fn keep_running(&self, shared: &Arc<Shared>) {
        if !self.running.load(Relaxed) && self.len() > 0 {
            self.run(shared);
        }
    }

    pub(crate) fn insert(&self, session: Session) {
        self.index.insert(session.clone());
        session.take_seat();
    }

    /// Returns whether it was here.
    pub(crate) fn remove(&self, session: &Session) -> bool {
        let was_here = session.leave_seat();
        if was_here {
            self.index.remove(session);
        }
        was_here
    }

    /// A time on the clock that alarms are set by, in milliseconds.
    pub(crate) fn millis(&self, at: Instant) -> u64 {
        self.clock.millis(at)
    }

    /// Hands a frame to every session, in the log of its shard, and returns how many there are.
    /// It waits while a log is full.
    pub(crate) async fn broadcast(&self, frame: &Bytes) -> usize {
        let mut readers = 0;
        for shard in &self.shards {
            readers += shard.log().append(frame).await;
        }
        readers
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    pub(crate) fn get(&self, id: SessionId) -> Option<Session> {
        self.index.get(id)
    }

    /// All sessions, as they are now. A copy, so that nothing is locked while they are written to.
    pub(crate) fn all(&self) -> Vec<Session> {
        self.shards.iter().flat_map(|shard| shard.all()).collect()
    }

    /// The sessions of an identity, as they are now.
    pub(crate) fn of(&self, key: &IdentityKey) -> Vec<Session> {
        self.index.of(key)
    }
}
