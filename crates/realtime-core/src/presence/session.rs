//! A session, as presence knows it.

use std::{net::SocketAddr, time::SystemTime};

use serde::{Deserialize, Serialize};

use super::record::Record;
use crate::{IdentityKey, Incarnation, NodeId, SessionId, broker::NodeInfo};

/// A session that is online, as presence knows it.
///
/// As JSON it has exactly these field names, times are RFC 3339 in UTC, and the incarnation is 16
/// hexadecimal digits, since many readers of JSON can't keep a number of 64 bits.
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
    /// The start of that node that holds it. A node that is started again under its old name has
    /// another one, and none of the sessions of its former life.
    pub incarnation: Incarnation,
    /// The peer's address, where it is known.
    pub remote_addr: Option<SocketAddr>,
    /// When it connected.
    pub connected_at: SystemTime,
    /// When its lease ends, by the store's clock; `None` without a lease. What it says at a
    /// registration doesn't count.
    pub expires_at: Option<SystemTime>,
}

impl SessionInfo {
    /// A session that connected now, without an address and without a lease.
    #[must_use]
    pub fn new(session: SessionId, identity: &IdentityKey, node: NodeInfo) -> Self {
        Self {
            session_id: session,
            identity: identity.clone(),
            node_id: node.id,
            incarnation: node.incarnation,
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

    /// The node that holds it, as it was started.
    #[must_use]
    pub fn node(&self) -> NodeInfo {
        NodeInfo::new(self.node_id.clone(), self.incarnation)
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
