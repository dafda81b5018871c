//! The tokens of one client: where they come from, and where they are shown.

use std::{future::Future, panic::AssertUnwindSafe, pin::Pin, sync::Arc, time::Duration};

use futures::FutureExt;
use realtime_core::{BoxError, auth::Token};

/// Why a token is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenReason {
    /// To connect, for the first time or again.
    Connect,
    /// The one that was shown ends soon. The fresh one is shown on the same connection.
    Expiring,
    /// It has ended, and was refused for that. It isn't shown again.
    Expired,
    /// The server says that it isn't right, or was revoked. It isn't shown again.
    Refused,
}

/// Where a token is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum TokenIn {
    /// In the header `Authorization`, as `Bearer`.
    #[default]
    Header,
    /// In the first message, where the server has `token_in_message`.
    Message,
    /// As the subprotocol `token.TOKEN`, where the server has `from_subprotocol("token.")`.
    Subprotocol,
}

type Asked = Pin<Box<dyn Future<Output = Result<Option<String>, BoxError>> + Send>>;

/// Where tokens come from.
#[derive(Clone)]
pub(crate) struct Getter(Arc<dyn Fn(TokenReason) -> Asked + Send + Sync>);

/// What the getter has.
pub(crate) enum Found {
    /// Nobody is signed in.
    Nobody,
    /// Only what was refused already.
    Stale,
    Token(Token),
}

impl Getter {
    pub(crate) fn new<F, Fut>(get: F) -> Self
    where
        F: Fn(TokenReason) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Option<String>, BoxError>> + Send + 'static,
    {
        Self(Arc::new(move |reason| Box::pin(get(reason))))
    }

    /// What is found, or why there is nothing now. It is the user's code: neither a panic nor a hang
    /// gets further.
    pub(crate) async fn ask(
        &self,
        reason: TokenReason,
        stale: Option<&Token>,
        within: Duration,
    ) -> Result<Found, String> {
        let asked = AssertUnwindSafe(async { (self.0)(reason).await }).catch_unwind();
        let token = match tokio::time::timeout(within, asked).await {
            Err(_) => return Err("there was no token in time".to_owned()),
            Ok(Err(_panic)) => return Err("what gets the token panicked".to_owned()),
            Ok(Ok(Err(error))) => return Err(format!("there is no token now: {error}")),
            Ok(Ok(Ok(token))) => token,
        };
        let Some(token) = token else {
            return Ok(Found::Nobody);
        };
        let token = Token::parse(token.as_bytes()).map_err(|error| error.to_string())?;
        let is_stale = stale.is_some_and(|stale| token.matches(stale.expose()));
        Ok(if is_stale {
            Found::Stale
        } else {
            Found::Token(token)
        })
    }
}
