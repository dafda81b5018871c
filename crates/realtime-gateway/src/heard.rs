//! What this node has heard of that was revoked just now.
//!
//! A store remembers for as long as it matters. This is for the moment between a session's question
//! to the store and its place among the sessions that a revocation closes: who is revoked in between
//! is found here.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::{Duration, SystemTime},
};

use realtime_core::{
    Identity,
    revocation::{Revocation, RevocationScope},
};
use tokio::time::Instant;

use crate::sync::Mutex;

/// How long something counts as just now: longer than anybody takes from the store's answer to its
/// place.
const JUST_NOW: Duration = Duration::from_secs(60);
/// How much is kept; the oldest goes first.
const MOST: usize = 4_096;

/// The latest revocations by their scope.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// So that nobody is locked where there is none.
    len: AtomicUsize,
    latest: Mutex<Table>,
}

/// Revocations by their scope.
#[derive(Debug, Default)]
pub(crate) struct Table {
    latest: HashMap<RevocationScope, Latest>,
    newest: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Latest {
    issued_before: SystemTime,
    at: Instant,
}

impl Table {
    pub(crate) fn of(revocations: &[Revocation]) -> Self {
        let (mut table, now) = (Self::default(), Instant::now());
        for revocation in revocations {
            table.add(revocation, now);
        }
        table
    }

    fn add(&mut self, revocation: &Revocation, at: Instant) {
        let issued_before = revocation.issued_before;
        let new = Latest { issued_before, at };
        let latest = self.latest.entry(revocation.scope.clone()).or_insert(new);
        latest.issued_before = latest.issued_before.max(issued_before);
        latest.at = at;
        self.newest = Some(at);
    }

    /// Whether what this identity has shown is revoked.
    pub(crate) fn applies_to(&self, identity: &Identity) -> bool {
        let is_old = |latest: Latest| {
            let issued = identity.issued_at();
            issued.is_none_or(|issued| issued < latest.issued_before)
        };
        let find = |scope| self.latest.get(&scope).copied();
        let tenant = || RevocationScope::Tenant(identity.tenant().to_owned());
        let token = |id: &str| find(RevocationScope::Token(id.to_owned()));
        find(RevocationScope::Everybody).is_some_and(is_old)
            || find(RevocationScope::Identity(identity.key().clone())).is_some_and(is_old)
            || find(tenant()).is_some_and(is_old)
            || identity.token_id().and_then(token).is_some()
    }

    fn is_old(&self, now: Instant) -> bool {
        self.newest
            .is_none_or(|newest| now.duration_since(newest) >= JUST_NOW)
    }

    /// Makes room for so many more, the oldest first.
    fn make_room(&mut self, for_more: usize) {
        let most = MOST.saturating_sub(for_more);
        if self.latest.len() > most {
            let mut times: Vec<Instant> = self.latest.values().map(|heard| heard.at).collect();
            let excess = times.len() - most;
            let (_, last, _) = times.select_nth_unstable(excess - 1);
            let mut left = excess;
            let last = *last;
            self.latest.retain(|_, heard| {
                let goes = left > 0 && heard.at <= last;
                left -= usize::from(goes);
                !goes
            });
        }
    }

    fn forget_old(&mut self, now: Instant) {
        self.latest
            .retain(|_, latest| now.duration_since(latest.at) < JUST_NOW);
    }
}

impl Heard {
    pub(crate) fn add(&self, revocations: &[Revocation]) {
        let now = Instant::now();
        let mut table = self.latest.lock();
        table.forget_old(now);
        let revocations = &revocations[revocations.len().saturating_sub(MOST)..];
        table.make_room(revocations.len());
        for revocation in revocations {
            table.add(revocation, now);
        }
        self.len.store(table.latest.len(), Relaxed);
    }

    /// Whether what this identity has shown was revoked just now.
    pub(crate) fn applies_to(&self, identity: &Identity) -> bool {
        if self.len.load(Relaxed) == 0 {
            return false;
        }
        let (now, mut table) = (Instant::now(), self.latest.lock());
        if table.is_old(now) {
            *table = Table::default();
            self.len.store(0, Relaxed);
            return false;
        }
        if !table.applies_to(identity) {
            return false;
        }
        // It may have been a while ago.
        table.forget_old(now);
        self.len.store(table.latest.len(), Relaxed);
        table.applies_to(identity)
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use realtime_core::IdentityKey;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_heard_for_a_while_and_the_later_of_two_counts() {
        let (heard, now) = (Heard::default(), SystemTime::now());
        let second = Duration::from_secs(1);
        let old = Identity::new("ada").with_issued_at(now - second);
        assert!(!heard.applies_to(&old));
        let key = IdentityKey::new("ada");
        heard.add(&[Revocation::identity(key.clone(), now)]);
        heard.add(&[Revocation::identity(key, now - 10 * second)]);
        assert!(heard.applies_to(&old) && heard.applies_to(&Identity::new("ada")));
        assert!(!heard.applies_to(&Identity::new("ada").with_issued_at(now)));
        assert!(!heard.applies_to(&Identity::new("eve")));
        heard.add(&[Revocation::token("7")]);
        assert!(heard.applies_to(&Identity::new("eve").with_token_id("7")));
        heard.add(&[Revocation::tenant("acme", now)]);
        assert!(heard.applies_to(&Identity::new("bob").with_tenant("acme")));
        tokio::time::advance(JUST_NOW).await;
        assert!(!heard.applies_to(&Identity::new("eve")));
        assert_eq!(heard.len.load(Relaxed), 0, "nobody is locked any more");
        let tokens = |ids: std::ops::Range<usize>| -> Vec<_> {
            ids.map(|id| Revocation::token(id.to_string())).collect()
        };
        let of = |id: usize| Identity::new("eve").with_token_id(id.to_string());
        heard.add(&tokens(0..2 * MOST));
        assert_eq!(heard.len.load(Relaxed), MOST);
        assert!(heard.applies_to(&of(2 * MOST - 1)) && !heard.applies_to(&of(0)));
        tokio::time::advance(Duration::from_millis(1)).await;
        heard.add(&tokens(0..1_000));
        assert_eq!(heard.len.load(Relaxed), MOST);
        assert!(heard.applies_to(&of(0)) && heard.applies_to(&of(999)));
    }
}
