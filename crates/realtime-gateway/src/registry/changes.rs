//! Comings and goings of which this node has to tell, until it has.

use std::collections::{HashSet, VecDeque};

use realtime_core::presence::Change;
use tokio::sync::Notify;

use crate::sync::Mutex;

/// How many may wait. The roster hands out again what has no place here, since nobody confirms it.
const MOST: usize = 10_000;
/// How many are told of at the same time.
const AT_ONCE: usize = 64;

/// Changes that the roster has handed out to this node.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    waiting: Mutex<VecDeque<Change>>,
    added: Notify,
}

impl Changes {
    pub(crate) fn add(&self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        let mut waiting = self.waiting.lock();
        let room = MOST.saturating_sub(waiting.len());
        waiting.extend(changes.into_iter().take(room));
        drop(waiting);
        self.added.notify_one();
    }

    /// The next of which it is told together, as soon as there are any: those of one member never
    /// are, so that they stay in order. Cancel safe.
    pub(crate) async fn next(&self) -> Vec<Change> {
        loop {
            let batch = self.batch();
            if !batch.is_empty() {
                return batch;
            }
            self.added.notified().await;
        }
    }

    fn batch(&self) -> Vec<Change> {
        let mut waiting = self.waiting.lock();
        let mut members = HashSet::new();
        let is_first = |change: &&Change| members.insert(change.member.clone());
        let count = waiting.iter().take(AT_ONCE).take_while(is_first).count();
        let batch = waiting.drain(..count).collect();
        if waiting.is_empty() {
            // A peak's worth of places is not kept.
            *waiting = VecDeque::new();
        }
        batch
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use realtime_core::{
        IdentityKey,
        presence::{ChangeKind, Group, Member},
    };

    use super::*;

    #[test]
    fn one_member_is_told_of_once_at_a_time() {
        let changes = Changes::default();
        let of = |name: &str, kind, version| {
            let member = Member::new(Group::Tenant("acme".into()), IdentityKey::new(name));
            Change::new(member, kind, version)
        };
        let (joined, left) = (ChangeKind::Joined, ChangeKind::Left);
        changes.add(vec![of("ann", joined, 1), of("bob", joined, 2)]);
        changes.add(vec![of("ann", left, 3), of("eve", joined, 4)]);
        let versions = |batch: Vec<Change>| batch.iter().map(|c| c.version).collect::<Vec<_>>();
        assert_eq!(versions(changes.batch()), [1, 2]);
        assert_eq!(versions(changes.batch()), [3, 4]);
        assert!(changes.batch().is_empty());
    }

    #[test]
    fn only_so_many_wait() {
        let changes = Changes::default();
        let member = Member::new(Group::Tenant("acme".into()), IdentityKey::new("ann"));
        let many = (0..).map(|version| Change::new(member.clone(), ChangeKind::Joined, version));
        changes.add(many.take(MOST + 10).collect());
        assert_eq!(changes.waiting.lock().len(), MOST);
    }
}
