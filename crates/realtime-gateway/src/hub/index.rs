//! Sessions by id and by identity.

use std::collections::HashMap;

use dashmap::DashMap;
use realtime_core::{IdentityKey, SessionId};

use crate::Session;

/// Finds sessions.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_id: DashMap<SessionId, Session>,
    by_identity: DashMap<IdentityKey, HashMap<SessionId, Session>>,
}

impl Index {
    pub(super) fn insert(&self, session: Session) {
        let key = session.identity().key().clone();
        self.by_identity
            .entry(key)
            .or_default()
            .insert(session.id(), session.clone());
        self.by_id.insert(session.id(), session);
    }

    pub(super) fn remove(&self, session: &Session) {
        self.by_id.remove(&session.id());
        let key = session.identity().key();
        self.by_identity.remove_if_mut(key, |_, sessions| {
            sessions.remove(&session.id());
            sessions.is_empty()
        });
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn get(&self, id: SessionId) -> Option<Session> {
        self.by_id.get(&id).map(|session| session.clone())
    }

    /// All sessions, as they are now. A copy, so that nothing is locked while they are written to.
    pub(super) fn all(&self) -> Vec<Session> {
        self.by_id
            .iter()
            .map(|entry| entry.value().clone())
            .collect()
    }

    /// The sessions of an identity, as they are now.
    pub(super) fn of(&self, key: &IdentityKey) -> Vec<Session> {
        self.by_identity
            .get(key)
            .map(|sessions| sessions.values().cloned().collect())
            .unwrap_or_default()
    }
}
