//! Whose credentials these are, asked with a bound.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::request::Parts;
use realtime_core::{
    BoxError, Identity, IdentityKey,
    auth::{AnyAuthenticator, AuthError, AuthErrorKind, Authenticator, Token},
};

use super::Refusal;
use crate::guarded::{Broken, Whose, caught, guarded};

/// The authenticator, which may take so long. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Authentication(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    authenticator: AnyAuthenticator,
    timeout: Option<Duration>,
    /// How long ago an identity may have ended.
    grace: Duration,
}

/// A refusal because of who asked, and why.
#[derive(Debug)]
pub(crate) struct Unauthenticated {
    pub(crate) refusal: Refusal,
    pub(crate) error: BoxError,
}

impl Authentication {
    pub(crate) fn new(
        authenticator: AnyAuthenticator,
        timeout: Option<Duration>,
        grace: Duration,
    ) -> Self {
        Self(Arc::new(Inner {
            authenticator,
            timeout,
            grace,
        }))
    }

    /// Whether a request shows nothing of who has sent it, in none of the places where that is looked
    /// for.
    pub(crate) fn finds_nothing_in(&self, request: &Parts) -> bool {
        // Where that can't be said, the authenticator says what is wrong.
        let finds_nothing = || {
            let credentials = self.0.authenticator.credentials();
            credentials.is_some_and(|credentials| credentials.finds_nothing_in(request))
        };
        caught(Whose::Authenticator, finds_nothing).unwrap_or_default()
    }

    /// The tokens that a request may mean, where those are several and it can be asked about each by
    /// itself.
    pub(crate) fn alternatives_in(&self, request: &Parts) -> Vec<Token> {
        let accepts = || self.0.authenticator.accepts_tokens();
        if !caught(Whose::Authenticator, accepts).unwrap_or_default() {
            return Vec::new();
        }
        let found = self.candidates_in(request).unwrap_or_default();
        if found.len() > 1 { found } else { Vec::new() }
    }

    fn candidates_in(&self, request: &Parts) -> Option<Vec<Token>> {
        let candidates = || {
            let credentials = self.0.authenticator.credentials()?;
            credentials.candidates(request).ok()
        };
        caught(Whose::Authenticator, candidates).unwrap_or_default()
    }

    /// Who has sent this request?
    pub(crate) async fn of_request(&self, request: &Parts) -> Result<Identity, Unauthenticated> {
        let asked = async { self.0.authenticator.authenticate(request).await };
        self.asked(self.0.timeout, asked).await
    }

    /// Who has this token? The answer may take so long.
    pub(crate) async fn of_token(
        &self,
        token: Token,
        limit: Option<Duration>,
    ) -> Result<Identity, Unauthenticated> {
        let asked = async { self.0.authenticator.authenticate_token(token).await };
        self.asked(limit, asked).await
    }

    async fn asked(
        &self,
        limit: Option<Duration>,
        asked: impl Future<Output = Result<Identity, AuthError>>,
    ) -> Result<Identity, Unauthenticated> {
        let (refusal, error) = match guarded(Whose::Authenticator, limit, asked).await {
            Ok(Ok(identity)) => {
                let fits = check(identity)?;
                match fits.expires_at() {
                    Some(at) if has_ended(at, self.0.grace) => {
                        let error = "what was shown has ended".into();
                        (Refusal::Expired, error)
                    }
                    _ => return Ok(fits),
                }
            }
            Ok(Err(error)) => match error.kind() {
                AuthErrorKind::Expired => (Refusal::Expired, error.into()),
                AuthErrorKind::Unauthorized => (Refusal::Unauthorized, error.into()),
                AuthErrorKind::Unavailable => (Refusal::AuthUnavailable, error.into()),
                _ => (Refusal::AuthBroken, error.into()),
            },
            Err(broken @ Broken::Panicked(..)) => (Refusal::AuthBroken, broken.into()),
            Err(broken @ Broken::TookTooLong(..)) => (Refusal::AuthUnavailable, broken.into()),
        };
        Err(Unauthenticated { refusal, error })
    }
}

/// Whether it was so long ago.
fn has_ended(at: SystemTime, grace: Duration) -> bool {
    SystemTime::now()
        .duration_since(at)
        .is_ok_and(|since| since > grace)
}

/// An identity that every backend can hold.
pub(crate) fn check(identity: Identity) -> Result<Identity, Unauthenticated> {
    if !identity.key().is_too_long() {
        return Ok(identity);
    }
    let limit = IdentityKey::MAX_BYTES;
    let error = format!("expected an identity of at most {limit} bytes; got a longer one");
    Err(Unauthenticated {
        refusal: Refusal::Unauthorized,
        error: error.into(),
    })
}
