//! Comings and goings of which this node has to tell, until it has.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use realtime_core::presence::{CLAIM, Change, Member};
use tokio::{sync::Notify, time::Instant};

use crate::sync::Mutex;

/// How many may wait. The roster hands out again what has no place here, since nobody confirms it.
const MOST: usize = 10_000;
/// How long one may wait until it is told. What is left of the claim is for the telling.
const FRESH: Duration = Duration::from_secs(5);
const _: () = assert!(
    FRESH.as_secs() < CLAIM.as_secs(),
    "then another node has it"
);

/// Changes that the roster has handed out to this node: each is told to the members of its room, and
/// then to the hooks.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    state: Mutex<State>,
    added: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Not told to anybody yet.
    fresh: VecDeque<Handed>,
    /// Told to the members.
    announced: VecDeque<Handed>,
    /// The members of whom something waits here or is being told, and the last version of each.
    known: HashMap<Member, u64>,
}

/// A change, and when it came here.
#[derive(Debug, Clone)]
pub(crate) struct Handed {
    pub(crate) change: Change,
    at: Instant,
}

impl Handed {
    /// By now another node may have it.
    fn is_stale(&self) -> bool {
        self.at.elapsed() > FRESH
    }
}

impl Changes {
    /// Takes what was handed out. What is here already is not taken twice.
    pub(crate) fn add(&self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        let at = Instant::now();
        let mut guard = self.state.lock();
        let state = &mut *guard;
        for change in changes {
            if state.fresh.len() + state.announced.len() >= MOST {
                break;
            }
            let known = state.known.get(&change.member);
            if known.is_none_or(|version| *version < change.version) {
                state.known.insert(change.member.clone(), change.version);
                state.fresh.push_back(Handed { change, at });
            }
        }
        drop(guard);
        self.added.notify_one();
    }

    /// Whether there is room for as many again.
    pub(crate) fn has_room(&self) -> bool {
        let state = self.state.lock();
        state.fresh.len() + state.announced.len() < MOST / 2
    }

    /// Those that are to be told to members, at most so many, as soon as there are any. Cancel safe.
    pub(crate) async fn next_fresh(&self, most: usize) -> Vec<Handed> {
        loop {
            let fresh = self.take_fresh(most);
            if !fresh.is_empty() {
                return fresh;
            }
            self.added.notified().await;
        }
    }

    fn take_fresh(&self, most: usize) -> Vec<Handed> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let count = state.fresh.len().min(most);
        let taken: Vec<Handed> = state.fresh.drain(..count).collect();
        if state.fresh.is_empty() {
            // A peak's worth of places is not kept.
            state.fresh = VecDeque::new();
        }
        let (stale, fresh): (Vec<Handed>, Vec<Handed>) =
            taken.into_iter().partition(Handed::is_stale);
        state.forget(&stale);
        fresh
    }

    /// The members were told of these; now the hooks are.
    pub(crate) fn are_announced(&self, changes: Vec<Handed>) {
        self.state.lock().announced.extend(changes);
    }

    /// The next of which the hooks are told; none of a member of whom they are being told already.
    pub(crate) fn next_announced(&self, busy: &HashSet<Member>) -> Option<Handed> {
        let mut state = self.state.lock();
        loop {
            let next = state.announced.front()?;
            if busy.contains(&next.change.member) {
                return None;
            }
            let next = state.announced.pop_front()?;
            if !next.is_stale() {
                return Some(next);
            }
            state.forget(std::slice::from_ref(&next));
        }
    }

    /// It was told of these, or is left to others.
    pub(crate) fn are_done(&self, changes: &[Handed]) {
        self.state.lock().forget(changes);
    }

    /// Leaves all that wait to others.
    pub(crate) fn give_up(&self) {
        let mut state = self.state.lock();
        let waiting: Vec<Handed> = state.fresh.drain(..).collect();
        state.forget(&waiting);
        let waiting: Vec<Handed> = state.announced.drain(..).collect();
        state.forget(&waiting);
    }
}

impl State {
    fn forget(&mut self, changes: &[Handed]) {
        for Handed { change, .. } in changes {
            if self.known.get(&change.member) == Some(&change.version) {
                self.known.remove(&change.member);
            }
        }
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use realtime_core::{
        IdentityKey,
        presence::{ChangeKind, Group},
    };

    use super::*;

    fn of(name: &str, version: u64) -> Change {
        let member = Member::new(Group::Tenant("acme".into()), IdentityKey::new(name));
        Change::new(member, ChangeKind::Joined, version)
    }

    fn versions(handed: &[Handed]) -> Vec<u64> {
        handed.iter().map(|handed| handed.change.version).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_handed_out_twice_is_told_once_while_it_is_here() {
        let changes = Changes::default();
        changes.add(vec![of("ann", 1), of("bob", 2)]);
        changes.add(vec![of("ann", 1), of("ann", 3)]);
        let taken = changes.take_fresh(10);
        assert_eq!(versions(&taken), [1, 2, 3]);
        changes.add(vec![of("bob", 2)]);
        assert!(changes.take_fresh(10).is_empty(), "it is being told");
        changes.are_done(&taken);
        changes.add(vec![of("bob", 2)]);
        assert_eq!(versions(&changes.take_fresh(10)), [2]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_waited_for_too_long_is_left_to_others() {
        let changes = Changes::default();
        changes.add(vec![of("ann", 1)]);
        changes.are_announced(changes.take_fresh(10));
        changes.add(vec![of("bob", 2)]);
        tokio::time::advance(CLAIM).await;
        changes.add(vec![of("eve", 3)]);
        assert_eq!(versions(&changes.take_fresh(10)), [3]);
        assert!(changes.next_announced(&HashSet::new()).is_none());
        assert_eq!(changes.state.lock().known.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn hooks_hear_of_one_member_in_order() {
        let changes = Changes::default();
        changes.add(vec![of("ann", 1), of("ann", 2)]);
        changes.are_announced(changes.take_fresh(10));
        let mut busy = HashSet::new();
        let first = changes.next_announced(&busy).unwrap();
        busy.insert(first.change.member.clone());
        assert!(changes.next_announced(&busy).is_none());
        busy.clear();
        assert_eq!(changes.next_announced(&busy).unwrap().change.version, 2);
    }

    #[test]
    fn only_so_many_wait() {
        let changes = Changes::default();
        changes.add(
            (0..)
                .map(|version| of("ann", version))
                .take(MOST + 10)
                .collect(),
        );
        assert_eq!(changes.state.lock().fresh.len(), MOST);
        assert!(!changes.has_room());
    }
}
