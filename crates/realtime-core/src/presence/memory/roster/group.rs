//! One group: who is in it, what each node says of that, and what is to be told.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ops::Bound,
};

use tokio::time::Instant;

use crate::{
    IdentityKey,
    broker::NodeInfo,
    presence::{CLAIM, Change, ChangeKind, Group, Member, MemberPage, Present, SPEAK_AGAIN},
};

/// A group. Whoever is in `standings` is in it, or has left and that wasn't told yet.
#[derive(Debug, Default)]
pub(super) struct Kept {
    standings: HashMap<IdentityKey, Standing>,
    /// Who is in it, in the order in which they came.
    here: BTreeMap<u64, IdentityKey>,
    nodes: HashMap<NodeInfo, Said>,
    /// Those of whom something is to be done, by the time at which it is.
    due: BTreeSet<(Instant, IdentityKey)>,
    /// What is noted of it among all groups.
    pub(super) noted: Option<Instant>,
}

/// How it stands with an identity.
#[derive(Debug)]
struct Standing {
    version: u64,
    /// Has come and not gone.
    is_here: bool,
    /// The change of this version isn't confirmed.
    is_untold: bool,
    /// When something is to be done: the end of a grace, or of a claim.
    due: Option<Instant>,
}

/// What a node says.
#[derive(Debug, Default)]
struct Said {
    ends: Option<Instant>,
    members: HashSet<IdentityKey>,
}

impl Said {
    fn is_over(&self, now: Instant) -> bool {
        self.ends.is_some_and(|ends| ends <= now)
    }
}

impl Kept {
    pub(super) fn is_empty(&self) -> bool {
        self.standings.is_empty() && self.nodes.is_empty()
    }

    /// When it is to be looked at next.
    pub(super) fn next(&self) -> Option<Instant> {
        let due = self.due.first().map(|(at, _)| *at);
        let leases = self.nodes.values().filter_map(|said| said.ends);
        due.into_iter().chain(leases).min()
    }

    pub(super) fn enter(
        &mut self,
        node: &NodeInfo,
        member: &Member,
        ends: Option<Instant>,
        version: impl FnOnce() -> u64,
    ) -> Option<Change> {
        let identity = &member.identity;
        let said = self.nodes.entry(node.clone()).or_default();
        said.ends = ends;
        said.members.insert(identity.clone());
        if let Some(standing) = self.standings.get(identity).filter(|s| s.is_here) {
            if !standing.is_untold {
                self.put_off(identity, None);
            }
            return None;
        }
        let version = version();
        self.set(identity, version, true);
        Some(Change::new(member.clone(), ChangeKind::Joined, version))
    }

    pub(super) fn leave(&mut self, node: &NodeInfo, identity: &IdentityKey, over: Option<Instant>) {
        let Some(said) = self.nodes.get_mut(node) else {
            return;
        };
        if !said.members.remove(identity) {
            return;
        }
        if said.members.is_empty() {
            self.nodes.remove(node);
        }
        if !self.is_held(identity) {
            self.put_off(identity, over);
        }
    }

    /// Returns whether it was what the node says.
    pub(super) fn renew(&mut self, node: &NodeInfo, count: u64, ends: Option<Instant>) -> bool {
        let now = Instant::now();
        let Some(said) = self.nodes.get_mut(node) else {
            return count == 0;
        };
        if said.is_over(now) {
            // `due` sees to its end.
            return false;
        }
        if said.members.len() as u64 == count {
            said.ends = ends;
            return true;
        }
        let over = now.checked_add(SPEAK_AGAIN);
        for identity in self.nodes.remove(node).unwrap_or_default().members {
            if !self.is_held(&identity) {
                self.put_off(&identity, over);
            }
        }
        false
    }

    /// Does what is due, and hands out up to `limit` changes.
    pub(super) fn due(
        &mut self,
        group: &Group,
        limit: usize,
        changes: &mut Vec<Change>,
        mut version: impl FnMut() -> u64,
    ) {
        let now = Instant::now();
        let over = self.nodes.extract_if(|_, said| said.is_over(now));
        let over: Vec<IdentityKey> = over.flat_map(|(_, said)| said.members).collect();
        for identity in over {
            if !self.is_held(&identity) {
                self.put_off(&identity, Some(now));
            }
        }
        let most = changes.len() + limit;
        while changes.len() < most {
            let first = self.due.first().filter(|(at, _)| *at <= now);
            let Some((_, identity)) = first.cloned() else {
                return;
            };
            let Some(standing) = self.standings.get(&identity) else {
                self.due.pop_first();
                continue;
            };
            let (is_here, is_untold) = (standing.is_here, standing.is_untold);
            let mut told = standing.version;
            let kind = match is_here {
                true if !self.is_held(&identity) => {
                    told = version();
                    self.set(&identity, told, false);
                    ChangeKind::Left
                }
                true => ChangeKind::Joined,
                false => ChangeKind::Left,
            };
            if is_here && !is_untold && kind == ChangeKind::Joined {
                self.put_off(&identity, None);
                continue;
            }
            self.put_off(&identity, now.checked_add(CLAIM));
            let member = Member::new(group.clone(), identity);
            changes.push(Change::new(member, kind, told));
        }
    }

    pub(super) fn confirm(&mut self, change: &Change) {
        let identity = &change.member.identity;
        let is_held = self.is_held(identity);
        let Some(standing) = self.standings.get_mut(identity) else {
            return;
        };
        if standing.version != change.version {
            return;
        }
        standing.is_untold = false;
        if !standing.is_here {
            self.put_off(identity, None);
            self.standings.remove(identity);
        } else if is_held {
            self.put_off(identity, None);
        }
    }

    pub(super) fn page(&self, after: Option<u64>, limit: usize) -> MemberPage {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.here.range((from, Bound::Unbounded));
        let page = rest.by_ref().take(limit);
        let page: Vec<_> = page
            .map(|(version, identity)| Present::new(identity.clone(), *version))
            .collect();
        let more = rest.next().is_some();
        let last = page.last().map(|present| present.version);
        let count = self.here.len() as u64;
        MemberPage::new(page, count, last.filter(|_| more))
    }

    /// Whether any node says that it holds the identity.
    fn is_held(&self, identity: &IdentityKey) -> bool {
        self.nodes
            .values()
            .any(|said| said.members.contains(identity))
    }

    /// A change of this version has happened, and is told by the one who gets it now.
    fn set(&mut self, identity: &IdentityKey, version: u64, is_here: bool) {
        self.put_off(identity, None);
        let due = Instant::now().checked_add(CLAIM);
        let standing = Standing {
            version,
            is_here,
            is_untold: true,
            due,
        };
        if let Some(before) = self.standings.insert(identity.clone(), standing) {
            self.here.remove(&before.version);
        }
        if is_here {
            self.here.insert(version, identity.clone());
        }
        if let Some(due) = due {
            self.due.insert((due, identity.clone()));
        }
    }

    /// Something is to be done at this time, and not before.
    fn put_off(&mut self, identity: &IdentityKey, until: Option<Instant>) {
        let Some(standing) = self.standings.get_mut(identity) else {
            return;
        };
        if let Some(before) = std::mem::replace(&mut standing.due, until) {
            self.due.remove(&(before, identity.clone()));
        }
        if let Some(until) = until {
            self.due.insert((until, identity.clone()));
        }
    }
}
