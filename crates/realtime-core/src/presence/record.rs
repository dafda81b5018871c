//! A session's record as it is written.

use std::{net::SocketAddr, time::SystemTime};

use serde::{Deserialize, Serialize};

use super::SessionInfo;
use crate::{IdentityKey, Incarnation, NodeId, SessionId};

/// The names and forms of a [`SessionInfo`] in JSON. Records in a store are read by nodes of other
/// versions.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    session_id: SessionId,
    identity_id: String,
    tenant_id: String,
    node_id: NodeId,
    #[serde(with = "incarnation")]
    incarnation: Incarnation,
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
            incarnation: info.incarnation,
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
            incarnation: record.incarnation,
            remote_addr: record.remote_addr,
            connected_at: record.connected_at,
            expires_at: record.expires_at,
        }
    }
}

/// 16 hexadecimal digits: a number of 64 bits is rounded by many who read JSON.
mod incarnation {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::Incarnation;

    pub(super) fn serialize<S: Serializer>(
        incarnation: &Incarnation,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", incarnation.as_u64()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Incarnation, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let is_plain = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u64::from_str_radix(&text, 16).ok().filter(|_| is_plain);
        number
            .map(Incarnation::from_u64)
            .ok_or_else(|| D::Error::custom("an incarnation is 16 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_the_names_of_old() {
        let json = r#"{"session_id":"01890a5d-ac96-774b-bcce-b302099a8057","identity_id":"ada","tenant_id":"acme","node_id":"n1","incarnation":"00000000000000ff","remote_addr":"127.0.0.1:80","connected_at":"2026-01-02T03:04:05Z","expires_at":null}"#;
        let info: SessionInfo = serde_json::from_str(json).unwrap();
        assert_eq!(info.identity, IdentityKey::new("ada").with_tenant("acme"));
        assert_eq!(info.incarnation, Incarnation::from_u64(255));
        assert_eq!(serde_json::to_string(&info).unwrap(), json);
    }
    #[test]
    fn an_incarnation_has_one_form() {
        let info = SessionInfo::new(
            SessionId::random(),
            &IdentityKey::new("ada"),
            crate::broker::NodeInfo::new(NodeId::random(), Incarnation::from_u64(u64::MAX)),
        );
        let json = serde_json::to_string(&info).unwrap();
        let read: SessionInfo = serde_json::from_str(&json).unwrap();
        assert_eq!(read, info);
        for other in ["\"ffffffff\"", "\"+fffffffffffffff\"", "1", "null", "\"\""] {
            let json = json.replace("\"ffffffffffffffff\"", other);
            assert!(
                serde_json::from_str::<SessionInfo>(&json).is_err(),
                "{json}"
            );
        }
    }
}
