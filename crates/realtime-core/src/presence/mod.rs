//! The presence seam: who is online, and on which node?

mod any;
mod memory;
mod record;

use std::{
    collections::VecDeque,
    fmt,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use futures::{Stream, StreamExt, stream::BoxStream};
use serde::{Deserialize, Serialize};

use crate::{
    IdentityKey, NodeId, SessionId,
    error::operation_error,
    events::{Event, push_change},
};

pub use any::AnyPresence;
pub use memory::MemoryPresence;
use record::Record;

/// Remembers which sessions are online, under a lease.
///
/// The gateway owns the truth: it registers its sessions, renews their leases in batches,
/// registers again what the store has lost, and unregisters what has gone. A crashed node's
/// sessions vanish when their leases end. Every method may be called concurrently and must be
/// idempotent, since a call that timed out may still have been carried out.
pub trait Presence: Send + Sync + 'static {
    /// Adds sessions, each with a lease of `ttl`; without one they stay until unregistered.
    ///
    /// # Behavior
    /// - A registered session is found at once, by every node.
    /// - Registering a session again replaces it and renews its lease.
    /// - The answer has the end of each lease by the store's clock, in the order of the question.
    /// - A session whose lease has ended is not found any more.
    /// - An empty list is fine.
    ///
    /// # Errors
    /// When the store can't be reached in time.
    fn register(
        &self,
        sessions: &[SessionInfo],
        ttl: Option<Duration>,
    ) -> impl Future<Output = Result<Vec<Registered>, PresenceError>> + Send;

    /// Removes sessions.
    ///
    /// # Behavior
    /// - A removed session is not found any more.
    /// - Removing what is not there is fine.
    /// - Other sessions of the identity stay.
    ///
    /// # Errors
    /// When the store can't be reached in time.
    fn unregister(
        &self,
        sessions: &[SessionKey],
    ) -> impl Future<Output = Result<(), PresenceError>> + Send;

    /// Prolongs leases to `ttl` from now, and returns those that the store no longer knows.
    ///
    /// # Behavior
    /// - A renewed session is found until its new lease ends.
    /// - What the store doesn't know is returned and not added.
    ///
    /// # Errors
    /// When the store can't be reached in time.
    fn renew(
        &self,
        sessions: &[SessionKey],
        ttl: Option<Duration>,
    ) -> impl Future<Output = Result<Vec<SessionKey>, PresenceError>> + Send;

    /// The sessions of an identity that are online, on all nodes, the oldest first.
    ///
    /// # Behavior
    /// - Tenants are kept apart, also where tenant and id joined would read the same.
    /// - An unknown identity has none.
    /// - A session is returned as it was registered, with the end of its lease.
    ///
    /// # Errors
    /// When the store can't be reached in time.
    fn sessions(
        &self,
        identity: &IdentityKey,
    ) -> impl Future<Output = Result<Vec<SessionInfo>, PresenceError>> + Send;

    /// Whether an identity has at least one session online.
    ///
    /// # Behavior
    /// - It agrees with [`sessions`](Self::sessions).
    ///
    /// # Errors
    /// When the store can't be reached in time.
    fn is_online(
        &self,
        identity: &IdentityKey,
    ) -> impl Future<Output = Result<bool, PresenceError>> + Send;

    /// What happens to the store, from now on.
    ///
    /// # Behavior
    /// - Every caller gets a stream of its own.
    /// - A stream that isn't read stays bounded: it loses its oldest events, never the last.
    /// - The stream ends after [`close`](Self::close).
    fn events(&self) -> PresenceEvents;

    /// Frees what the store holds on this side. Sessions that are still registered stay until
    /// their leases end.
    ///
    /// # Behavior
    /// - It is idempotent.
    /// - Calls afterwards fail with kind [`Closed`](PresenceErrorKind::Closed).
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// A session that is online, as presence knows it.
///
/// As JSON it has exactly these field names, and times are RFC 3339 in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Record", into = "Record")]
#[non_exhaustive]
pub struct SessionInfo {
    /// The session.
    pub session_id: SessionId,
    /// The identity that it belongs to; in JSON `identity_id` and `tenant_id`.
    pub identity: IdentityKey,
    /// The node that holds it.
    pub node_id: NodeId,
    /// The peer's address, where it is known.
    pub remote_addr: Option<SocketAddr>,
    /// When it connected.
    pub connected_at: SystemTime,
    /// When its lease ends, by the store's clock; `None` without a lease.
    pub expires_at: Option<SystemTime>,
}

impl SessionInfo {
    /// A session that connected now, without an address and without a lease.
    #[must_use]
    pub fn new(session: SessionId, identity: &IdentityKey, node: NodeId) -> Self {
        Self {
            session_id: session,
            identity: identity.clone(),
            node_id: node,
            remote_addr: None,
            connected_at: SystemTime::now(),
            expires_at: None,
        }
    }

    /// What the session is unregistered and renewed by.
    #[must_use]
    pub fn key(&self) -> SessionKey {
        SessionKey {
            identity: self.identity.clone(),
            session: self.session_id,
        }
    }
}

/// What a session is unregistered and renewed by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionKey {
    /// The identity that the session belongs to.
    pub identity: IdentityKey,
    /// The session.
    pub session: SessionId,
}

/// A session that was registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Registered {
    /// The session.
    pub session: SessionId,
    /// When its lease ends, by the store's clock; `None` without a lease.
    pub expires_at: Option<SystemTime>,
}

impl Registered {
    /// A registration with this lease.
    #[must_use]
    pub const fn new(session: SessionId, expires_at: Option<SystemTime>) -> Self {
        Self {
            session,
            expires_at,
        }
    }
}

/// Something that happened to the presence store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PresenceEvent {
    /// The store can't be reached.
    Down {
        /// Why, for people.
        cause: String,
    },
    /// The store can be reached again; it may have lost everything.
    Up,
}

/// While a listener doesn't read, the last 63 at least are kept.
impl Event for PresenceEvent {
    fn wait_in(self, waiting: &mut VecDeque<Self>) {
        push_change(self, waiting, |_| true);
    }
}

/// A stream of [`PresenceEvent`]s.
pub struct PresenceEvents(BoxStream<'static, PresenceEvent>);

impl PresenceEvents {
    /// Wraps a backend's stream.
    #[must_use]
    pub fn new(stream: impl Stream<Item = PresenceEvent> + Send + 'static) -> Self {
        Self(stream.boxed())
    }
}

impl Stream for PresenceEvents {
    type Item = PresenceEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<PresenceEvent>> {
        self.0.poll_next_unpin(cx)
    }
}

impl fmt::Debug for PresenceEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresenceEvents").finish_non_exhaustive()
    }
}

operation_error! {
    /// A presence store that could not do what it was asked.
    PresenceError, PresenceErrorKind
}

/// The sorts of [`PresenceError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PresenceErrorKind {
    /// The store was closed.
    Closed,
    /// The store is misconfigured; trying again won't help.
    Config,
    /// The store holds something that this version can't read.
    Corrupt,
    /// The store can't be reached, or didn't answer in time.
    Unavailable,
}

impl PresenceError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.kind == PresenceErrorKind::Unavailable
    }
}
