//! The sessions of one identity, and until when each is online.

use std::{collections::HashMap, net::SocketAddr, time::SystemTime};

use tokio::time::Instant;

use crate::{IdentityKey, NodeId, SessionId, presence::SessionInfo};

/// A [`SessionInfo`] without the identity, which is the key already.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) node: NodeId,
    pub(super) remote_addr: Option<SocketAddr>,
    pub(super) connected_at: SystemTime,
    pub(super) expires_at: Option<SystemTime>,
    pub(super) ends: Option<Instant>,
}

impl Entry {
    pub(super) fn is_live(&self, now: Instant) -> bool {
        self.ends.is_none_or(|ends| ends > now)
    }

    pub(super) fn info(&self, session: SessionId, identity: &IdentityKey) -> SessionInfo {
        SessionInfo {
            remote_addr: self.remote_addr,
            connected_at: self.connected_at,
            expires_at: self.expires_at,
            ..SessionInfo::new(session, identity, self.node.clone())
        }
    }
}

/// Nearly always one session, seldom a few, and thousands where all are anonymous.
#[derive(Debug, Default)]
pub(super) enum Leases {
    #[default]
    None,
    One(SessionId, Box<Entry>),
    #[expect(
        clippy::box_collection,
        reason = "the rare one is not to make the others larger"
    )]
    Many(Box<HashMap<SessionId, Entry>>),
}

impl Leases {
    pub(super) fn insert(&mut self, session: SessionId, entry: Entry) {
        *self = match std::mem::take(self) {
            Self::One(first, kept) if first != session => {
                Self::Many(Box::new(HashMap::from([(first, *kept), (session, entry)])))
            }
            Self::None | Self::One(..) => Self::One(session, Box::new(entry)),
            Self::Many(mut all) => {
                all.insert(session, entry);
                Self::Many(all)
            }
        };
    }

    pub(super) fn get_mut(&mut self, session: SessionId) -> Option<&mut Entry> {
        match self {
            Self::One(one, entry) if *one == session => Some(entry),
            Self::None | Self::One(..) => None,
            Self::Many(all) => all.get_mut(&session),
        }
    }

    /// Keeps only these. Returns whether none is left.
    pub(super) fn retain(&mut self, keep: impl Fn(SessionId, &Entry) -> bool) -> bool {
        match self {
            Self::None => {}
            Self::One(one, entry) => {
                if !keep(*one, entry) {
                    *self = Self::None;
                }
            }
            Self::Many(all) => {
                all.retain(|session, entry| keep(*session, entry));
                if all.is_empty() {
                    *self = Self::None;
                }
            }
        }
        matches!(self, Self::None)
    }

    /// Returns whether none is left.
    pub(super) fn remove(&mut self, session: SessionId) -> bool {
        match self {
            Self::None | Self::One(..) => self.retain(|one, _| one != session),
            Self::Many(all) => {
                all.remove(&session);
                all.is_empty()
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SessionId, &Entry)> {
        let (one, many) = match self {
            Self::None => (None, None),
            Self::One(session, entry) => (Some((*session, &**entry)), None),
            Self::Many(all) => (None, Some(all.iter())),
        };
        let many = many.into_iter().flatten();
        one.into_iter()
            .chain(many.map(|(session, entry)| (*session, entry)))
    }
}
