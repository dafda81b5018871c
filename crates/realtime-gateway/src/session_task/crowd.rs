//! No identity has more sessions than it may: what is done about it once a new one is there.
//!
//! All nodes put the sessions of an identity into the same order, so those that look at the same time
//! come to the same end. What can be refused before the upgrade was; this is for what could not be
//! known then.

use std::time::SystemTime;

use realtime_core::{
    CloseCode, IdentityKey, SessionId,
    presence::{Presence, SessionInfo},
};

use crate::{
    ErrorStage, Session,
    config::ConnectionPolicy,
    control,
    node::Node,
    session::{EndCause, REPLACED},
};

/// A session of the identity, wherever it is.
enum One {
    Here(Session),
    There(SessionInfo),
}

impl One {
    /// When it came. No two are the same.
    fn place(&self) -> (SystemTime, SessionId) {
        match self {
            Self::Here(session) => (session.connected_at(), session.id()),
            Self::There(info) => (info.connected_at, info.session_id),
        }
    }
}

/// Ends what is too much, now that this session is there. Other nodes count where presence knows of
/// the session.
pub(super) async fn settle(node: &Node, session: &Session, is_registered: bool) {
    let limits = &node.config.limits;
    let Some(most) = limits.max_connections_per_identity else {
        return;
    };
    let mut all = all(node, session.identity_key(), is_registered).await;
    if all.len() <= most {
        return;
    }
    all.sort_by_key(One::place);
    match limits.connection_policy {
        ConnectionPolicy::RefuseNewest => {
            let older = all.iter().take(most);
            let mut older = older.map(One::place);
            if !older.any(|place| place.1 == session.id()) {
                session.end(EndCause::TooManyConnections);
            }
        }
        ConnectionPolicy::CloseOldest => {
            let excess = all.len() - most;
            for one in all.into_iter().take(excess) {
                match one {
                    One::Here(session) => {
                        session.end(EndCause::Replaced);
                    }
                    One::There(info) => {
                        node.stats().connections_limited.add(1);
                        control::disconnect_there(node, &info, CloseCode::REPLACED, REPLACED).await;
                    }
                }
            }
        }
    }
}

async fn all(node: &Node, identity: &IdentityKey, is_registered: bool) -> Vec<One> {
    let here = node.hub.of(identity).into_iter();
    let here = here.filter(|session| !session.is_closed());
    let mut all: Vec<One> = here.map(One::Here).collect();
    if !is_registered {
        return all;
    }
    match node.registry.presence.sessions(identity).await {
        Ok(infos) => {
            let there = infos.into_iter();
            let there = there.filter(|info| node.may_hold_sessions(&info.node()));
            all.extend(there.map(One::There));
        }
        Err(error) => node.report(ErrorStage::Presence, error, None),
    }
    all
}
