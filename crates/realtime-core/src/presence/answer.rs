//! What a presence store answers: what was done, and what failed for which key.

use std::collections::HashSet;

use super::{PresenceError, SessionKey};
use crate::{IdentityKey, broker::NodeInfo};

/// A key that a call could not deal with, while it dealt with others.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Failure<K = SessionKey> {
    /// The key. What became of it isn't known, as after an `Err` of the whole call.
    pub key: K,
    /// Why. Of kind [`Corrupt`](super::PresenceErrorKind::Corrupt) where something else lies under
    /// the key.
    pub error: PresenceError,
}

impl<K> Failure<K> {
    /// A failure of this key.
    #[must_use]
    pub const fn new(key: K, error: PresenceError) -> Self {
        Self { key, error }
    }
}

/// What became of [`register`](super::Presence::register): all sessions that are not named are
/// registered.
#[derive(Debug, Clone, Default)]
#[must_use]
#[non_exhaustive]
pub struct Registered {
    /// Those that could not be registered, in no particular order.
    pub failed: Vec<Failure>,
}

impl Registered {
    /// All but these are registered.
    pub const fn new(failed: Vec<Failure>) -> Self {
        Self { failed }
    }
}

/// What became of [`unregister`](super::Presence::unregister): all sessions that are not named are
/// not there any more.
#[derive(Debug, Clone, Default)]
#[must_use]
#[non_exhaustive]
pub struct Unregistered {
    /// Those that could not be removed, in no particular order.
    pub failed: Vec<Failure>,
}

impl Unregistered {
    /// All but these are gone.
    pub const fn new(failed: Vec<Failure>) -> Self {
        Self { failed }
    }
}

/// What became of [`renew`](super::Presence::renew): all sessions that are not named are renewed.
#[derive(Debug, Clone, Default)]
#[must_use]
#[non_exhaustive]
pub struct Renewed {
    /// Those that the store doesn't know, or whose record it can't read, in no particular order.
    pub unknown: Vec<SessionKey>,
    /// Those that could not be renewed, in no particular order.
    pub failed: Vec<Failure>,
}

impl Renewed {
    /// All but these are renewed.
    pub const fn new(unknown: Vec<SessionKey>, failed: Vec<Failure>) -> Self {
        Self { unknown, failed }
    }
}

/// The answer of [`online`](super::Presence::online).
#[derive(Debug, Clone, Default)]
#[must_use]
#[non_exhaustive]
pub struct Online {
    /// The identities of the question that have a session online.
    pub online: HashSet<IdentityKey>,
    /// Those that could not be looked for, in no particular order. They may be online or not.
    pub failed: Vec<Failure<IdentityKey>>,
}

impl Online {
    /// These are online, of these it isn't known, and no other one of the question is.
    pub const fn new(online: HashSet<IdentityKey>, failed: Vec<Failure<IdentityKey>>) -> Self {
        Self { online, failed }
    }
}

/// One start of a node, and how many sessions of an identity it holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct NodeSessions {
    /// The node, as it was started.
    pub node: NodeInfo,
    /// How many sessions of the identity it holds: at least one.
    pub sessions: u64,
}

impl NodeSessions {
    /// So many sessions on this node.
    #[must_use]
    pub const fn new(node: NodeInfo, sessions: u64) -> Self {
        Self { node, sessions }
    }
}
