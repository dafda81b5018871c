//! The roster of a presence store, with a bound on each call.

use std::time::Duration;

use realtime_core::{
    broker::NodeInfo,
    presence::{
        AnyRoster, Change, Departed, Entered, Group, Member, MemberPage, PresenceError, Prolonged,
        Roster,
    },
};

use super::asked;
use crate::metrics::{Call, Metrics};

/// A roster whose calls return, and are measured.
struct BoundedRoster(AnyRoster, Metrics);

pub(super) fn bounded(roster: AnyRoster, metrics: Metrics) -> AnyRoster {
    AnyRoster::new(BoundedRoster(roster, metrics))
}

impl Roster for BoundedRoster {
    async fn enter(
        &self,
        node: &NodeInfo,
        members: &[Member],
        ttl: Option<Duration>,
    ) -> Result<Entered, PresenceError> {
        asked(&self.1, Call::RosterEnter, async {
            self.0.enter(node, members, ttl).await
        })
        .await
    }

    async fn leave(
        &self,
        node: &NodeInfo,
        members: &[Member],
        grace: Duration,
    ) -> Result<Departed, PresenceError> {
        asked(&self.1, Call::RosterLeave, async {
            self.0.leave(node, members, grace).await
        })
        .await
    }

    async fn renew(
        &self,
        node: &NodeInfo,
        groups: &[(Group, u64)],
        ttl: Option<Duration>,
    ) -> Result<Prolonged, PresenceError> {
        asked(&self.1, Call::RosterRenew, async {
            self.0.renew(node, groups, ttl).await
        })
        .await
    }

    async fn changes(&self, limit: usize) -> Result<Vec<Change>, PresenceError> {
        asked(&self.1, Call::RosterChanges, async {
            self.0.changes(limit).await
        })
        .await
    }

    async fn confirm(&self, changes: &[Change]) -> Result<(), PresenceError> {
        asked(&self.1, Call::RosterConfirm, async {
            self.0.confirm(changes).await
        })
        .await
    }

    async fn members(
        &self,
        group: &Group,
        after: Option<u64>,
        limit: usize,
    ) -> Result<MemberPage, PresenceError> {
        asked(&self.1, Call::RosterMembers, async {
            self.0.members(group, after, limit).await
        })
        .await
    }
}
