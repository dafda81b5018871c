//! Who a session belongs to.

mod key;
mod update;

use std::{fmt, sync::Arc, time::SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use key::IdentityKey;
pub use update::IdentityUpdate;

/// An authenticated caller: id, tenant, roles and claims, and how long that holds.
///
/// The gateway doesn't assume that it is a user or a device. It is immutable once an
/// [`Authenticator`](crate::auth::Authenticator) has returned it, and clones share it. A session
/// whose identity [ends](Self::expires_at) gets a new one with the same tenant and id, or is closed.
///
/// ```
/// use realtime::Identity;
///
/// let ada = Identity::new("ada").with_tenant("acme").with_role("admin").with_claim("plan", 7);
/// assert_eq!(ada.id(), "ada");
/// assert!(ada.has_role("admin"));
/// assert_eq!(ada.claims()["plan"], 7);
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Identity(Arc<Inner>);

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
struct Inner {
    key: IdentityKey,
    roles: Vec<String>,
    claims: Map<String, Value>,
    /// Boxed, since each session has an identity, and many are of no token.
    shown: Option<Box<Shown>>,
}

/// What is known of the token that the caller has shown.
#[derive(Clone, Default, PartialEq, Eq)]
struct Shown {
    expires_at: Option<SystemTime>,
    issued: Option<Box<Issued>>,
}

/// What is asked when something was revoked.
#[derive(Clone, Default, PartialEq, Eq)]
struct Issued {
    at: Option<SystemTime>,
    token_id: Option<String>,
}

/// How it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(flatten)]
    key: IdentityKey,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    claims: Map<String, Value>,
    #[serde(default, with = "crate::timestamp::option")]
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<SystemTime>,
    #[serde(default, with = "crate::timestamp::option")]
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_at: Option<SystemTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_id: Option<String>,
}

impl From<Written> for Inner {
    fn from(written: Written) -> Self {
        let issued = Issued {
            at: written.issued_at,
            token_id: written.token_id,
        };
        let shown = Shown {
            expires_at: written.expires_at,
            issued: (issued != Issued::default()).then(|| Box::new(issued)),
        };
        Self {
            key: written.key,
            roles: written.roles,
            claims: written.claims,
            shown: (shown != Shown::default()).then(|| Box::new(shown)),
        }
    }
}

impl From<Inner> for Written {
    fn from(inner: Inner) -> Self {
        let shown = inner.shown.map_or_else(Shown::default, |shown| *shown);
        let issued = shown.issued.map_or_else(Issued::default, |issued| *issued);
        Self {
            key: inner.key,
            roles: inner.roles,
            claims: inner.claims,
            expires_at: shown.expires_at,
            issued_at: issued.at,
            token_id: issued.token_id,
        }
    }
}

impl Inner {
    fn shown(&mut self) -> &mut Shown {
        self.shown.get_or_insert_default()
    }

    fn issued(&mut self) -> &mut Issued {
        self.shown().issued.get_or_insert_default()
    }
}

impl Identity {
    /// An identity with this id, the empty tenant, no roles and no claims.
    ///
    /// With the tenant it may have [`IdentityKey::MAX_BYTES`]; a gateway refuses a longer one.
    #[must_use]
    pub fn new(id: impl AsRef<str>) -> Self {
        let key = IdentityKey::new(id);
        Self(Arc::new(Inner {
            key,
            roles: Vec::new(),
            claims: Map::new(),
            shown: None,
        }))
    }

