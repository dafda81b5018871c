//! What a token says, once it is known who has signed it: whether it is meant for us and holds now,
//! and whose it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use realtime_core::{Identity, IdentityKey, auth::AuthError};
use serde_json::{Map, Value};

/// The last moment that a date in a token may be: the end of the year 9999.
const LAST: u64 = 253_402_300_799;
/// How long a token's id may be, in bytes: no store of revocations takes any length.
const LONGEST_TOKEN_ID: usize = 1_024;

/// What is expected of claims, and what is made of them.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// Those of which one has to be the issuer; any where there are none.
    pub(crate) issuers: Vec<String>,
    /// For whom tokens are; any where it is `None`.
    pub(crate) audience: Option<Vec<String>>,
    pub(crate) leeway: Duration,
    pub(crate) needs_expiry: bool,
    pub(crate) id: Claim,
    pub(crate) tenant: Option<Claim>,
    pub(crate) roles: Option<Claim>,
    pub(crate) kept: Vec<String>,
}

/// Where in the claims something stands: a name, or a JSON pointer, which begins with a `/`.
#[derive(Debug, Clone)]
pub(crate) struct Claim(pub(crate) String);

impl Claim {
    fn of<'c>(&self, claims: &'c Map<String, Value>) -> Option<&'c Value> {
        let Some(path) = self.0.strip_prefix('/') else {
            return claims.get(&self.0);
        };
        let (first, rest) = match path.split_once('/') {
            Some((first, _)) => (first, path.get(first.len()..).unwrap_or_default()),
            None => (path, ""),
        };
        let first = first.replace("~1", "/").replace("~0", "~");
        claims.get(&first)?.pointer(rest)
    }
}

impl Rules {
    /// Whose token it is. What the time is comes last: that it has ended means that everything else
    /// was right.
    pub(crate) fn identity(
        &self,
        claims: &Map<String, Value>,
        now: SystemTime,
    ) -> Result<Identity, AuthError> {
        self.is_for_us(claims)?;
        let issued = date(claims, "iat")?;
        let begin = date(claims, "nbf")?;
        let end = match date(claims, "exp")? {
            // For as long as it is accepted: what is revoked must not be forgotten earlier.
            Some(end) => end.checked_add(self.leeway),
            None if self.needs_expiry => {
                return Err(AuthError::unauthorized(
                    "expected a JWT that ends (`exp`); got one that doesn't",
                ));
            }
            None => None,
        };
        let identity = self.whose(claims)?;
        let soon = now.checked_add(self.leeway).unwrap_or(now);
        if issued.is_some_and(|issued| issued > soon) {
            // No issuer does this: of two clocks one is wrong, and which nobody can say here.
            return Err(AuthError::unavailable(
                "expected a JWT that was issued in the past (`iat`); do the clocks agree?",
            ));
        }
        if begin.is_some_and(|begin| begin > soon) {
            return Err(AuthError::unauthorized(
                "expected a JWT that holds already (`nbf`); got one that will",
            ));
        }
        if end.is_some_and(|end| end <= now) {
            return Err(AuthError::expired("the JWT has ended"));
        }
        Ok(with(
            with(identity, end, Identity::with_expires_at),
            issued,
            Identity::with_issued_at,
        ))
    }

    fn is_for_us(&self, claims: &Map<String, Value>) -> Result<(), AuthError> {
        if !self.issuers.is_empty() {
            let issuer = text(claims.get("iss"));
            if !issuer.is_some_and(|issuer| self.issuers.iter().any(|i| i == issuer)) {
                return Err(AuthError::unauthorized(
                    "expected a JWT of another issuer (`iss`)",
                ));
            }
        }
        let Some(ours) = &self.audience else {
            return Ok(());
        };
        let is_ours = |name: &Value| text(Some(name)).is_some_and(|n| ours.iter().any(|o| o == n));
        let for_us = match claims.get("aud") {
            Some(Value::Array(names)) => {
                names.iter().all(Value::is_string) && names.iter().any(is_ours)
            }
            Some(name) => is_ours(name),
            None => false,
        };
        if !for_us {
            return Err(AuthError::unauthorized(
                "expected a JWT for another audience (`aud`)",
            ));
        }
        Ok(())
    }

