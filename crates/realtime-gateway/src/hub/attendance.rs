//! Which identities are in which groups on this node, and what of that the roster was told.
//!
//! Sessions come and go here; a background task tells the roster. It says of an identity whether it
//! is here, not how often: of a thousand sessions in a room only the first and the last of each
//! identity are news.

use std::collections::{HashMap, HashSet, VecDeque};

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
    groups: HashMap<Group, Attended>,
    /// Those of whom the roster may think otherwise.
    to_tell: VecDeque<Member>,
    /// Those for whom telling has failed.
    failed: Vec<Member>,
    /// Who waits until the roster was told of a member, or that has failed.
    waiting: HashMap<Member, Vec<oneshot::Sender<()>>>,
}

/// One group on this node.
#[derive(Debug, Default)]
struct Attended {
    standings: HashMap<IdentityKey, Standing>,
    /// How many of them the roster knows to be here.
    known: u64,
}

/// How it stands with an identity in a group.
#[derive(Debug, Default)]
struct Standing {
    /// How many of its sessions are there.
    sessions: usize,
    told: Told,
    /// It is among those of whom there is something to tell, or for whom that has failed.
    is_queued: bool,
}

/// What the roster thinks, as far as it has confirmed that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Told {
    #[default]
    Away,
    Here,
    /// It is being told that the member has come, or that has failed.
    Coming,
    /// It is being told that the member has gone, or that has failed.
    Going,
    /// It knew of the member, and has forgotten.
    Forgotten,
}

/// What is to be told: first who is here, then who isn't.
#[derive(Debug, Default)]
pub(crate) struct News {
    pub(crate) came: Vec<Member>,
    /// Those of whom the roster has known before: that they are here is no news to anybody else.
    pub(crate) again: HashSet<Member>,
    pub(crate) gone: Vec<Member>,
}

impl News {
    #[cfg(test)]
    const fn is_empty(&self) -> bool {
        self.came.is_empty() && self.gone.is_empty()
    }
}

impl Attendance {
    /// A session comes.
    pub(crate) fn came(&self, member: Member) {
        self.counts(member, |sessions| *sessions += 1, 1);
    }

    /// A session goes that has come.
    pub(crate) fn went(&self, member: Member) {
        let one_less = |sessions: &mut usize| *sessions = sessions.saturating_sub(1);
        self.counts(member, one_less, 0);
    }

    /// It is news where there are then so many.
    fn counts(&self, member: Member, count: impl FnOnce(&mut usize), news: usize) {
        let mut state = self.state.lock();
        let standing = state.standing(&member);
        count(&mut standing.sessions);
        let is_news = standing.sessions == news && !standing.is_queued;
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
            let is_in_trouble = !state.failed.is_empty();
            let known = state.known(&member);
            if is_in_trouble || known.is_none_or(|standing| standing.told == Told::Here) {
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
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let mut news = News::default();
        while news.came.len() + news.gone.len() < most
            && let Some(member) = state.to_tell.pop_front()
        {
            let standing = state.standing(&member);
            standing.is_queued = false;
            let (is_here, told) = (standing.sessions > 0, standing.told);
            if matches!((is_here, told), (true, Told::Here) | (false, Told::Away)) {
                state.settle(&member, told);
                continue;
            }
            match told {
                Told::Away => state.set(&member, Told::Coming),
                Told::Here => state.set(&member, Told::Going),
                Told::Coming | Told::Going | Told::Forgotten => {}
            }
            if told == Told::Forgotten {
                news.again.insert(member.clone());
            }
            if is_here || told == Told::Forgotten {
                news.came.push(member.clone());
            }
            if !is_here {
                news.gone.push(member);
            }
        }
        news
    }

    /// The roster was told that these are here, or aren't.
    pub(crate) fn has_told(&self, members: &[Member], are_here: bool) {
        let told = if are_here { Told::Here } else { Told::Away };
        let mut state = self.state.lock();
        for member in members {
            state.set(member, told);
            state.settle(member, told);
        }
    }

    /// The roster could not be told of these. They wait for [`again`](Self::again).
    pub(crate) fn has_failed(&self, members: impl IntoIterator<Item = Member>) {
        let mut state = self.state.lock();
        for member in members {
            state.release(&member);
            let standing = state.standing(&member);
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
        let known = state.groups.iter().filter(|(_, group)| group.known > 0);
        known
            .map(|(name, group)| (name.clone(), group.known))
            .collect()
    }

    /// The roster knows nothing of this group any more: it is to be told of all of whom it knew, and
    /// of those who are here.
    pub(crate) fn is_unknown(&self, name: &Group) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let Some(group) = state.groups.get_mut(name) else {
            return;
        };
        group.known = 0;
        for (identity, standing) in &mut group.standings {
            if matches!(standing.told, Told::Here | Told::Going) {
                standing.told = Told::Forgotten;
            }
            if !standing.is_queued {
                standing.is_queued = true;
                let member = Member::new(name.clone(), identity.clone());
                state.to_tell.push_back(member);
            }
        }
        drop(guard);
        self.news.notify_one();
    }

    /// The task that tells has begun anew: what it was about is told once more.
    pub(crate) fn restart(&self) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        for (name, group) in &mut state.groups {
            let is_told = |standing: &Standing| matches!(standing.told, Told::Here | Told::Away);
            let is_stuck = |standing: &Standing| !is_told(standing) && !standing.is_queued;
            let stuck = group.standings.iter_mut().filter(|(_, s)| is_stuck(s));
            for (identity, standing) in stuck {
                standing.is_queued = true;
                let member = Member::new(name.clone(), identity.clone());
                state.to_tell.push_back(member);
            }
        }
        drop(guard);
        self.again();
    }
}

