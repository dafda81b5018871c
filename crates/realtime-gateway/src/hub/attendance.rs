//! Which identities are in which groups on this node, and what of that the roster was told.
//!
//! Sessions come and go here; a background task tells the roster. It says of an identity whether it
//! is here, not how often: of a thousand sessions in a room only the first and the last of each
//! identity are news.

use std::collections::{HashMap, VecDeque, hash_map::Entry};

use realtime_core::{
    IdentityKey,
    presence::{Group, Member},
};
use tokio::sync::{Notify, oneshot};

use crate::sync::Mutex;

/// Who is here. Bounded by the sessions, and by the rooms that each is in.
#[derive(Debug, Default)]
pub(crate) struct Attendance {
    state: Mutex<State>,
    /// Notified when there is something to tell.
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    groups: HashMap<Group, HashMap<IdentityKey, Standing>>,
    /// Those of whom the roster may think otherwise.
    to_tell: VecDeque<Member>,
    /// Those for whom telling has failed.
    failed: Vec<Member>,
    /// Who waits until the roster was told of a member, or that has failed.
    waiting: HashMap<Member, Vec<oneshot::Sender<()>>>,
}

/// How it stands with an identity in a group.
#[derive(Debug, Default)]
struct Standing {
    /// How many of its sessions are there.
    sessions: usize,
    /// What the roster thinks, as far as it has confirmed that.
    told: Told,
    /// It is among those of whom there is something to tell, or for whom that has failed.
    is_queued: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Told {
    #[default]
    Away,
    Here,
    /// A call is under way, or has failed.
    Maybe,
}

/// What is to be told, each member in one of the two.
#[derive(Debug, Default)]
pub(crate) struct News {
    pub(crate) came: Vec<Member>,
    pub(crate) gone: Vec<Member>,
}

impl News {
    pub(crate) const fn is_empty(&self) -> bool {
        self.came.is_empty() && self.gone.is_empty()
    }
}

impl Attendance {
    /// A session comes.
    pub(crate) fn came(&self, member: Member) {
        let mut state = self.state.lock();
        let group = state.groups.entry(member.group.clone()).or_default();
        let standing = group.entry(member.identity.clone()).or_default();
        standing.sessions += 1;
        let is_news = standing.sessions == 1 && !standing.is_queued;
        if is_news {
            standing.is_queued = true;
            state.to_tell.push_back(member);
        }
        drop(state);
        if is_news {
            self.news.notify_one();
        }
    }

    /// A session goes that has come.
    pub(crate) fn went(&self, member: Member) {
        let mut state = self.state.lock();
        let Some(standing) = state.standing(&member) else {
            return;
        };
        standing.sessions = standing.sessions.saturating_sub(1);
        let is_news = standing.sessions == 0 && !standing.is_queued;
        if is_news {
            standing.is_queued = true;
            state.to_tell.push_back(member);
        }
        drop(state);
        if is_news {
            self.news.notify_one();
        }
    }

    /// Resolves when the roster knows that the member is here, or could not be told. Cancel safe.
    pub(crate) async fn told(&self, member: Member) {
        let (done, told) = oneshot::channel();
        {
            let mut state = self.state.lock();
            let is_told = |standing: &mut Standing| standing.told == Told::Here;
            if state.standing(&member).is_none_or(is_told) {
                return;
            }
            let waiting = state.waiting.entry(member).or_default();
            waiting.retain(|other| !other.is_closed());
            waiting.push(done);
        }
        let _told_or_not = told.await;
    }

    /// Waits until there is something to tell. Cancel safe.
    pub(crate) async fn news(&self) {
        loop {
            if !self.state.lock().to_tell.is_empty() {
                return;
            }
            self.news.notified().await;
        }
    }

    /// The next that are to be told, at most so many.
    pub(crate) fn next(&self, most: usize) -> News {
        let mut state = self.state.lock();
        let mut news = News::default();
        while news.came.len() + news.gone.len() < most
            && let Some(member) = state.to_tell.pop_front()
        {
            let Some(standing) = state.standing(&member) else {
                continue;
            };
            standing.is_queued = false;
            match (standing.sessions > 0, standing.told) {
                (true, Told::Here) => state.release(&member),
                (true, _) => {
                    standing.told = Told::Maybe;
                    news.came.push(member);
                }
                (false, Told::Away) => {
                    state.forget(&member);
                    state.release(&member);
                }
                (false, _) => {
                    standing.told = Told::Maybe;
                    news.gone.push(member);
                }
            }
        }
        news
    }

    /// The roster was told that these are here, or aren't.
    pub(crate) fn has_told(&self, members: &[Member], are_here: bool) {
        let mut state = self.state.lock();
        for member in members {
            let Some(standing) = state.standing(member) else {
                continue;
            };
            standing.told = if are_here { Told::Here } else { Told::Away };
            if !are_here && standing.sessions == 0 && !standing.is_queued {
                state.forget(member);
            }
            state.release(member);
        }
    }

    /// The roster could not be told of these. They wait for [`again`](Self::again).
    pub(crate) fn has_failed(&self, members: impl IntoIterator<Item = Member>) {
        let mut state = self.state.lock();
        for member in members {
            state.release(&member);
            let Some(standing) = state.standing(&member) else {
                continue;
            };
            if !standing.is_queued {
                standing.is_queued = true;
                state.failed.push(member);
            }
        }
    }

