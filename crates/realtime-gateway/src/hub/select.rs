//! The sessions that something is to be done to, other than getting a message.

use std::collections::HashSet;

use realtime_core::{
    SessionId,
    broker::envelope::{Except, Target},
};

use super::{Hub, TURN, is_excepted};
use crate::session::Session;

impl Hub {
    /// The open sessions of a target, but for some: each once, as they are now. A copy, so that
    /// nothing is locked while something is done to them.
    pub(crate) async fn select(&self, to: &Target, except: &[Except]) -> Vec<Session> {
        let mut sessions = match to {
            Target::Session(id) => self.get(*id).into_iter().collect(),
            Target::Identity(key) => self.of(key),
            Target::Rooms(rooms) => {
                let mut seen: HashSet<SessionId> = HashSet::new();
                let members = rooms.iter().flat_map(|room| self.rooms.members(room));
                members.filter(|member| seen.insert(member.id())).collect()
            }
            to @ (Target::All | Target::Tenant(_)) => self.walk(to).await,
            _ => Vec::new(),
        };
        sessions.retain(|session| !session.is_closed() && !is_excepted(session, except));
        sessions
    }

    async fn walk(&self, to: &Target) -> Vec<Session> {
        let mut sessions = Vec::new();
        for shard in &self.shards {
            let mut from = Some(0);
            while let Some(next) = from {
                from = shard.pick_from(next, TURN, |session| is_meant(session, to), &mut sessions);
                tokio::task::yield_now().await;
            }
        }
        sessions
    }
}

/// Whether a session is everybody's or the tenant's, of those targets that every session is looked
/// at for.
pub(super) fn is_meant(session: &Session, to: &Target) -> bool {
    match to {
        Target::All => true,
        Target::Tenant(tenant) => session.identity_key().tenant() == tenant.as_str(),
        _ => false,
    }
}
