//! The address of an identity.

use std::{cmp::Ordering, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::Identity;

/// Tenant and id of an identity: the address of `Gateway::send_to_identity` and of presence.
///
/// Cheap to clone: clones share the text.
///
/// ```
/// use realtime::IdentityKey;
///
/// let ada = IdentityKey::new("ada");
/// assert_eq!((ada.tenant(), ada.id()), ("", "ada"));
///
/// let at_acme = IdentityKey::new("ada").with_tenant("acme");
/// assert_eq!((at_acme.tenant(), at_acme.id()), ("acme", "ada"));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Parts", into = "Parts")]
pub struct IdentityKey {
    /// The tenant, and the id behind it, in one piece: every session's identity is kept in several
    /// places.
    text: Arc<str>,
    tenant_len: usize,
}

/// One behind the other; without a second allocation where they are short.
fn joined(tenant: &str, id: &str) -> Arc<str> {
    const SHORT: usize = 64;
    let whole = tenant.len() + id.len();
    if tenant.is_empty() {
        return id.into();
    }
    if whole > SHORT {
        return [tenant, id].concat().into();
    }
    let mut place = [0; SHORT];
    place[..tenant.len()].copy_from_slice(tenant.as_bytes());
    place[tenant.len()..whole].copy_from_slice(id.as_bytes());
    match str::from_utf8(&place[..whole]) {
        Ok(text) => text.into(),
        Err(_) => [tenant, id].concat().into(),
    }
}

/// How it is written.
#[derive(Serialize, Deserialize)]
struct Parts {
    #[serde(default)]
    tenant_id: String,
    id: String,
}

impl IdentityKey {
    /// How many bytes tenant and id may have together: 1,024. A gateway admits no longer one, so
    /// that nobody makes each session, each record and each message as large as they like.
    pub const MAX_BYTES: usize = 1024;

    /// The key of the identity with this id, in the empty tenant.
    #[must_use]
    pub fn new(id: impl AsRef<str>) -> Self {
        Self::from_parts("", id.as_ref())
    }

    /// Sets the tenant.
    #[must_use]
    pub fn with_tenant(self, tenant: impl AsRef<str>) -> Self {
        Self::from_parts(tenant.as_ref(), self.id())
    }

    /// Both at once, in one allocation the fewer.
    pub(crate) fn from_parts(tenant: &str, id: &str) -> Self {
        Self {
            text: joined(tenant, id),
            tenant_len: tenant.len(),
        }
    }

    fn parts(&self) -> (&str, &str) {
        self.text
            .split_at_checked(self.tenant_len)
            .unwrap_or_default()
    }

    /// The tenant; empty where there is only one.
    #[must_use]
    pub fn tenant(&self) -> &str {
        self.parts().0
    }

    /// Whether it has more than [`MAX_BYTES`](Self::MAX_BYTES).
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        self.text.len() > Self::MAX_BYTES
    }

    /// The id within the tenant.
    #[must_use]
    pub fn id(&self) -> &str {
        self.parts().1
    }
}

impl Ord for IdentityKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl PartialOrd for IdentityKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityKey")
            .field("tenant", &self.tenant())
            .field("id", &self.id())
            .finish()
    }
}

impl From<&Identity> for IdentityKey {
    fn from(identity: &Identity) -> Self {
        identity.key().clone()
    }
}

impl From<Parts> for IdentityKey {
    fn from(parts: Parts) -> Self {
        Self::from_parts(&parts.tenant_id, &parts.id)
    }
}

impl From<IdentityKey> for Parts {
    fn from(key: IdentityKey) -> Self {
        Self {
            tenant_id: key.tenant().to_owned(),
            id: key.id().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenant_and_id_are_kept_apart_and_order_keys() {
        let one = IdentityKey::new("c").with_tenant("ab");
        let other = IdentityKey::new("bc").with_tenant("a");
        assert_ne!(one, other);
        assert!(other < one && IdentityKey::new("").with_tenant("b") > one);
        assert_eq!(one, IdentityKey::new("c").with_tenant("ab"));
        let shown = format!("{one:?}");
        assert_eq!(shown, r#"IdentityKey { tenant: "ab", id: "c" }"#);
    }

    #[test]
    fn it_is_written_with_the_names_of_old() {
        let key = IdentityKey::new("ada").with_tenant("acme");
        let json = serde_json::to_string(&key).unwrap();
        assert_eq!(json, r#"{"tenant_id":"acme","id":"ada"}"#);
        assert_eq!(serde_json::from_str::<IdentityKey>(&json).unwrap(), key);
        let bare: IdentityKey = serde_json::from_str(r#"{"id":"ada"}"#).unwrap();
        assert_eq!(bare, IdentityKey::new("ada"));
    }
}
