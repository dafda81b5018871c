//! The authenticator: from a token to an identity.

use std::{fmt, sync::Arc, time::SystemTime};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::request::Parts;
use realtime_core::{
    Identity,
    auth::{AuthError, Authenticator, Credentials, Token},
};

use crate::{
    JwtBuilder, Keys,
    claims::Rules,
    header::Header,
    json,
    jwks::Remote,
    keys::{KeySet, Verdict},
};

/// Accepts those who show a JWT that somebody has signed whom you trust.
///
/// Cheap to clone: clones share the keys. Keys that come from a URL are fetched with the first token
/// that needs them, or before that by [`fetch_keys`](Self::fetch_keys).
///
/// ```
/// use realtime::auth::jwt::{Jwt, Key};
///
/// let secret = "a secret that has 32 bytes, or more";
/// let jwt = Jwt::builder(Key::hmac(secret)?)
///     .issuer("https://login.example.com")
///     .audience("chat")
///     .roles_claim("roles")
///     .build()?;
/// let gateway = realtime::builder().authenticator(jwt).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Jwt(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) credentials: Credentials,
    pub(crate) rules: Rules,
    pub(crate) source: Source,
    /// The values of `typ` that are accepted, in lower case.
    pub(crate) types: Vec<String>,
}

/// Where the keys are.
pub(crate) enum Source {
    Fixed(KeySet),
    Issuer(Remote),
}

impl Jwt {
    /// Begins to describe which tokens are accepted, with what they are signed with: a [`Key`], some
    /// of them, or the [`Jwks`](crate::Jwks) of an issuer.
    ///
    /// [`Key`]: crate::Key
    pub fn builder(keys: impl Into<Keys>) -> JwtBuilder {
        JwtBuilder::new(keys.into())
    }

    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// Fetches the issuer's keys where they aren't here yet, so that the first client doesn't wait
    /// for them, and a wrong URL is noticed before there is one. Without an issuer it does nothing.
    ///
    /// It belongs into a runtime of tokio, with I/O and time.
    ///
    /// ```no_run
    /// use realtime::auth::jwt::{Jwks, Jwt};
    ///
    /// # async fn example() -> Result<(), realtime::auth::AuthError> {
    /// let keys = Jwks::from_url("https://login.example.com/.well-known/jwks.json")?;
    /// let jwt = Jwt::builder(keys).issuer("https://login.example.com").audience("chat").build()?;
    /// jwt.fetch_keys().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Where the future is dropped, the keys are fetched all the same.
    ///
    /// # Errors
    /// Kind [`Unavailable`](realtime_core::auth::AuthErrorKind::Unavailable).
    pub async fn fetch_keys(&self) -> Result<(), AuthError> {
        match &self.0.source {
            Source::Fixed(_) => Ok(()),
            Source::Issuer(remote) => remote.fetch().await,
        }
    }

    /// What the token says, in bytes, if it is signed as it has to be.
    async fn verified(&self, token: &str) -> Result<Vec<u8>, AuthError> {
        let [header, payload, signature] = parts(token)?;
        let message = token.get(..header.len() + 1 + payload.len());
        let message = message.unwrap_or_default().as_bytes();
        let header = Header::parse(&decoded(header)?, &self.0.types)?;
        let (payload, signature) = (decoded(payload)?, decoded(signature)?);
        let judge = |keys: &KeySet| keys.judge(&header, message, &signature);
        let verdict = match &self.0.source {
            Source::Fixed(keys) => judge(keys),
            Source::Issuer(remote) => remote.judge(judge).await?,
        };
        match verdict {
            Verdict::Valid => Ok(payload),
            Verdict::Forged(why) => Err(AuthError::unauthorized(why)),
            Verdict::Unknown => Err(AuthError::unauthorized(
                "expected a JWT that is signed with a key of the issuer's",
            )),
        }
    }
}

impl Authenticator for Jwt {
    async fn authenticate(&self, request: &Parts) -> Result<Identity, AuthError> {
        let check = |token| self.authenticate_token(token);
        self.0.credentials.try_each(request, check).await
    }

    async fn authenticate_token(&self, token: Token) -> Result<Identity, AuthError> {
        let payload = self.verified(token.expose()).await?;
        let claims = json::object(&payload).map_err(|_| {
            AuthError::unauthorized(
                "expected a JWT whose claims are an object in JSON, without a name twice",
            )
        })?;
        self.0.rules.identity(&claims, SystemTime::now())
    }

    fn accepts_tokens(&self) -> bool {
        true
    }

    fn credentials(&self) -> Option<&Credentials> {
        Some(&self.0.credentials)
    }
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Jwt");
        match &self.0.source {
            Source::Fixed(keys) => shown.field("keys", keys),
            Source::Issuer(remote) => shown.field("keys", remote),
        };
        shown.field("rules", &self.0.rules).finish_non_exhaustive()
    }
}

/// Header, claims and signature.
fn parts(token: &str) -> Result<[&str; 3], AuthError> {
    let mut parts = token.split('.');
    let three = (parts.next(), parts.next(), parts.next());
    match (three, parts.next()) {
        ((Some(header), Some(payload), Some(signature)), None) => Ok([header, payload, signature]),
        _ => Err(AuthError::unauthorized(
            "expected a signed JWT: three parts with dots between them",
        )),
    }
}

/// base64url in its one form, without padding.
fn decoded(part: &str) -> Result<Vec<u8>, AuthError> {
    let bytes = URL_SAFE_NO_PAD.decode(part);
    bytes.map_err(|_| AuthError::unauthorized("expected a JWT whose parts are base64url"))
}