impl State {
    /// How it stands with a member, of whom nothing need be known.
    fn standing(&mut self, member: &Member) -> &mut Standing {
        let group = self.groups.entry(member.group.clone()).or_default();
        group.standings.entry(member.identity.clone()).or_default()
    }

    fn known(&self, member: &Member) -> Option<&Standing> {
        let group = self.groups.get(&member.group)?;
        group.standings.get(&member.identity)
    }

    fn set(&mut self, member: &Member, told: Told) {
        let before = std::mem::replace(&mut self.standing(member).told, told);
        if let Some(group) = self.groups.get_mut(&member.group) {
            group.known -= u64::from(before == Told::Here);
            group.known += u64::from(told == Told::Here);
        }
    }

    /// What is so of a member is what the roster was told: who waits for that is released, and who
    /// isn't here is forgotten.
    fn settle(&mut self, member: &Member, told: Told) {
        let standing = self.standing(member);
        let is_here = standing.sessions > 0;
        if is_here != (told == Told::Here) {
            return;
        }
        let is_over = !is_here && !standing.is_queued;
        self.release(member);
        if let Some(group) = self.groups.get_mut(&member.group).filter(|_| is_over) {
            group.standings.remove(&member.identity);
            if group.standings.is_empty() {
                self.groups.remove(&member.group);
            }
        }
    }

    fn release(&mut self, member: &Member) {
        // Who waits is woken by the drop.
        drop(self.waiting.remove(member));
    }
}

#[cfg(all(test, not(realtime_loom)))]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
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

    /// So that the roster can tell of it.
    #[test]
    fn who_went_while_the_roster_was_away_is_entered_and_taken_out_again() {
        let attendance = Attendance::default();
        attendance.came(member("ann"));
        let news = attendance.next(10);
        attendance.has_told(&news.came, true);
        attendance.went(member("ann"));
        let news = attendance.next(10);
        attendance.has_failed(news.gone);
        attendance.is_unknown(&member("ann").group);
        attendance.again();
        let news = attendance.next(10);
        assert_eq!(
            (news.came.len(), news.again.len(), news.gone.len()),
            (1, 1, 1)
        );
        attendance.has_told(&news.came, true);
        attendance.has_told(&news.gone, false);
        assert!(attendance.state.lock().groups.is_empty());
    }

    #[tokio::test]
    async fn who_comes_back_while_it_is_taken_out_waits_until_it_is_told_of() {
        let attendance = Attendance::default();
        attendance.came(member("ann"));
        let news = attendance.next(10);
        attendance.has_told(&news.came, true);
        attendance.went(member("ann"));
        let news = attendance.next(10);
        attendance.came(member("ann"));
        let told = attendance.told(member("ann"));
        tokio::pin!(told);
        assert!(futures::poll!(&mut told).is_pending());
        attendance.has_told(&news.gone, false);
        assert!(futures::poll!(&mut told).is_pending());
        let news = attendance.next(10);
        attendance.has_told(&news.came, true);
        assert!(futures::poll!(&mut told).is_ready());
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
        attendance.is_unknown(&groups[0].0);
        assert!(attendance.groups().is_empty());
        attendance.came(member("eve"));
        let news = attendance.next(10);
        assert_eq!((news.came.len(), news.again.len()), (3, 2));
        assert!(!news.again.contains(&member("eve")));
    }
}
