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
    latest: Mutex<HashMap<RevocationScope, Latest>>,
}

#[derive(Debug)]
struct Latest {
    issued_before: SystemTime,
    at: Instant,
}

impl Heard {
    pub(crate) fn add(&self, revocation: &Revocation) {
        let now = Instant::now();
        let mut latest = self.latest.lock();
        latest.retain(|_, heard| now.duration_since(heard.at) < JUST_NOW);
        if latest.len() >= MOST {
            let oldest = latest.iter().min_by_key(|(_, heard)| heard.at);
            if let Some(oldest) = oldest.map(|(scope, _)| scope.clone()) {
                latest.remove(&oldest);
            }
        }
        let Revocation {
            scope,
            issued_before,
            ..
        } = revocation;
        let heard = latest.entry(scope.clone()).or_insert(Latest {
            issued_before: *issued_before,
            at: now,
        });
        heard.issued_before = heard.issued_before.max(*issued_before);
        heard.at = now;
        self.len.store(latest.len(), Relaxed);
    }

    /// Whether what this identity has shown was revoked just now.
    pub(crate) fn applies_to(&self, identity: &Identity) -> bool {
        if self.len.load(Relaxed) == 0 {
            return false;
        }
        let scopes = [
            Some(RevocationScope::Everybody),
            Some(RevocationScope::Tenant(identity.tenant().to_owned())),
            Some(RevocationScope::Identity(identity.key().clone())),
            identity
                .token_id()
                .map(|id| RevocationScope::Token(id.to_owned())),
        ];
        let latest = self.latest.lock();
        scopes.into_iter().flatten().any(|scope| {
            let is_token = matches!(scope, RevocationScope::Token(_));
            latest.get(&scope).is_some_and(|heard| {
                let issued = identity.issued_at();
                is_token || issued.is_none_or(|issued| issued < heard.issued_before)
            })
        })
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
        heard.add(&Revocation::identity(key.clone(), now));
        heard.add(&Revocation::identity(key, now - 10 * second));
        assert!(heard.applies_to(&old) && heard.applies_to(&Identity::new("ada")));
        assert!(!heard.applies_to(&Identity::new("ada").with_issued_at(now)));
        assert!(!heard.applies_to(&Identity::new("eve")));
        heard.add(&Revocation::token("7"));
        assert!(heard.applies_to(&Identity::new("eve").with_token_id("7")));
        heard.add(&Revocation::tenant("acme", now));
        assert!(heard.applies_to(&Identity::new("bob").with_tenant("acme")));
        tokio::time::advance(JUST_NOW).await;
        heard.add(&Revocation::token("8"));
        assert!(!heard.applies_to(&old));
        for id in 0..2 * MOST {
            heard.add(&Revocation::token(id.to_string()));
        }
        assert_eq!(heard.len.load(Relaxed), MOST);
    }
}
