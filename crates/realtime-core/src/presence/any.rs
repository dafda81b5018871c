//! Any presence store behind one type.

use std::{fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;

use super::{
    AnyRoster, NodeSessions, Online, Presence, PresenceError, PresenceEvents, Registered, Renewed,
    SessionInfo, SessionKey, Unregistered,
};
use crate::IdentityKey;

/// Any presence store behind one type, cheap to clone.
#[derive(Clone)]
pub struct AnyPresence(Arc<dyn DynPresence>);

impl AnyPresence {
    /// Erases the type of a presence store.
    #[must_use]
    pub fn new(presence: impl Presence) -> Self {
        Self(Arc::new(presence))
    }
}

impl Presence for AnyPresence {
    async fn register(
        &self,
        sessions: &[SessionInfo],
        ttl: Option<Duration>,
    ) -> Result<Registered, PresenceError> {
        self.0.register(sessions, ttl).await
    }

    async fn unregister(&self, sessions: &[SessionKey]) -> Result<Unregistered, PresenceError> {
        self.0.unregister(sessions).await
    }

    async fn renew(
        &self,
        sessions: &[SessionKey],
        ttl: Option<Duration>,
    ) -> Result<Renewed, PresenceError> {
        self.0.renew(sessions, ttl).await
    }

    async fn sessions(&self, identity: &IdentityKey) -> Result<Vec<SessionInfo>, PresenceError> {
        self.0.sessions(identity).await
    }

    async fn nodes(&self, identity: &IdentityKey) -> Result<Vec<NodeSessions>, PresenceError> {
        self.0.nodes(identity).await
    }

    async fn online(&self, identities: &[IdentityKey]) -> Result<Online, PresenceError> {
        self.0.online(identities).await
    }

    async fn is_online(&self, identity: &IdentityKey) -> Result<bool, PresenceError> {
        self.0.is_online(identity).await
    }

    fn outlives_nodes(&self) -> bool {
        self.0.outlives_nodes()
    }

    fn roster(&self) -> Option<AnyRoster> {
        self.0.roster()
    }

    fn events(&self) -> PresenceEvents {
        self.0.events()
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

impl fmt::Debug for AnyPresence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyPresence").finish_non_exhaustive()
    }
}

type Answer<'a, T> = BoxFuture<'a, Result<T, PresenceError>>;

/// The object-safe twin of [`Presence`].
trait DynPresence: Send + Sync {
    fn register<'a>(
        &'a self,
        sessions: &'a [SessionInfo],
        ttl: Option<Duration>,
    ) -> Answer<'a, Registered>;
    fn unregister<'a>(&'a self, sessions: &'a [SessionKey]) -> Answer<'a, Unregistered>;
    fn renew<'a>(
        &'a self,
        sessions: &'a [SessionKey],
        ttl: Option<Duration>,
    ) -> Answer<'a, Renewed>;
    fn sessions<'a>(&'a self, identity: &'a IdentityKey) -> Answer<'a, Vec<SessionInfo>>;
    fn nodes<'a>(&'a self, identity: &'a IdentityKey) -> Answer<'a, Vec<NodeSessions>>;
    fn online<'a>(&'a self, identities: &'a [IdentityKey]) -> Answer<'a, Online>;
    fn is_online<'a>(&'a self, identity: &'a IdentityKey) -> Answer<'a, bool>;
    fn outlives_nodes(&self) -> bool;
    fn roster(&self) -> Option<AnyRoster>;
    fn events(&self) -> PresenceEvents;
    fn close(&self) -> BoxFuture<'_, ()>;
}

impl<T: Presence> DynPresence for T {
    fn register<'a>(
        &'a self,
        sessions: &'a [SessionInfo],
        ttl: Option<Duration>,
    ) -> Answer<'a, Registered> {
        Box::pin(Presence::register(self, sessions, ttl))
    }

    fn unregister<'a>(&'a self, sessions: &'a [SessionKey]) -> Answer<'a, Unregistered> {
        Box::pin(Presence::unregister(self, sessions))
    }

    fn renew<'a>(
        &'a self,
        sessions: &'a [SessionKey],
        ttl: Option<Duration>,
    ) -> Answer<'a, Renewed> {
        Box::pin(Presence::renew(self, sessions, ttl))
    }

    fn sessions<'a>(&'a self, identity: &'a IdentityKey) -> Answer<'a, Vec<SessionInfo>> {
        Box::pin(Presence::sessions(self, identity))
    }

    fn nodes<'a>(&'a self, identity: &'a IdentityKey) -> Answer<'a, Vec<NodeSessions>> {
        Box::pin(Presence::nodes(self, identity))
    }

    fn online<'a>(&'a self, identities: &'a [IdentityKey]) -> Answer<'a, Online> {
        Box::pin(Presence::online(self, identities))
    }

    fn is_online<'a>(&'a self, identity: &'a IdentityKey) -> Answer<'a, bool> {
        Box::pin(Presence::is_online(self, identity))
    }

    fn outlives_nodes(&self) -> bool {
        Presence::outlives_nodes(self)
    }

    fn roster(&self) -> Option<AnyRoster> {
        Presence::roster(self)
    }

    fn events(&self) -> PresenceEvents {
        Presence::events(self)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(Presence::close(self))
    }
}
