//! A part of the node's sessions, with the log that they follow.

use std::sync::{Arc, PoisonError};

use slab::Slab;

use super::log::Log;
use crate::sync::{Mutex, MutexGuard};

/// Some of the sessions, and what is broadcast to them.
#[derive(Debug)]
pub(crate) struct Shard<M> {
    log: Arc<Log>,
    members: Mutex<Slab<M>>,
}

/// How many seats are looked at under the lock at once.
const SEATS: usize = 1_024;

impl<M: Clone> Shard<M> {
    pub(crate) fn new() -> Self {
        Self {
            log: Arc::new(Log::new()),
            members: Mutex::new(Slab::new()),
        }
    }

    pub(crate) fn log(&self) -> &Arc<Log> {
        &self.log
    }

    fn members(&self) -> MutexGuard<'_, Slab<M>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a member, which is to join the log after this and not before: a round that begins once
    /// it has joined is then sure to come by.
    pub(crate) fn insert(&self, member: M) -> usize {
        self.members().insert(member)
    }

    pub(crate) fn remove(&self, seat: usize) {
        // Dropped without the lock: it may be the last hold on a session.
        let _member = self.members().try_remove(seat);
    }

    /// All members, as they are now. One who comes meanwhile may be missing.
    pub(crate) fn all(&self) -> Vec<M> {
        let (mut all, mut seat) = (Vec::new(), Some(0));
        while let Some(from) = seat {
            seat = self.members_from(from, SEATS, |_| true, &mut all);
        }
        all
    }

    /// Copies those members of the next `seats` seats that `pick` says, so that nothing is locked
    /// while they are written to. Returns the seat to go on with, or `None` when there are no more.
    pub(crate) fn members_from(
        &self,
        seat: usize,
        seats: usize,
        pick: impl Fn(&M) -> bool,
        into: &mut Vec<M>,
    ) -> Option<usize> {
        let members = self.members();
        let end = seat.saturating_add(seats).min(members.capacity());
        let picked = (seat..end).filter_map(|seat| members.get(seat).filter(|m| pick(m)));
        into.extend(picked.cloned());
        (end < members.capacity()).then_some(end)
    }
}
