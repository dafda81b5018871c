//! Which tokens are accepted, and what is made of them.

use std::{borrow::Cow, fmt, time::Duration};

use realtime_core::auth::{AuthError, AuthErrorKind, Credentials};

use crate::{
    Algorithm, Jwks, Jwt, Key,
    algorithm::Family,
    claims::{Claim, Rules},
    header::short,
    jwks::Remote,
    jwt::{Inner, Source},
    keys::KeySet,
};

const DEFAULT_LEEWAY: Duration = Duration::from_secs(30);
/// Beyond that it is no difference of clocks any more.
const LONGEST_LEEWAY: Duration = Duration::from_secs(600);
/// What a program would name by hand, and more.
const MOST_NAMES: usize = 64;

/// What tokens are signed with.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Keys {
    /// With one of these.
    Fixed(Vec<Key>),
    /// With one that an issuer publishes.
    Issuer(Jwks),
}

impl From<Key> for Keys {
    fn from(key: Key) -> Self {
        Self::Fixed(vec![key])
    }
}

impl From<Vec<Key>> for Keys {
    fn from(keys: Vec<Key>) -> Self {
        Self::Fixed(keys)
    }
}

impl<const N: usize> From<[Key; N]> for Keys {
    fn from(keys: [Key; N]) -> Self {
        Self::Fixed(keys.into())
    }
}

impl From<Jwks> for Keys {
    fn from(jwks: Jwks) -> Self {
        Self::Issuer(jwks)
    }
}

/// A [`Jwt`] in the making: see [`Jwt::builder`].
///
/// A claim is meant by its name, such as `sub` or `https://example.com/roles`, or by a JSON pointer,
/// which begins with a `/`, such as `/realm_access/roles`.
#[derive(Clone)]
#[must_use]
pub struct JwtBuilder {
    keys: Keys,
    algorithms: Option<Vec<Algorithm>>,
    any_issuer: bool,
    any_audience: bool,
    audience: Vec<String>,
    types: Vec<String>,
    rules: Rules,
    credentials: Credentials,
}

impl JwtBuilder {
    pub(crate) fn new(keys: Keys) -> Self {
        Self {
            keys,
            algorithms: None,
            any_issuer: false,
            any_audience: false,
            audience: Vec::new(),
            types: vec!["jwt".to_owned(), "at+jwt".to_owned()],
            rules: Rules {
                issuers: Vec::new(),
                audience: None,
                leeway: DEFAULT_LEEWAY,
                needs_expiry: true,
                id: Claim("sub".to_owned()),
                tenant: None,
                roles: None,
                kept: Vec::new(),
            },
            credentials: Credentials::bearer(),
        }
    }

