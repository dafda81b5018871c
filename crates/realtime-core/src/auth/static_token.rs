//! One token for everybody who knows it.

use std::borrow::Cow;

use http::request::Parts;
use subtle::ConstantTimeEq;

use super::{
    AuthError, AuthErrorKind, Authenticator, Credentials, Token,
    credentials::{check_token, digest},
};
use crate::{Identity, IdentityKey};

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
    /// Why the token can't be found where it may be looked for.
    unfit: Unfit,
}

/// A character that ends the token in the middle.
#[derive(Clone, Copy)]
struct Unfit {
    cookie: bool,
    subprotocol: bool,
}

impl StaticToken {
    /// Accepts this token.
    ///
    /// A token is visible ASCII of at most 8 KiB: nothing else can stand in a request.
    ///
    /// # Errors
    /// Kind [`InvalidOption`](AuthErrorKind::InvalidOption) for a token that no request can have.
    pub fn new(token: impl AsRef<str>, identity: Identity) -> Result<Self, AuthError> {
        let token = token.as_ref();
        check_token(token.as_bytes())
            .map_err(|expected| AuthError::new(AuthErrorKind::InvalidOption, expected))?;
        let is_quoted = token.starts_with('"') && token.ends_with('"');
        Ok(Self {
            digest: digest(token),
            identity,
            credentials: Credentials::bearer(),
            unfit: Unfit {
                cookie: token.contains(';') || is_quoted,
                subprotocol: token.contains(','),
            },
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

    /// See [`Credentials::from_base64url_subprotocol`].
    #[must_use]
    pub fn from_base64url_subprotocol(mut self, prefix: impl Into<Cow<'static, str>>) -> Self {
        self.credentials = self.credentials.from_base64url_subprotocol(prefix);
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
        let check = |token| self.authenticate_token(token);
        self.credentials.try_each(request, check).await
    }

    async fn authenticate_token(&self, token: Token) -> Result<Identity, AuthError> {
        if digest(token.expose()).ct_eq(&self.digest).into() {
            Ok(self.identity.clone())
        } else {
            Err(AuthError::unauthorized("the token is not the expected one"))
        }
    }

    fn accepts_tokens(&self) -> bool {
        true
    }

    fn credentials(&self) -> Option<&Credentials> {
        Some(&self.credentials)
    }

    fn validate(&self) -> Result<(), AuthError> {
        self.credentials.validate()?;
        if self.identity.key().is_too_long() {
            let limit = IdentityKey::MAX_BYTES;
            let got = format!(
                "expected an identity whose tenant and id together have at most {limit} bytes, \
                 since a gateway refuses a longer one"
            );
            return Err(AuthError::new(AuthErrorKind::InvalidOption, got));
        }
        let Unfit {
            cookie,
            subprotocol,
        } = self.unfit;
        let expected = if cookie && self.credentials.uses_cookie() {
            "expected a token that can stand in a cookie: without ; and without quotes around it"
        } else if subprotocol && self.credentials.uses_bare_subprotocol() {
            "expected a token that can stand in a subprotocol: without a comma, or in base64url"
        } else {
            return Ok(());
        };
        Err(AuthError::new(AuthErrorKind::InvalidOption, expected))
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
        assert!(!format!("{authenticator:?}").contains("s3cret"));
    }

    #[test]
    fn a_token_that_no_request_can_have_is_refused() {
        for token in [
            "",
            " ",
            "s3cret ",
            " s3cret",
            "s3 cret",
            "s3cret\n",
            "s3cr\u{e9}t",
        ] {
            let error = StaticToken::new(token, Identity::new("worker")).unwrap_err();
            assert_eq!(error.kind(), AuthErrorKind::InvalidOption);
            assert!(!format!("{error:?}").contains("s3"), "{error:?}");
        }
        let gate = |token: &str| StaticToken::new(token, Identity::new("worker")).unwrap();
        assert!(gate("a;b,c").validate().is_ok());
        assert!(gate("a;b").from_cookie("auth").validate().is_err());
        assert!(gate("\"a\"").from_cookie("auth").validate().is_err());
        assert!(gate("a,b").from_cookie("auth").validate().is_ok());
        assert!(gate("a,b").from_subprotocol("t.").validate().is_err());
        assert!(
            gate("a,b")
                .from_base64url_subprotocol("t.")
                .validate()
                .is_ok()
        );
        assert!(gate("a").from_query("a b").validate().is_err());
        let long = StaticToken::new("a", Identity::new("w".repeat(IdentityKey::MAX_BYTES + 1)));
        assert!(long.unwrap().validate().is_err());
    }
}
