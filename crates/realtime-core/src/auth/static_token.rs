//! One token for everybody who knows it.

use std::borrow::Cow;

use http::request::Parts;
use subtle::ConstantTimeEq;

use super::{AuthError, AuthErrorKind, Authenticator, Credentials, credentials::digest};
use crate::Identity;

/// Accepts one fixed token, for one fixed identity.
///
/// The token is compared in constant time, its length included, and only its digest is kept. It
/// is looked for in the header `Authorization: Bearer …`, and where it is switched on.
///
/// ```
/// use realtime::{Identity, auth::StaticToken};
///
/// let authenticator = StaticToken::new("s3cret", Identity::new("worker"))?.from_query("token");
/// # Ok::<(), realtime::auth::AuthError>(())
/// ```
#[derive(Clone)]
pub struct StaticToken {
    digest: [u8; 32],
    identity: Identity,
    credentials: Credentials,
}

impl StaticToken {
    /// Accepts this token.
    ///
    /// # Errors
    /// Kind [`InvalidOption`](AuthErrorKind::InvalidOption) for an empty token.
    pub fn new(token: impl AsRef<str>, identity: Identity) -> Result<Self, AuthError> {
        let token = token.as_ref();
        if token.is_empty() {
            let expected = "expected a token that is not empty; got an empty one";
            return Err(AuthError::new(AuthErrorKind::InvalidOption, expected));
        }
        Ok(Self {
            digest: digest(token),
            identity,
            credentials: Credentials::bearer(),
        })
    }

    /// See [`Credentials::from_query`].
    #[must_use]
    pub fn from_query(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.credentials = self.credentials.from_query(name);
        self
    }

    /// See [`Credentials::from_cookie`].
    #[must_use]
    pub fn from_cookie(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.credentials = self.credentials.from_cookie(name);
        self
    }

    /// See [`Credentials::from_subprotocol`].
    #[must_use]
    pub fn from_subprotocol(mut self, prefix: impl Into<Cow<'static, str>>) -> Self {
        self.credentials = self.credentials.from_subprotocol(prefix);
        self
    }

    /// See [`Credentials::without_header`].
    #[must_use]
    pub fn without_header(mut self) -> Self {
        self.credentials = self.credentials.without_header();
        self
    }
}

impl Authenticator for StaticToken {
    async fn authenticate(&self, request: &Parts) -> Result<Identity, AuthError> {
        let token = self.credentials.require(request)?;
        if digest(token.expose()).ct_eq(&self.digest).into() {
            Ok(self.identity.clone())
        } else {
            Err(AuthError::unauthorized("the token is not the expected one"))
        }
    }

    fn credentials(&self) -> Option<&Credentials> {
        Some(&self.credentials)
    }
}

impl std::fmt::Debug for StaticToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StaticToken")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[tokio::test]
    async fn only_the_very_token_is_accepted() {
        let authenticator = StaticToken::new("s3cret", Identity::new("worker")).unwrap();
        for (token, accepted) in [
            ("s3cret", true),
            ("S3cret", false),
            ("s3cre", false),
            ("s3crets", false),
            ("", false),
        ] {
            let request = Request::get("/").header("authorization", format!("Bearer {token}"));
            let request = request.body(()).unwrap().into_parts().0;
            let answer = Authenticator::authenticate(&authenticator, &request).await;
            assert_eq!(answer.is_ok(), accepted, "{token:?}");
        }
        assert!(StaticToken::new("", Identity::new("worker")).is_err());
        assert!(!format!("{authenticator:?}").contains("s3cret"));
    }
}
