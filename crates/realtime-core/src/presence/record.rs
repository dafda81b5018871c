//! A session's record as it is written.

use std::{net::SocketAddr, time::SystemTime};

use serde::{Deserialize, Serialize};

use super::SessionInfo;
use crate::{IdentityKey, NodeId, SessionId};

/// The names and forms of a [`SessionInfo`] in JSON. Records in a store are read by nodes of other
/// versions.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    session_id: SessionId,
    identity_id: String,
    tenant_id: String,
    node_id: NodeId,
    remote_addr: Option<SocketAddr>,
    #[serde(with = "crate::timestamp")]
    connected_at: SystemTime,
    #[serde(with = "crate::timestamp::option", default)]
    expires_at: Option<SystemTime>,
}

impl From<SessionInfo> for Record {
    fn from(info: SessionInfo) -> Self {
        Self {
            session_id: info.session_id,
            identity_id: info.identity.id().to_owned(),
            tenant_id: info.identity.tenant().to_owned(),
            node_id: info.node_id,
            remote_addr: info.remote_addr,
            connected_at: info.connected_at,
            expires_at: info.expires_at,
        }
    }
}

impl From<Record> for SessionInfo {
    fn from(record: Record) -> Self {
        Self {
            session_id: record.session_id,
            identity: IdentityKey::from_parts(&record.tenant_id, &record.identity_id),
            node_id: record.node_id,
            remote_addr: record.remote_addr,
            connected_at: record.connected_at,
            expires_at: record.expires_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_the_names_of_old() {
        let json = r#"{"session_id":"01890a5d-ac96-774b-bcce-b302099a8057","identity_id":"ada","tenant_id":"acme","node_id":"n1","remote_addr":"127.0.0.1:80","connected_at":"2026-01-02T03:04:05Z","expires_at":null}"#;
        let info: SessionInfo = serde_json::from_str(json).unwrap();
        assert_eq!(info.identity, IdentityKey::new("ada").with_tenant("acme"));
        assert_eq!(serde_json::to_string(&info).unwrap(), json);
    }
}
