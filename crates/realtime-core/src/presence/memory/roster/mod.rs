//! The roster in this process.

mod group;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use group::Kept;

use super::closed;
use crate::{
    broker::NodeInfo,
    presence::{
        Change, Departed, Entered, Group, Member, MemberPage, PresenceError, Prolonged, Roster,
    },
};

/// How many groups one call of `changes` looks into at the most: who has nothing to tell costs
/// little, but not nothing.
const LOOK: usize = 1_000;

/// One node's handle on the groups of this process.
#[derive(Debug, Clone)]
pub(super) struct MemoryRoster {
    pub(super) groups: Arc<Mutex<Groups>>,
    pub(super) is_closed: Arc<AtomicBool>,
}

/// All groups that have members, or of which there is something to tell.
#[derive(Debug, Default)]
pub(super) struct Groups {
    by_name: HashMap<Group, Kept>,
    /// Those where something ends on its own, by the time at which it does.
    due: BTreeSet<(Instant, Group)>,
    versions: Versions,
}

/// The numbers of changes.
#[derive(Debug, Default)]
struct Versions(u64);

impl Versions {
    /// The microseconds of the clock, so that who remembers one from before a restart knows the
    /// later; and always more than the last, whatever the clock does.
    fn next(&mut self) -> u64 {
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let now = u64::try_from(since.as_micros()).unwrap_or(u64::MAX / 2);
        self.0 = now.max(self.0 + 1);
        self.0
    }
}

impl Groups {
    /// Works on a group, and notes when it is to be looked at next. It begins where there is none,
    /// and ends where nothing is left of it.
    fn with<R>(&mut self, name: &Group, work: impl FnOnce(&mut Kept, &mut Versions) -> R) -> R {
        let kept = self.by_name.entry(name.clone()).or_default();
        let before = kept.noted;
        let done = work(kept, &mut self.versions);
        let next = kept.next();
        kept.noted = next;
        let is_over = kept.is_empty();
        if before != next || is_over {
            if let Some(before) = before {
                self.due.remove(&(before, name.clone()));
            }
            if let Some(next) = next.filter(|_| !is_over) {
                self.due.insert((next, name.clone()));
            }
        }
        if is_over {
            self.by_name.remove(name);
        }
        done
    }

    /// The same for a group that is there.
    fn with_known<R>(
        &mut self,
        name: &Group,
        work: impl FnOnce(&mut Kept, &mut Versions) -> R,
    ) -> Option<R> {
        self.by_name
            .contains_key(name)
            .then(|| self.with(name, work))
    }
}

impl MemoryRoster {
    fn groups(&self) -> Result<MutexGuard<'_, Groups>, PresenceError> {
        if self.is_closed.load(SeqCst) {
            return Err(closed());
        }
        Ok(self.groups.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The end of a lease; one that is longer than a clock can say has none.
fn end(ttl: Option<Duration>) -> Option<Instant> {
    ttl.and_then(|ttl| Instant::now().checked_add(ttl))
}

impl Roster for MemoryRoster {
    async fn enter(
        &self,
        node: &NodeInfo,
        members: &[Member],
        ttl: Option<Duration>,
    ) -> Result<Entered, PresenceError> {
        let (mut groups, ends) = (self.groups()?, end(ttl));
        let entered = members.iter().filter_map(|member| {
            groups.with(&member.group, |kept, versions| {
                kept.enter(node, member, ends, || versions.next())
            })
        });
        let changes = entered.collect();
        Ok(Entered::new(changes, Vec::new()))
    }

    async fn leave(
        &self,
        node: &NodeInfo,
        members: &[Member],
        grace: Duration,
    ) -> Result<Departed, PresenceError> {
        let (mut groups, over) = (self.groups()?, end(Some(grace)));
        for member in members {
            groups.with_known(&member.group, |kept, _| {
                kept.leave(node, &member.identity, over);
            });
        }
        Ok(Departed::default())
    }

    async fn renew(
        &self,
        node: &NodeInfo,
        named: &[(Group, u64)],
        ttl: Option<Duration>,
    ) -> Result<Prolonged, PresenceError> {
        let (mut groups, ends) = (self.groups()?, end(ttl));
        let mut renew = |name: &Group, count| {
            let renewed = groups.with_known(name, |kept, _| kept.renew(node, count, ends));
            renewed.unwrap_or(false)
        };
        let unknown = named.iter().filter(|(name, count)| !renew(name, *count));
        let unknown = unknown.map(|(name, _)| name.clone()).collect();
        Ok(Prolonged::new(unknown, Vec::new()))
    }

    async fn changes(&self, limit: usize) -> Result<Vec<Change>, PresenceError> {
        let (mut groups, now) = (self.groups()?, Instant::now());
        let mut changes = Vec::new();
        for _ in 0..LOOK {
            let left = limit.saturating_sub(changes.len());
            let first = groups.due.first().filter(|(at, _)| *at <= now);
            let Some((_, name)) = first.filter(|_| left > 0).cloned() else {
                break;
            };
            groups.with_known(&name, |kept, versions| {
                kept.due(&name, left, &mut changes, || versions.next());
            });
        }
        Ok(changes)
    }

    async fn confirm(&self, changes: &[Change]) -> Result<(), PresenceError> {
        let mut groups = self.groups()?;
        for change in changes {
            groups.with_known(&change.member.group, |kept, _| kept.confirm(change));
        }
        Ok(())
    }

    async fn members(
        &self,
        group: &Group,
        after: Option<u64>,
        limit: usize,
    ) -> Result<MemberPage, PresenceError> {
        let groups = self.groups()?;
        let kept = groups.by_name.get(group);
        Ok(kept.map_or_else(MemberPage::default, |kept| kept.page(after, limit)))
    }
}
