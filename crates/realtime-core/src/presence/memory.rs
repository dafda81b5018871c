//! Presence in this process.

mod leases;
mod roster;

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
use roster::{Groups, MemoryRoster};

use super::{
    AnyRoster, NodeSessions, Online, Presence, PresenceError, PresenceErrorKind, PresenceEvent,
    PresenceEvents, Registered, Renewed, SessionInfo, SessionKey, Unregistered,
};
use crate::{Events, IdentityKey};

/// Remembers sessions in this process, and who is in rooms, with the same leases as a networked
/// store has.
///
/// A clone is another node's handle on the same store, so that several gateways in one process
/// see each other. Closing one handle leaves the others open.
#[derive(Debug)]
pub struct MemoryPresence {
    store: Arc<Mutex<Store>>,
    groups: Arc<Mutex<Groups>>,
    closed: Arc<AtomicBool>,
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
        Self::with(Arc::clone(&self.store), Arc::clone(&self.groups))
    }
}

impl MemoryPresence {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Arc::default(), Arc::default())
    }

    fn with(store: Arc<Mutex<Store>>, groups: Arc<Mutex<Groups>>) -> Self {
        Self {
            store,
            groups,
            closed: Arc::default(),
            events: Events::new(),
        }
    }

    fn store(&self) -> Result<MutexGuard<'_, Store>, PresenceError> {
        if self.closed.load(SeqCst) {
            return Err(closed());
        }
        Ok(self.store.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks the leases of an identity, without those that have ended.
    fn live<T>(
        &self,
        identity: &IdentityKey,
        ask: impl FnOnce(&Leases) -> Vec<T>,
    ) -> Result<Vec<T>, PresenceError> {
        let (mut store, now) = (self.store()?, Instant::now());
        let Some(leases) = store.get_mut(identity) else {
            return Ok(Vec::new());
        };
        if leases.sweep(now) {
            store.remove(identity);
            return Ok(Vec::new());
        }
        Ok(ask(leases))
    }
}

fn closed() -> PresenceError {
    PresenceError::new(PresenceErrorKind::Closed, "presence is closed")
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
    ) -> Result<Registered, PresenceError> {
        let mut store = self.store()?;
        let (ends, expires_at) = lease(ttl);
        for info in sessions {
            let entry = Entry {
                node: info.node(),
                remote_addr: info.remote_addr,
                connected_at: info.connected_at,
                expires_at,
                ends,
            };
            let leases = store.entry(info.identity.clone()).or_default();
            leases.insert(info.session_id, entry);
        }
        Ok(Registered::default())
    }

    async fn unregister(&self, sessions: &[SessionKey]) -> Result<Unregistered, PresenceError> {
        let mut store = self.store()?;
        for key in sessions {
            let of_identity = store.get_mut(&key.identity);
            if of_identity.is_some_and(|leases| leases.remove(key.session)) {
                store.remove(&key.identity);
            }
        }
        Ok(Unregistered::default())
    }

    async fn renew(
        &self,
        sessions: &[SessionKey],
        ttl: Option<Duration>,
    ) -> Result<Renewed, PresenceError> {
        let (mut store, now) = (self.store()?, Instant::now());
        let (ends, expires_at) = lease(ttl);
        let mut renew = |key: &&SessionKey| {
            let leases = store.get_mut(&key.identity);
            leases.is_some_and(|leases| leases.renew(key.session, now, ends, expires_at))
        };
        let unknown = sessions.iter().filter(|key| !renew(key)).cloned();
        Ok(Renewed::new(unknown.collect(), Vec::new()))
    }

    async fn sessions(&self, identity: &IdentityKey) -> Result<Vec<SessionInfo>, PresenceError> {
        let mut live = self.live(identity, |leases| {
            let infos = leases.iter();
            infos
                .map(|(session, entry)| entry.info(session, identity))
                .collect()
        })?;
        live.sort_by_key(|info| (info.connected_at, info.session_id));
        Ok(live)
    }

    async fn nodes(&self, identity: &IdentityKey) -> Result<Vec<NodeSessions>, PresenceError> {
        self.live(identity, Leases::nodes)
    }

    async fn online(&self, identities: &[IdentityKey]) -> Result<Online, PresenceError> {
        let (store, now) = (self.store()?, Instant::now());
        let is_online = |identity: &&IdentityKey| {
            let leases = store.get(*identity);
            leases.is_some_and(|leases| leases.iter().any(|(_, entry)| entry.is_live(now)))
        };
        let online = identities.iter().filter(is_online).cloned().collect();
        Ok(Online::new(online, Vec::new()))
    }

    /// It ends with this process, and so do its nodes.
    fn outlives_nodes(&self) -> bool {
        false
    }

    fn roster(&self) -> Option<AnyRoster> {
        Some(AnyRoster::new(MemoryRoster {
            groups: Arc::clone(&self.groups),
            is_closed: Arc::clone(&self.closed),
        }))
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
    use crate::{Incarnation, SessionId, broker::NodeInfo};

    #[tokio::test]
    async fn the_longest_lease_of_all_has_no_end() {
        let (presence, identity) = (MemoryPresence::new(), IdentityKey::new("ann"));
        let node = node("node");
        let info = SessionInfo::new(SessionId::random(), &identity, node);
        let sessions = [info];
        let registered = presence.register(&sessions, Some(Duration::MAX)).await;
        assert!(registered.unwrap().failed.is_empty());
        assert_eq!(presence.sessions(&identity).await.unwrap(), sessions);
    }

    fn node(name: &str) -> NodeInfo {
        NodeInfo::new(name.parse().unwrap(), Incarnation::random())
    }

    /// The counts, which are kept, and the sessions, which are looked at, never disagree.
    #[tokio::test(start_paused = true)]
    async fn what_is_counted_is_what_is_there() {
        let (presence, identity) = (MemoryPresence::new(), IdentityKey::new("ann"));
        let nodes: Vec<_> = ["a", "b", "c"].map(node).into();
        let ids: Vec<_> = (0..12).map(|_| SessionId::random()).collect();
        for step in 0..4_000 {
            let id = ids[fastrand::usize(..ids.len())];
            let node = nodes[fastrand::usize(..nodes.len())].clone();
            let info = SessionInfo::new(id, &identity, node);
            let ttl = match fastrand::u8(..10) {
                0 => None,
                n => Some(Duration::from_secs(n.into())),
            };
            match fastrand::u8(..5) {
                0 => drop(presence.register(&[info], ttl).await.unwrap()),
                1 => drop(presence.renew(&[info.key()], ttl).await.unwrap()),
                2 | 3 => drop(presence.unregister(&[info.key()]).await.unwrap()),
                _ => tokio::time::advance(Duration::from_secs(1)).await,
            }
            // Sometimes nobody has looked for a while.
            if fastrand::u8(..4) == 0 {
                continue;
            }
            let counted = presence.nodes(&identity).await.unwrap();
            let counted: HashMap<_, _> =
                counted.into_iter().map(|n| (n.node, n.sessions)).collect();
            let mut there: HashMap<_, u64> = HashMap::new();
            for info in presence.sessions(&identity).await.unwrap() {
                *there.entry(info.node()).or_default() += 1;
            }
            assert_eq!(counted, there, "step {step}");
            assert_eq!(
                presence.is_online(&identity).await.unwrap(),
                !there.is_empty()
            );
        }
    }
}