    /// Accepts only these algorithms, of those that the keys can verify; by default all of them. The
    /// allow-list is for what an issuer has stopped using, or never did.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = Some(algorithms.into_iter().collect());
        self
    }

    /// Accepts tokens of this issuer (`iss`). Called again, of that one as well. With
    /// [`Jwks`], either this or [`any_issuer`](Self::any_issuer) has to be called. With other keys,
    /// whoever has one may be called anything by default: name the issuer where its key signs for
    /// others, too.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.rules.issuers.push(issuer.into());
        self
    }

    /// Accepts tokens of any issuer whose key is here, and of one without a name: only where the keys
    /// sign for one issuer alone. Providers may publish the same keys for many of their realms or
    /// customers, and any of these could come in.
    pub fn any_issuer(mut self) -> Self {
        self.any_issuer = true;
        self
    }

    /// Accepts tokens for this audience (`aud`), which names this service. Called again, for that one
    /// as well. Either this or [`any_audience`](Self::any_audience) has to be called.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience.push(audience.into());
        self
    }

    /// Accepts tokens for anybody, and for nobody in particular: only where the issuer's tokens are
    /// for this service alone. Otherwise who gets a token for another service of that issuer can
    /// come in with it.
    pub fn any_audience(mut self) -> Self {
        self.any_audience = true;
        self
    }

    /// By how much the clocks of the issuer and of this machine may differ: 30 s, at most 10
    /// minutes. A token holds from that much before its `nbf` until that much after its `exp`, which
    /// is what [`Identity::expires_at`](realtime_core::Identity::expires_at) says, too. One that was
    /// issued (`iat`) later than that from now on can't be judged: then one of the clocks is wrong.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.rules.leeway = leeway;
        self
    }

    /// Accepts tokens that have no `exp`, too: they hold for ever, or until they are revoked.
    pub fn without_expiry(mut self) -> Self {
        self.rules.needs_expiry = false;
        self
    }

    /// Which types (`typ`) are accepted: by default `JWT` and `at+jwt`. One without a type always is.
    /// They are compared without regard to case, and without `application/`. There has to be one at
    /// least, and none has a space.
    pub fn types<T: AsRef<str>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.types = types.into_iter().map(|typ| short(typ.as_ref())).collect();
        self
    }

    /// Which claim is the identity's id: `sub` by default. It has to be there, as a text.
    pub fn id_claim(mut self, claim: impl Into<String>) -> Self {
        self.rules.id = Claim(claim.into());
        self
    }

    /// Which claim is the identity's tenant; by default all are in the empty one. It has to be there,
    /// as a text.
    pub fn tenant_claim(mut self, claim: impl Into<String>) -> Self {
        self.rules.tenant = Some(Claim(claim.into()));
        self
    }

    /// Which claim has the roles, as a list of texts, or as one text with spaces between them, such
    /// as `scope`. It may be missing.
    pub fn roles_claim(mut self, claim: impl Into<String>) -> Self {
        self.rules.roles = Some(Claim(claim.into()));
        self
    }

    /// Which claims become claims of the identity, each under its name: none by default. A session
    /// keeps them for as long as it lives. At most 64; a name that begins with a `/` is a name here.
    pub fn keep_claims<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.rules.kept = names.into_iter().map(Into::into).collect();
        self
    }

    /// See [`Credentials::from_query`].
    pub fn from_query(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.credentials = self.credentials.from_query(name);
        self
    }

    /// See [`Credentials::from_cookie`].
    pub fn from_cookie(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.credentials = self.credentials.from_cookie(name);
        self
    }

    /// See [`Credentials::from_subprotocol`].
    pub fn from_subprotocol(mut self, prefix: impl Into<Cow<'static, str>>) -> Self {
        self.credentials = self.credentials.from_subprotocol(prefix);
        self
    }

    /// See [`Credentials::from_base64url_subprotocol`]. A JWT fits into a subprotocol as it is: this
    /// is for clients that encode it all the same.
    pub fn from_base64url_subprotocol(mut self, prefix: impl Into<Cow<'static, str>>) -> Self {
        self.credentials = self.credentials.from_base64url_subprotocol(prefix);
        self
    }

    /// See [`Credentials::without_header`].
    pub fn without_header(mut self) -> Self {
        self.credentials = self.credentials.without_header();
        self
    }

    /// The authenticator. Keys that are to be fetched are not fetched yet.
    ///
    /// # Errors
    /// Kind [`InvalidOption`](AuthErrorKind::InvalidOption) for what can never work, or would be
    /// ignored: no audience, no issuer with [`Jwks`], an algorithm that no key has, a key that has none of the algorithms,
    /// several keys without names of their own.
    pub fn build(mut self) -> Result<Jwt, AuthError> {
        self.credentials.validate()?;
        self.check_names()?;
        self.check_issuer()?;
        self.rules.audience = match (self.any_audience, self.audience.is_empty()) {
            (true, true) => None,
            (false, false) => Some(self.audience),
            (false, true) => {
                return Err(invalid(
                    "expected an `audience`, or `any_audience` where the issuer has no other; got \
                     neither",
                ));
            }
            (true, false) => {
                return Err(invalid(
                    "expected an `audience` or `any_audience`; got both, of which one would be \
                     ignored",
                ));
            }
        };
        if self.rules.leeway > LONGEST_LEEWAY {
            let (most, got) = (LONGEST_LEEWAY, self.rules.leeway);
            return Err(invalid(format!(
                "expected a leeway of at most {most:?}; got {got:?}"
            )));
        }
        if self.algorithms.as_ref().is_some_and(Vec::is_empty) {
            return Err(invalid("expected at least one algorithm; got none"));
        }
        if self.types.is_empty() {
            return Err(invalid("expected at least one type; got none"));
        }
        let is_graphic = |typ: &String| typ.bytes().all(|byte| byte.is_ascii_graphic());
        if !self.types.iter().all(is_graphic) {
            return Err(invalid(
                "expected types of visible ASCII, as media types are; got a space or another one",
            ));
        }
        let source = match self.keys {
            Keys::Fixed(keys) => Source::Fixed(fixed(keys, self.algorithms.as_deref())?),
            Keys::Issuer(jwks) => Source::Issuer(issuer(jwks, self.algorithms)?),
        };
        Ok(Jwt::new(Inner {
            credentials: self.credentials,
            rules: self.rules,
            source,
            types: self.types,
        }))
    }

    fn check_issuer(&self) -> Result<(), AuthError> {
        match (self.any_issuer, self.rules.issuers.is_empty(), &self.keys) {
            (false, true, Keys::Issuer(_)) => Err(invalid(
                "expected an `issuer`, or `any_issuer` where the published keys sign for no other; \
                 got neither",
            )),
            (true, false, _) => Err(invalid(
                "expected an `issuer` or `any_issuer`; got both, of which one would be ignored",
            )),
            _ => Ok(()),
        }
    }

    fn check_names(&self) -> Result<(), AuthError> {
        let Rules {
            issuers,
            id,
            tenant,
            roles,
            kept,
            ..
        } = &self.rules;
        let claims = [Some(id), tenant.as_ref(), roles.as_ref()];
        let claims = claims.into_iter().flatten().map(|claim| &claim.0);
        let lists = [issuers, &self.audience, &self.types, kept];
        if lists.iter().any(|list| list.len() > MOST_NAMES) {
            return Err(invalid(format!(
                "expected at most {MOST_NAMES} issuers, audiences, types and claims to keep; got more"
            )));
        }
        if claims
            .chain(lists.into_iter().flatten())
            .any(String::is_empty)
        {
            return Err(invalid(
                "expected issuers, audiences, types and claims that are not empty; got one that is",
            ));
        }
        Ok(())
    }
}

