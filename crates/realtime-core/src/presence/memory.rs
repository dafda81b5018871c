//! Presence in this process.

mod leases;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use leases::{Entry, Leases};

use super::{
    Presence, PresenceError, PresenceErrorKind, PresenceEvent, PresenceEvents, Registered,
    SessionInfo, SessionKey,
};
use crate::{Events, IdentityKey};

/// Remembers sessions in this process, with the same leases as a networked store has.
///
/// A clone is another node's handle on the same store, so that several gateways in one process
/// see each other. Closing one handle leaves the others open.
#[derive(Debug)]
pub struct MemoryPresence {
    store: Arc<Mutex<Store>>,
    closed: AtomicBool,
    /// Nothing ever happens to memory; the streams only end.
    events: Events<PresenceEvent>,
}

type Store = HashMap<IdentityKey, Leases>;

impl Default for MemoryPresence {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for MemoryPresence {
    fn clone(&self) -> Self {
        Self::with(Arc::clone(&self.store))
    }
}

impl MemoryPresence {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Arc::default())
    }

    fn with(store: Arc<Mutex<Store>>) -> Self {
        Self {
            store,
            closed: AtomicBool::new(false),
            events: Events::new(),
        }
    }

    fn store(&self) -> Result<MutexGuard<'_, Store>, PresenceError> {
        if self.closed.load(SeqCst) {
            return Err(PresenceError::new(
                PresenceErrorKind::Closed,
                "presence is closed",
            ));
        }
        Ok(self.store.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn live(&self, identity: &IdentityKey) -> Result<Vec<SessionInfo>, PresenceError> {
        let (mut store, now) = (self.store()?, Instant::now());
        let Some(sessions) = store.get_mut(identity) else {
            return Ok(Vec::new());
        };
        let none_left = sessions.retain(|_, entry| entry.is_live(now));
        let mut live: Vec<_> = sessions
            .iter()
            .map(|(session, entry)| entry.info(session, identity))
            .collect();
        if none_left {
            store.remove(identity);
        }
        live.sort_by_key(|info| (info.connected_at, info.session_id));
        Ok(live)
    }
}

/// The end of a lease, by the clock that counts and by the one that is shown. One that is longer
/// than a clock can say has none.
fn lease(ttl: Option<Duration>) -> (Option<Instant>, Option<SystemTime>) {
    (
        ttl.and_then(|ttl| Instant::now().checked_add(ttl)),
        ttl.and_then(|ttl| SystemTime::now().checked_add(ttl)),
    )
}

impl Presence for MemoryPresence {
    async fn register(
        &self,
        sessions: &[SessionInfo],
        ttl: Option<Duration>,
    ) -> Result<Vec<Registered>, PresenceError> {
        let mut store = self.store()?;
        let (ends, expires_at) = lease(ttl);
        let register = |info: &SessionInfo| {
            let entry = Entry {
                node: info.node_id.clone(),
                remote_addr: info.remote_addr,
                connected_at: info.connected_at,
                expires_at,
                ends,
            };
            let sessions = store.entry(info.identity.clone()).or_default();
            sessions.insert(info.session_id, entry);
            Registered::new(info.session_id, expires_at)
        };
        Ok(sessions.iter().map(register).collect())
    }

    async fn unregister(&self, sessions: &[SessionKey]) -> Result<(), PresenceError> {
        let mut store = self.store()?;
        for key in sessions {
            let of_identity = store.get_mut(&key.identity);
            if of_identity.is_some_and(|leases| leases.remove(key.session)) {
                store.remove(&key.identity);
            }
        }
        Ok(())
    }

    async fn renew(
        &self,
        sessions: &[SessionKey],
        ttl: Option<Duration>,
    ) -> Result<Vec<SessionKey>, PresenceError> {
        let (mut store, now) = (self.store()?, Instant::now());
        let (ends, expires_at) = lease(ttl);
        let mut unknown = Vec::new();
        for key in sessions {
            let entry = store
                .get_mut(&key.identity)
                .and_then(|s| s.get_mut(key.session));
            match entry {
                Some(entry) if entry.is_live(now) => {
                    entry.ends = ends;
                    entry.expires_at = expires_at;
                }
                _ => unknown.push(key.clone()),
            }
        }
        Ok(unknown)
    }

    async fn sessions(&self, identity: &IdentityKey) -> Result<Vec<SessionInfo>, PresenceError> {
        self.live(identity)
    }

    async fn is_online(&self, identity: &IdentityKey) -> Result<bool, PresenceError> {
        let (store, now) = (self.store()?, Instant::now());
        Ok(store
            .get(identity)
            .is_some_and(|s| s.iter().any(|(_, entry)| entry.is_live(now))))
    }

    fn events(&self) -> PresenceEvents {
        PresenceEvents::new(self.events.subscribe())
    }

    async fn close(&self) {
        self.closed.store(true, SeqCst);
        self.events.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_longest_lease_of_all_has_no_end() {
        let (presence, identity) = (MemoryPresence::new(), IdentityKey::new("ann"));
        let node = "node".parse().unwrap();
        let info = SessionInfo::new(crate::SessionId::random(), &identity, node);
        let sessions = [info];
        presence
            .register(&sessions, Some(Duration::MAX))
            .await
            .unwrap();
        assert_eq!(presence.sessions(&identity).await.unwrap(), sessions);
    }
}
