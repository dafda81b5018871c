//! The sessions of one identity, and until when each is online.

use std::{collections::HashMap, net::SocketAddr, time::SystemTime};

use tokio::time::Instant;

use crate::{
    IdentityKey, SessionId,
    broker::NodeInfo,
    presence::{NodeSessions, SessionInfo},
};

/// A [`SessionInfo`] without the identity, which is the key already.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) node: NodeInfo,
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
    Many(Box<Many>),
}

/// Sessions, and how many of them each node holds, so that nobody has to look at all of them to
/// know the nodes.
#[derive(Debug, Default)]
pub(super) struct Many {
    sessions: HashMap<SessionId, Entry>,
    nodes: HashMap<NodeInfo, u64>,
    /// No lease ends before this; `None` where none ends at all.
    no_end_before: Option<Instant>,
}

impl Many {
    fn insert(&mut self, session: SessionId, entry: Entry) {
        *self.nodes.entry(entry.node.clone()).or_default() += 1;
        self.may_end(entry.ends);
        if let Some(before) = self.sessions.insert(session, entry) {
            self.leaves(&before.node);
        }
    }

    fn may_end(&mut self, ends: Option<Instant>) {
        self.no_end_before = self.no_end_before.into_iter().chain(ends).min();
    }

    fn leaves(&mut self, node: &NodeInfo) {
        if let Some(count) = self.nodes.get_mut(node) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.nodes.remove(node);
            }
        }
    }

    /// Removes those whose lease has ended. It looks at all of them, so only where that may be.
    fn sweep(&mut self, now: Instant) {
        if self.no_end_before.is_none_or(|end| end > now) {
            return;
        }
        let ended: Vec<_> = self
            .sessions
            .extract_if(|_, entry| !entry.is_live(now))
            .collect();
        for (_, entry) in ended {
            self.leaves(&entry.node);
        }
        self.no_end_before = self.sessions.values().filter_map(|entry| entry.ends).min();
    }
}

impl Leases {
    pub(super) fn insert(&mut self, session: SessionId, entry: Entry) {
        *self = match std::mem::take(self) {
            Self::One(first, kept) if first != session => {
                let mut many = Box::<Many>::default();
                many.insert(first, *kept);
                many.insert(session, entry);
                Self::Many(many)
            }
            Self::None | Self::One(..) => Self::One(session, Box::new(entry)),
            Self::Many(mut many) => {
                many.insert(session, entry);
                Self::Many(many)
            }
        };
    }

    /// Prolongs a lease that hasn't ended. Returns whether it is there.
    pub(super) fn renew(
        &mut self,
        session: SessionId,
        now: Instant,
        ends: Option<Instant>,
        expires_at: Option<SystemTime>,
    ) -> bool {
        let entry = match self {
            Self::One(one, entry) if *one == session => Some(&mut **entry),
            Self::None | Self::One(..) => None,
            Self::Many(many) => {
                many.may_end(ends);
                many.sessions.get_mut(&session)
            }
        };
        let Some(entry) = entry.filter(|entry| entry.is_live(now)) else {
            return false;
        };
        (entry.ends, entry.expires_at) = (ends, expires_at);
        true
    }

    /// Removes those whose lease has ended. Returns whether none is left.
    pub(super) fn sweep(&mut self, now: Instant) -> bool {
        match self {
            Self::None => true,
            Self::One(_, entry) => !entry.is_live(now),
            Self::Many(many) => {
                many.sweep(now);
                many.sessions.is_empty()
            }
        }
    }

    /// Returns whether none is left.
    pub(super) fn remove(&mut self, session: SessionId) -> bool {
        match self {
            Self::None => true,
            Self::One(one, _) => *one == session,
            Self::Many(many) => {
                if let Some(entry) = many.sessions.remove(&session) {
                    many.leaves(&entry.node);
                }
                many.sessions.is_empty()
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SessionId, &Entry)> {
        let (one, many) = match self {
            Self::None => (None, None),
            Self::One(session, entry) => (Some((*session, &**entry)), None),
            Self::Many(many) => (None, Some(many.sessions.iter())),
        };
        let many = many.into_iter().flatten();
        one.into_iter()
            .chain(many.map(|(session, entry)| (*session, entry)))
    }

    /// The nodes that hold a session, as far as nothing has ended since the last sweep.
    pub(super) fn nodes(&self) -> Vec<NodeSessions> {
        match self {
            Self::None => Vec::new(),
            Self::One(_, entry) => vec![NodeSessions::new(entry.node.clone(), 1)],
            Self::Many(many) => {
                let nodes = many.nodes.iter();
                nodes
                    .map(|(node, count)| NodeSessions::new(node.clone(), *count))
                    .collect()
            }
        }
    }
}