impl fmt::Debug for JwtBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtBuilder")
            .field("keys", &self.keys)
            .field("algorithms", &self.algorithms)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// Keys that are known from the beginning. Each listed algorithm has a key, and each key one of them.
fn fixed(keys: Vec<Key>, allowed: Option<&[Algorithm]>) -> Result<KeySet, AuthError> {
    if let Some(lost) = allowed.and_then(|allowed| {
        let has_a_key = |algorithm: &&Algorithm| keys.iter().any(|key| key.fits(**algorithm));
        allowed.iter().find(|algorithm| !has_a_key(algorithm))
    }) {
        let got = match lost.family() {
            Family::Hmac => "a secret of at least as many bits as the algorithm's name says",
            Family::Rsa => "an RSA key",
            Family::P256 => "a key on P-256",
            Family::P384 => "a key on P-384",
            Family::Ed => "an Ed25519 key",
        };
        return Err(invalid(format!("expected {got}, for {lost}; got none")));
    }
    let restricted = keys.into_iter().map(|key| match allowed {
        Some(allowed) => key.restricted(allowed),
        None => Some(key),
    });
    let keys: Option<Vec<Key>> = restricted.collect();
    let keys = keys.ok_or_else(|| {
        invalid("expected that each key has one of the algorithms; got one that has none")
    })?;
    if keys.is_empty() || keys.len() > MOST_NAMES {
        return Err(invalid(format!(
            "expected 1 to {MOST_NAMES} keys; got {}",
            keys.len()
        )));
    }
    let keys = KeySet::new(keys);
    if !keys.are_told_apart() {
        return Err(invalid(
            "expected a name for each of several keys, and no name twice: see `Key::with_kid`",
        ));
    }
    Ok(keys)
}

fn issuer(jwks: Jwks, allowed: Option<Vec<Algorithm>>) -> Result<Remote, AuthError> {
    let allowed = allowed.unwrap_or_else(|| Algorithm::PUBLIC.to_vec());
    if let Some(secret) = allowed.iter().find(|a| a.family() == Family::Hmac) {
        return Err(invalid(format!(
            "expected algorithms with public keys, since the keys are published; got {secret}"
        )));
    }
    Remote::new(jwks, allowed)
}

fn invalid(expected: impl Into<Cow<'static, str>>) -> AuthError {
    AuthError::new(AuthErrorKind::InvalidOption, expected)
}
