//! The authentication seam: who is asking for a connection?

mod anonymous;
mod credentials;
mod from_extension;
mod static_token;

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;
use http::request::Parts;

use crate::{Identity, error::operation_error};

pub use anonymous::Anonymous;
pub use credentials::{Credentials, Token};
pub use from_extension::FromExtension;
pub use static_token::StaticToken;

/// Turns an upgrade request into an identity, before the connection becomes a WebSocket.
///
/// ```
/// use http::request::Parts;
/// use realtime::{
///     Identity,
///     auth::{AuthError, Authenticator, Credentials, Token},
/// };
///
/// /// Every token is the name of its bearer. Not for production.
/// struct Trusting(Credentials);
///
/// impl Authenticator for Trusting {
///     async fn authenticate(&self, request: &Parts) -> Result<Identity, AuthError> {
///         self.0.try_each(request, |token| self.authenticate_token(token)).await
///     }
///
///     async fn authenticate_token(&self, token: Token) -> Result<Identity, AuthError> {
///         Ok(Identity::new(token.expose()))
///     }
///
///     fn accepts_tokens(&self) -> bool {
///         true
///     }
///
///     fn credentials(&self) -> Option<&Credentials> {
///         Some(&self.0)
///     }
/// }
/// ```
pub trait Authenticator: Send + Sync + 'static {
    /// Who sent this request?
    ///
    /// # Behavior
    /// - It may be called concurrently.
    /// - It is cancel safe: the future is dropped when the peer leaves or the time is up.
    /// - A request without valid credentials fails with kind
    ///   [`Unauthorized`](AuthErrorKind::Unauthorized), or [`Expired`](AuthErrorKind::Expired)
    ///   where they were valid once, and is answered with 401.
    /// - A failure to find out fails with kind [`Unavailable`](AuthErrorKind::Unavailable) and is
    ///   answered with 503.
    ///
    /// # Errors
    /// As above.
    fn authenticate(
        &self,
        request: &Parts,
    ) -> impl Future<Output = Result<Identity, AuthError>> + Send;

    /// Who has this token, which a client shows in a message: a fresh one before the one that it has
    /// connected with ends; or its first, where the gateway lets clients connect without any.
    ///
    /// # Behavior
    /// - As for [`authenticate`](Self::authenticate): with the same token, the same answer.
    /// - Where the token of a request was revoked or has ended, and the request may mean
    ///   [others](Credentials::candidates), it is asked about those.
    ///
    /// # Errors
    /// Those of [`authenticate`](Self::authenticate), in place of whose status codes the client is
    /// answered, or closed.
    fn authenticate_token(
        &self,
        token: Token,
    ) -> impl Future<Output = Result<Identity, AuthError>> + Send {
        drop(token);
        std::future::ready(Err(AuthError::unauthorized(
            "expected an authenticator that accepts tokens in messages: one with \
             `authenticate_token` and `accepts_tokens`",
        )))
    }

    /// Whether it has an [`authenticate_token`](Self::authenticate_token). Then the gateway has a
    /// route `authenticate`, with which clients show fresh tokens.
    fn accepts_tokens(&self) -> bool {
        false
    }

    /// Where this authenticator looks for credentials, if it uses [`Credentials`].
    ///
    /// A request that has none there may show a token in its first message, if the gateway is set up
    /// so: then it isn't asked about the request.
    ///
    /// The gateway refuses to be built with cookies and without an origin check, since that lets
    /// any page act for its visitor.
    fn credentials(&self) -> Option<&Credentials> {
        None
    }

    /// Checks how it is set up. The gateway calls it when it is built, and is not built when it
    /// fails.
    ///
    /// # Errors
    /// Kind [`InvalidOption`](AuthErrorKind::InvalidOption) for what can never work.
    fn validate(&self) -> Result<(), AuthError> {
        self.credentials().map_or(Ok(()), Credentials::validate)
    }
}

/// Any authenticator behind one type, cheap to clone.
#[derive(Clone)]
pub struct AnyAuthenticator(Arc<dyn DynAuthenticator>);

impl AnyAuthenticator {
    /// Erases the type of an authenticator.
    #[must_use]
    pub fn new(authenticator: impl Authenticator) -> Self {
        Self(Arc::new(authenticator))
    }
}

impl Authenticator for AnyAuthenticator {
    async fn authenticate(&self, request: &Parts) -> Result<Identity, AuthError> {
        self.0.authenticate(request).await
    }

    async fn authenticate_token(&self, token: Token) -> Result<Identity, AuthError> {
        self.0.authenticate_token(token).await
    }

    fn accepts_tokens(&self) -> bool {
        self.0.accepts_tokens()
    }

    fn credentials(&self) -> Option<&Credentials> {
        self.0.credentials()
    }

    fn validate(&self) -> Result<(), AuthError> {
        self.0.validate()
    }
}

impl fmt::Debug for AnyAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyAuthenticator").finish_non_exhaustive()
    }
}

/// The object-safe twin of [`Authenticator`].
trait DynAuthenticator: Send + Sync {
    fn authenticate<'a>(&'a self, request: &'a Parts)
    -> BoxFuture<'a, Result<Identity, AuthError>>;
    fn authenticate_token(&self, token: Token) -> BoxFuture<'_, Result<Identity, AuthError>>;
    fn accepts_tokens(&self) -> bool;
    fn credentials(&self) -> Option<&Credentials>;
    fn validate(&self) -> Result<(), AuthError>;
}

impl<T: Authenticator> DynAuthenticator for T {
    fn authenticate<'a>(
        &'a self,
        request: &'a Parts,
    ) -> BoxFuture<'a, Result<Identity, AuthError>> {
        Box::pin(Authenticator::authenticate(self, request))
    }

    fn authenticate_token(&self, token: Token) -> BoxFuture<'_, Result<Identity, AuthError>> {
        Box::pin(Authenticator::authenticate_token(self, token))
    }

    fn accepts_tokens(&self) -> bool {
        Authenticator::accepts_tokens(self)
    }

    fn credentials(&self) -> Option<&Credentials> {
        Authenticator::credentials(self)
    }

    fn validate(&self) -> Result<(), AuthError> {
        Authenticator::validate(self)
    }
}

operation_error! {
    /// A request that could not be authenticated, or an authenticator that can't be made.
    AuthError, AuthErrorKind
}

/// The sorts of [`AuthError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthErrorKind {
    /// The credentials were right, and have ended: 401. A client that gets fresh ones may come back.
    Expired,
    /// The authenticator is misconfigured.
    InvalidOption,
    /// Credentials are missing, malformed or wrong: 401.
    Unauthorized,
    /// It could not be found out whether the credentials are right: 503.
    Unavailable,
}

impl AuthError {
    /// Kind [`Unauthorized`](AuthErrorKind::Unauthorized). Never put the credentials in the
    /// context: it is logged.
    #[must_use]
    pub fn unauthorized(context: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self::new(AuthErrorKind::Unauthorized, context)
    }

    /// Kind [`Expired`](AuthErrorKind::Expired).
    #[must_use]
    pub fn expired(context: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self::new(AuthErrorKind::Expired, context)
    }

    /// Kind [`Unavailable`](AuthErrorKind::Unavailable).
    #[must_use]
    pub fn unavailable(context: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self::new(AuthErrorKind::Unavailable, context)
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.kind == AuthErrorKind::Unavailable
    }
}
