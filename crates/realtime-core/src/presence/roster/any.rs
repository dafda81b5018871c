//! Any roster behind one type.

use std::{fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;

use super::{Change, Departed, Entered, Group, Member, MemberPage, Prolonged, Roster};
use crate::{broker::NodeInfo, presence::PresenceError};

/// Any roster behind one type, cheap to clone.
#[derive(Clone)]
pub struct AnyRoster(Arc<dyn DynRoster>);

impl AnyRoster {
    /// Erases the type of a roster.
    #[must_use]
    pub fn new(roster: impl Roster) -> Self {
        Self(Arc::new(roster))
    }
}

impl Roster for AnyRoster {
    async fn enter(
        &self,
        node: &NodeInfo,
        members: &[Member],
        ttl: Option<Duration>,
    ) -> Result<Entered, PresenceError> {
        self.0.enter(node, members, ttl).await
    }

    async fn leave(
        &self,
        node: &NodeInfo,
        members: &[Member],
        grace: Duration,
    ) -> Result<Departed, PresenceError> {
        self.0.leave(node, members, grace).await
    }

    async fn renew(
        &self,
        node: &NodeInfo,
        groups: &[(Group, u64)],
        ttl: Option<Duration>,
    ) -> Result<Prolonged, PresenceError> {
        self.0.renew(node, groups, ttl).await
    }

    async fn changes(&self, limit: usize) -> Result<Vec<Change>, PresenceError> {
        self.0.changes(limit).await
    }

    async fn confirm(&self, changes: &[Change]) -> Result<(), PresenceError> {
        self.0.confirm(changes).await
    }

    async fn members(
        &self,
        group: &Group,
        after: Option<u64>,
        limit: usize,
    ) -> Result<MemberPage, PresenceError> {
        self.0.members(group, after, limit).await
    }
}

impl fmt::Debug for AnyRoster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyRoster").finish_non_exhaustive()
    }
}

type Answer<'a, T> = BoxFuture<'a, Result<T, PresenceError>>;

/// The object-safe twin of [`Roster`].
trait DynRoster: Send + Sync {
    fn enter<'a>(
        &'a self,
        node: &'a NodeInfo,
        members: &'a [Member],
        ttl: Option<Duration>,
    ) -> Answer<'a, Entered>;
    fn leave<'a>(
        &'a self,
        node: &'a NodeInfo,
        members: &'a [Member],
        grace: Duration,
    ) -> Answer<'a, Departed>;
    fn renew<'a>(
        &'a self,
        node: &'a NodeInfo,
        groups: &'a [(Group, u64)],
        ttl: Option<Duration>,
    ) -> Answer<'a, Prolonged>;
    fn changes(&self, limit: usize) -> Answer<'_, Vec<Change>>;
    fn confirm<'a>(&'a self, changes: &'a [Change]) -> Answer<'a, ()>;
    fn members<'a>(
        &'a self,
        group: &'a Group,
        after: Option<u64>,
        limit: usize,
    ) -> Answer<'a, MemberPage>;
}

impl<T: Roster> DynRoster for T {
    fn enter<'a>(
        &'a self,
        node: &'a NodeInfo,
        members: &'a [Member],
        ttl: Option<Duration>,
    ) -> Answer<'a, Entered> {
        Box::pin(Roster::enter(self, node, members, ttl))
    }

    fn leave<'a>(
        &'a self,
        node: &'a NodeInfo,
        members: &'a [Member],
        grace: Duration,
    ) -> Answer<'a, Departed> {
        Box::pin(Roster::leave(self, node, members, grace))
    }

    fn renew<'a>(
        &'a self,
        node: &'a NodeInfo,
        groups: &'a [(Group, u64)],
        ttl: Option<Duration>,
    ) -> Answer<'a, Prolonged> {
        Box::pin(Roster::renew(self, node, groups, ttl))
    }

    fn changes(&self, limit: usize) -> Answer<'_, Vec<Change>> {
        Box::pin(Roster::changes(self, limit))
    }

    fn confirm<'a>(&'a self, changes: &'a [Change]) -> Answer<'a, ()> {
        Box::pin(Roster::confirm(self, changes))
    }

    fn members<'a>(
        &'a self,
        group: &'a Group,
        after: Option<u64>,
        limit: usize,
    ) -> Answer<'a, MemberPage> {
        Box::pin(Roster::members(self, group, after, limit))
    }
}