    /// Those for whom it has failed are to be told once more.
    pub(crate) fn again(&self) {
        let mut state = self.state.lock();
        let failed = std::mem::take(&mut state.failed);
        state.to_tell.extend(failed);
        drop(state);
        self.news.notify_one();
    }

    /// Whether telling has failed for some.
    pub(crate) fn has_failures(&self) -> bool {
        !self.state.lock().failed.is_empty()
    }

    /// The groups of which the roster was told something, and how many are here as far as it knows.
    pub(crate) fn groups(&self) -> Vec<(Group, u64)> {
        let state = self.state.lock();
        let groups = state.groups.iter().map(|(group, standings)| {
            let here = standings
                .values()
                .filter(|standing| standing.told == Told::Here);
            (group.clone(), here.count() as u64)
        });
        groups.filter(|(_, here)| *here > 0).collect()
    }

    /// The roster knows nothing of these groups any more: it is to be told of all who are here.
    pub(crate) fn are_unknown(&self, groups: &[Group]) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        for group in groups {
            let Some(standings) = state.groups.get_mut(group) else {
                continue;
            };
            for (identity, standing) in standings {
                standing.told = Told::Maybe;
                if !standing.is_queued {
                    standing.is_queued = true;
                    let member = Member::new(group.clone(), identity.clone());
                    state.to_tell.push_back(member);
                }
            }
        }
        drop(guard);
        self.news.notify_one();
    }

    /// The task that tells has begun anew: what it was about is told once more.
    pub(crate) fn restart(&self) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        for (group, standings) in &mut state.groups {
            let stuck = |standing: &Standing| standing.told == Told::Maybe && !standing.is_queued;
            for (identity, standing) in standings.iter_mut().filter(|(_, s)| stuck(s)) {
                standing.is_queued = true;
                let member = Member::new(group.clone(), identity.clone());
                state.to_tell.push_back(member);
            }
        }
        drop(guard);
        self.again();
    }
}

impl State {
    fn standing(&mut self, member: &Member) -> Option<&mut Standing> {
        self.groups
            .get_mut(&member.group)?
            .get_mut(&member.identity)
    }

    fn forget(&mut self, member: &Member) {
        if let Entry::Occupied(mut group) = self.groups.entry(member.group.clone()) {
            group.get_mut().remove(&member.identity);
            if group.get().is_empty() {
                group.remove();
            }
        }
    }

    fn release(&mut self, member: &Member) {
        // Who waits is woken by the drop.
        drop(self.waiting.remove(member));
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use super::*;

    fn member(name: &str) -> Member {
        let group = Group::Room("lobby".parse().unwrap());
        Member::new(group, IdentityKey::new(name))
    }

    #[test]
    fn only_the_first_and_the_last_session_are_news() {
        let attendance = Attendance::default();
        attendance.came(member("ann"));
        attendance.came(member("ann"));
        let news = attendance.next(10);
        assert_eq!((news.came.len(), news.gone.len()), (1, 0));
        attendance.has_told(&news.came, true);
        attendance.went(member("ann"));
        assert!(attendance.next(10).is_empty());
        attendance.went(member("ann"));
        let news = attendance.next(10);
        assert_eq!((news.came.len(), news.gone.len()), (0, 1));
        attendance.has_told(&news.gone, false);
        assert!(attendance.state.lock().groups.is_empty());
    }

    #[test]
    fn who_comes_and_goes_before_it_is_told_is_no_news() {
        let attendance = Attendance::default();
        attendance.came(member("ann"));
        attendance.went(member("ann"));
        assert!(attendance.next(10).is_empty());
        assert!(attendance.state.lock().groups.is_empty());
    }

    #[test]
    fn who_goes_while_it_is_told_is_told_of_again() {
        let attendance = Attendance::default();
        attendance.came(member("ann"));
        let news = attendance.next(10);
        attendance.went(member("ann"));
        attendance.has_told(&news.came, true);
        assert_eq!(attendance.next(10).gone.len(), 1);
    }

    #[test]
    fn what_failed_waits_and_is_told_as_it_is_then() {
        let attendance = Attendance::default();
        attendance.came(member("ann"));
        attendance.came(member("bob"));
        let news = attendance.next(10);
        attendance.has_failed(news.came);
        attendance.went(member("bob"));
        assert!(attendance.next(10).is_empty());
        attendance.again();
        let news = attendance.next(10);
        // It isn't known whether he was told of, so he is taken back.
        assert_eq!((news.came.len(), news.gone.len()), (1, 1));
    }

    #[test]
    fn a_roster_that_has_forgotten_is_told_of_all() {
        let attendance = Attendance::default();
        for name in ["ann", "bob"] {
            attendance.came(member(name));
        }
        let news = attendance.next(10);
        attendance.has_told(&news.came, true);
        let groups = attendance.groups();
        assert_eq!(groups[0].1, 2);
        attendance.are_unknown(&[groups[0].0.clone()]);
        assert!(attendance.groups().is_empty());
        assert_eq!(attendance.next(10).came.len(), 2);
    }
}