    /// The identity that all unauthenticated sessions share: id `anonymous`, empty tenant.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::new("anonymous")
    }

    /// Sets the tenant.
    #[must_use]
    pub fn with_tenant(mut self, tenant: impl AsRef<str>) -> Self {
        let key = self.key().clone().with_tenant(tenant);
        Arc::make_mut(&mut self.0).key = key;
        self
    }

    /// Adds a role.
    #[must_use]
    pub fn with_role(mut self, role: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.0).roles.push(role.into());
        self
    }

    /// Adds a claim, in place of an earlier one of that name.
    #[must_use]
    pub fn with_claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        Arc::make_mut(&mut self.0)
            .claims
            .insert(name.into(), value.into());
        self
    }

    /// Sets when what the caller has shown ends. Its client is told some time before, shows a fresh
    /// token on the same connection, or is closed with
    /// [`CloseCode::EXPIRED`](crate::CloseCode::EXPIRED). Without it the identity holds for as long
    /// as its session.
    ///
    /// How long it has left is found out once, when the identity is shown or changed. A clock on the
    /// wall that jumps afterwards ends no session, nor lets one live longer.
    #[must_use]
    pub fn with_expires_at(mut self, at: SystemTime) -> Self {
        Arc::make_mut(&mut self.0).shown().expires_at = Some(at);
        self
    }

    /// Sets when what the caller has shown was issued: a revocation of everything that was issued
    /// before some time leaves what is younger. One without this time is taken for older.
    #[must_use]
    pub fn with_issued_at(mut self, at: SystemTime) -> Self {
        Arc::make_mut(&mut self.0).issued().at = Some(at);
        self
    }

    /// Sets the id of the token that the caller has shown, such as the `jti` of a JWT, by which it
    /// can be revoked.
    #[must_use]
    pub fn with_token_id(mut self, id: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.0).issued().token_id = Some(id.into());
        self
    }

    /// The id within the tenant.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.key.id()
    }

    /// The tenant; empty where there is only one.
    #[must_use]
    pub fn tenant(&self) -> &str {
        self.0.key.tenant()
    }

    /// Tenant and id together: what messages are sent to and presence is asked for.
    #[must_use]
    pub fn key(&self) -> &IdentityKey {
        &self.0.key
    }

    /// The roles, in the order in which they were added.
    #[must_use]
    pub fn roles(&self) -> &[String] {
        &self.0.roles
    }

    /// Whether the identity has this role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.0.roles.iter().any(|r| r == role)
    }

    /// Everything else that the authenticator said about the caller.
    #[must_use]
    pub fn claims(&self) -> &Map<String, Value> {
        &self.0.claims
    }

    /// When what the caller has shown ends; `None` where it doesn't.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.0.shown.as_ref()?.expires_at
    }

    /// When what the caller has shown was issued, where that is known.
    #[must_use]
    pub fn issued_at(&self) -> Option<SystemTime> {
        self.0.shown.as_ref()?.issued.as_ref()?.at
    }

    /// The id of the token that the caller has shown, where it has one.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        let issued = self.0.shown.as_ref()?.issued.as_ref()?;
        issued.token_id.as_deref()
    }
}

/// Claims may hold personal data or tokens, so only their number is shown.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("tenant", &self.tenant())
            .field("id", &self.id())
            .field("roles", &self.roles())
            .field("claims", &format_args!("({} of them)", self.claims().len()))
            .field("expires_at", &self.expires_at())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_is_shared_until_it_is_changed() {
        let ada = Identity::new("ada");
        let admin = ada.clone().with_role("admin");
        assert!(!ada.has_role("admin"));
        assert!(admin.has_role("admin"));
    }

    #[test]
    fn debug_shows_no_claim() {
        let shown = format!("{:?}", Identity::new("ada").with_claim("token", "s3cret"));
        assert!(
            !shown.contains("s3cret") && !shown.contains("token"),
            "{shown}"
        );
    }

    #[test]
    fn the_original_field_names_are_kept_in_json() {
        let json = r#"{"tenant_id":"acme","id":"ada","roles":["admin"],"claims":{"plan":7}}"#;
        let ada: Identity = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&ada).unwrap(), json);
        let at = SystemTime::UNIX_EPOCH;
        let shown = ada.clone().with_token_id("7").with_expires_at(at);
        let written = serde_json::to_string(&shown.clone().with_issued_at(at)).unwrap();
        assert!(written.contains(r#""token_id":"7""#), "{written}");
        let read: Identity = serde_json::from_str(&written).unwrap();
        assert_eq!(read, shown.with_issued_at(at));
        assert_ne!(read, ada);
    }
}
