//! What changes of an identity whose sessions stay.

use std::{fmt, time::SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Identity;
use crate::timestamp;

/// What changes of an identity while its sessions stay open: its roles, some of its claims, when it
/// ends. Tenant and id never do.
///
/// It holds until the client shows a token that was issued later, which says anew who it is.
///
/// ```
/// use realtime::{Identity, IdentityUpdate};
///
/// let ada = Identity::new("ada").with_role("reader").with_claim("plan", "free");
/// let promoted = IdentityUpdate::new().with_roles(["reader", "writer"]).with_claim("plan", "paid");
/// let ada = promoted.apply(&ada);
/// assert!(ada.has_role("writer") && ada.claims()["plan"] == "paid");
/// ```
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "an update changes nothing before it is applied"]
pub struct IdentityUpdate {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    roles: Option<Vec<String>>,
    /// One that is null is removed.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    claims: Map<String, Value>,
    #[serde(default, with = "timestamp::option")]
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<SystemTime>,
}

impl IdentityUpdate {
    /// How many bytes it may have, written as JSON: 16 KiB. Each session keeps what was changed of
    /// it, so a larger one is refused.
    pub const MAX_BYTES: usize = 16 << 10;

    /// One that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the roles, in place of all that there were.
    pub fn with_roles<R: Into<String>>(mut self, roles: impl IntoIterator<Item = R>) -> Self {
        self.roles = Some(roles.into_iter().map(Into::into).collect());
        self
    }

    /// Sets a claim. Where the value is null, the claim is removed.
    pub fn with_claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.claims.insert(name.into(), value.into());
        self
    }

    /// Sets when the identity ends.
    pub fn with_expires_at(mut self, at: SystemTime) -> Self {
        self.expires_at = Some(at);
        self
    }

    /// This one, and then another.
    pub fn then(mut self, other: &Self) -> Self {
        if other.roles.is_some() {
            self.roles.clone_from(&other.roles);
        }
        for (name, value) in &other.claims {
            self.claims.insert(name.clone(), value.clone());
        }
        self.expires_at = other.expires_at.or(self.expires_at);
        self
    }

    /// Whether it has more than [`MAX_BYTES`](Self::MAX_BYTES).
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        serde_json::to_vec(self).is_ok_and(|written| written.len() > Self::MAX_BYTES)
    }

    /// The identity that it becomes.
    #[must_use]
    pub fn apply(&self, identity: &Identity) -> Identity {
        let mut changed = (*identity.0).clone();
        if let Some(roles) = &self.roles {
            changed.roles.clone_from(roles);
        }
        for (name, value) in &self.claims {
            match value {
                Value::Null => drop(changed.claims.remove(name)),
                value => drop(changed.claims.insert(name.clone(), value.clone())),
            }
        }
        if let Some(at) = self.expires_at {
            changed.shown().expires_at = Some(at);
        }
        Identity(changed.into())
    }
}

/// Claims may hold personal data or tokens, so only their number is shown.
impl fmt::Debug for IdentityUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityUpdate")
            .field("roles", &self.roles)
            .field("claims", &format_args!("({} of them)", self.claims.len()))
            .field("expires_at", &self.expires_at)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_it_does_not_name_stays() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        let ada = Identity::new("ada").with_tenant("acme").with_role("admin");
        let ada = ada.with_claim("plan", 7).with_claim("team", "a");
        let ada = ada.with_token_id("1").with_expires_at(at);
        assert_eq!(IdentityUpdate::new().apply(&ada), ada);
        let update = IdentityUpdate::new().with_claim("plan", Value::Null);
        let json = serde_json::to_string(&update).unwrap();
        assert_eq!(json, r#"{"claims":{"plan":null}}"#);
        let read: IdentityUpdate = serde_json::from_str(&json).unwrap();
        let changed = read.apply(&ada);
        assert_eq!(changed.claims().len(), 1);
        assert!(changed.has_role("admin") && changed.key() == ada.key());
        assert_eq!(changed.expires_at(), Some(at));
        let secret = update.then(&IdentityUpdate::new().with_claim("token", "s3cret"));
        let shown = format!("{secret:?}");
        assert!(
            !shown.contains("s3cret") && !shown.contains("plan"),
            "{shown}"
        );
        assert_eq!(secret.apply(&ada).claims()["token"], "s3cret");
        assert!(!secret.is_too_large());
        let large = "x".repeat(IdentityUpdate::MAX_BYTES);
        assert!(secret.with_claim("large", large).is_too_large());
        let nobody = IdentityUpdate::new().with_roles::<String>([]).apply(&ada);
        assert!(nobody.roles().is_empty() && ada.has_role("admin"));
    }
}