    fn whose(&self, claims: &Map<String, Value>) -> Result<Identity, AuthError> {
        let named = |claim: &Claim| text(claim.of(claims)).filter(|name| !name.is_empty());
        let id = named(&self.id);
        let mut identity = Identity::new(id.ok_or_else(|| {
            AuthError::unauthorized("expected a JWT with a text for whose it is: see `id_claim`")
        })?);
        if let Some(claim) = &self.tenant {
            // Without it, one of any tenant would be in the empty one.
            let tenant = named(claim).ok_or_else(|| {
                AuthError::unauthorized("expected a JWT with a text for its tenant")
            })?;
            identity = identity.with_tenant(tenant);
        }
        if identity.key().is_too_long() {
            let got = format!(
                "expected a JWT whose tenant and id together have at most {} bytes",
                IdentityKey::MAX_BYTES
            );
            return Err(AuthError::unauthorized(got));
        }
        if let Some(roles) = self.roles.as_ref().and_then(|claim| claim.of(claims)) {
            for role in all_of(roles)? {
                identity = identity.with_role(role);
            }
        }
        for name in &self.kept {
            if let Some(value) = claims.get(name) {
                identity = identity.with_claim(name.clone(), value.clone());
            }
        }
        match claims.get("jti") {
            None => Ok(identity),
            Some(Value::String(id)) if (1..=LONGEST_TOKEN_ID).contains(&id.len()) => {
                Ok(identity.with_token_id(id.clone()))
            }
            Some(_) => Err(AuthError::unauthorized(
                "expected a JWT whose `jti` is a text of 1 to 1,024 bytes",
            )),
        }
    }
}

fn with<T>(identity: Identity, value: Option<T>, set: fn(Identity, T) -> Identity) -> Identity {
    match value {
        Some(value) => set(identity, value),
        None => identity,
    }
}

fn text(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_str)
}

/// Roles: a list of texts, or one text with spaces between them.
fn all_of(roles: &Value) -> Result<Vec<&str>, AuthError> {
    let roles: Option<Vec<&str>> = match roles {
        Value::String(roles) => Some(roles.split_ascii_whitespace().collect()),
        Value::Array(roles) => roles.iter().map(Value::as_str).collect(),
        _ => None,
    };
    roles.ok_or_else(|| {
        AuthError::unauthorized(
            "expected a JWT whose roles are a list of texts, or a text with spaces between them",
        )
    })
}

/// Seconds since 1970, with or without a fraction.
fn date(claims: &Map<String, Value>, name: &str) -> Result<Option<SystemTime>, AuthError> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let since = match (value.as_u64(), value.as_f64()) {
        (Some(seconds), _) => Some(Duration::from_secs(seconds)),
        (None, Some(seconds)) => Duration::try_from_secs_f64(seconds).ok(),
        (None, None) => None,
    };
    let since = since.filter(|since| since.as_secs() <= LAST);
    let at = since.and_then(|since| UNIX_EPOCH.checked_add(since));
    match at {
        Some(at) => Ok(Some(at)),
        None => Err(AuthError::unauthorized(
            "expected a JWT whose `exp`, `nbf` and `iat` are seconds since 1970, up to the year 9999",
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_is_a_name_or_a_pointer() {
        let claims = json!({
            "sub": "ada", "https://shop/x": 1, "a/b": {"c~d": [7, 8]}, "": {"e": 9}
        });
        let claims = claims.as_object().unwrap();
        let of = |claim: &str| Claim(claim.to_owned()).of(claims).cloned();
        assert_eq!(of("sub"), Some(json!("ada")));
        assert_eq!(of("/sub"), Some(json!("ada")));
        assert_eq!(of("https://shop/x"), Some(json!(1)));
        assert_eq!(of("/a~1b/c~0d/1"), Some(json!(8)));
        assert_eq!(of("//e"), Some(json!(9)));
        for nothing in ["/", "/a", "/a~1b/x", "/sub/x", "a/b/c~d", "x"] {
            let expected = (nothing == "/").then(|| json!({"e": 9}));
            assert_eq!(of(nothing), expected, "{nothing}");
        }
    }

    #[test]
    fn a_date_is_seconds_and_nothing_else() {
        let of = |value: Value| date(json!({ "exp": value }).as_object().unwrap(), "exp");
        assert_eq!(of(json!(0)).unwrap(), Some(UNIX_EPOCH));
        let half = UNIX_EPOCH + Duration::from_millis(1_500);
        assert_eq!(of(json!(1.5)).unwrap(), Some(half));
        for value in [
            json!("1"),
            json!(-1),
            json!(1e300),
            json!(u64::MAX),
            json!(LAST + 1),
            json!(null),
            json!([1]),
        ] {
            of(value).unwrap_err();
        }
        assert_eq!(date(&Map::new(), "exp").unwrap(), None);
    }
}
