//! Sessions by id and by identity.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::{Hash, Hasher},
};

use dashmap::DashMap;
use realtime_core::{Identity, IdentityKey, SessionId, broker::envelope::Except};

use crate::session::Session;

/// Finds sessions.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_id: DashMap<SessionId, Session>,
    by_identity: DashMap<Key, Sessions>,
}

/// An identity that is hashed and compared by its key, so that the key isn't kept a second time.
#[derive(Debug)]
struct Key(Identity);

impl Borrow<IdentityKey> for Key {
    fn borrow(&self) -> &IdentityKey {
        self.0.key()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.key() == other.0.key()
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key().hash(state);
    }
}

/// The sessions of one identity: nearly always one, seldom a few, and thousands where all are
/// anonymous.
#[derive(Debug)]
#[expect(
    clippy::box_collection,
    reason = "the rare one is not to make the other larger"
)]
enum Sessions {
    One(Session),
    Many(Box<HashMap<SessionId, Session>>),
}

impl Sessions {
    fn add(&mut self, session: Session) {
        if let Self::One(first) = self {
            let first = (first.id(), first.clone());
            *self = Self::Many(Box::new(HashMap::from([first])));
        }
        if let Self::Many(sessions) = self {
            sessions.insert(session.id(), session);
        }
    }

    /// Returns whether none is left.
    fn remove(&mut self, id: SessionId) -> bool {
        match self {
            Self::One(session) => session.id() == id,
            Self::Many(sessions) => {
                sessions.remove(&id);
                sessions.is_empty()
            }
        }
    }

    fn all(&self) -> Vec<Session> {
        match self {
            Self::One(session) => vec![session.clone()],
            Self::Many(sessions) => sessions.values().cloned().collect(),
        }
    }
}

impl Index {
    pub(super) fn insert(&self, session: Session) {
        self.by_identity
            .entry(Key(session.connected_as().clone()))
            .and_modify(|sessions| sessions.add(session.clone()))
            .or_insert_with(|| Sessions::One(session.clone()));
        self.by_id.insert(session.id(), session);
    }

    pub(super) fn remove(&self, session: &Session) {
        self.by_id.remove(&session.id());
        let key = session.identity_key();
        self.by_identity
            .remove_if_mut(key, |_, sessions| sessions.remove(session.id()));
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn get(&self, id: SessionId) -> Option<Session> {
        self.by_id.get(&id).map(|session| session.clone())
    }

    /// The sessions of an identity, as they are now.
    pub(super) fn of(&self, key: &IdentityKey) -> Vec<Session> {
        self.by_identity
            .get(key)
            .map(|sessions| sessions.all())
            .unwrap_or_default()
    }

    /// Some sessions of an identity, and how many it has.
    #[cfg(feature = "admin")]
    pub(super) fn some_of(&self, key: &IdentityKey, most: usize) -> (Vec<Session>, usize) {
        let Some(sessions) = self.by_identity.get(key) else {
            return (Vec::new(), 0);
        };
        match &*sessions {
            Sessions::One(session) => (vec![session.clone()], 1),
            Sessions::Many(all) => (all.values().take(most).cloned().collect(), all.len()),
        }
    }

    /// Those who are named.
    pub(super) fn those(&self, who: &Except) -> Vec<Session> {
        match who {
            Except::Session(id) => self.get(*id).into_iter().collect(),
            Except::Identity(key) => self.of(key),
            _ => Vec::new(),
        }
    }
}
