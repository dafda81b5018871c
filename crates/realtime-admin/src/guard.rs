//! Who may see the page.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures::FutureExt;
use http::request::Parts;
use realtime_core::{
    Identity,
    auth::{AnyAuthenticator, AuthError, AuthErrorKind, Authenticator, Credentials, Token},
    log_targets,
};
use realtime_gateway::{
    __log::{Chain, Rarely, drop_quietly},
    Gateway,
};
use tokio::time::timeout;

/// How long it may take to find out.
const WITHIN: Duration = Duration::from_secs(5);
/// How long an answer holds: a page connects anew after that, and it is asked once more.
pub(crate) const HOLDS: Duration = Duration::from_secs(15 * 60);
/// How many lines a minute the log has of those who aren't let in: anybody can cause them.
const LINES: u32 = 20;

type May = Box<dyn Fn(&Identity) -> bool + Send + Sync>;

/// It is asked for each request, and for each token that is shown on the page's socket.
#[derive(Clone)]
pub(crate) struct Guard(Arc<Inner>);

struct Inner {
    host: Gateway,
    authenticator: AnyAuthenticator,
    may: May,
    lines: Rarely,
}

/// Why somebody isn't let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is known who it is, and that one may not.
    MayNot,
    Unknown,
    Unavailable,
    /// The host's own code panicked.
    Broken,
}

impl Guard {
    pub(crate) fn new(
        host: Gateway,
        authenticator: impl Authenticator,
        may: impl Fn(&Identity) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            host,
            authenticator: AnyAuthenticator::new(authenticator),
            may: Box::new(may),
            lines: Rarely::new(LINES),
        }))
    }

    /// Who has sent a request, if that one may see the page; the answer holds for as long as the
    /// identity, and no longer than [`HOLDS`].
    pub(crate) async fn admits(&self, request: &Parts) -> Result<Identity, Refused> {
        let asked = self.0.authenticator.authenticate(request);
        self.0.admits(asked).await
    }
}

impl Inner {
    async fn admits(
        &self,
        asked: impl Future<Output = Result<Identity, AuthError>>,
    ) -> Result<Identity, Refused> {
        let asked = async {
            let who = asked.await?;
            let may = (self.may)(&who);
            Ok((may, may && self.is_revoked(&who).await, who))
        };
        let asked = timeout(WITHIN, AssertUnwindSafe(asked).catch_unwind());
        match asked.await {
            Ok(Ok(Ok((true, false, who)))) => Ok(ending(who)),
            Ok(Ok(Ok((true, true, _)))) => {
                self.debug(None, "what somebody has shown was revoked");
                Err(Refused::Unknown)
            }
            Ok(Ok(Ok((false, _, who)))) => {
                if let Some(left_out) = self.lines.turn() {
                    let (tenant, id) = (who.tenant(), who.id());
                    tracing::info!(
                        target: log_targets::ADMIN, ?tenant, ?id, left_out,
                        "somebody who may not see the page is not let in",
                    );
                }
                Err(Refused::MayNot)
            }
            Ok(Ok(Err(error))) => Err(self.unknown(error)),
            Ok(Err(panic)) => {
                drop_quietly(panic);
                self.warn(None, "the guard panicked");
                Err(Refused::Broken)
            }
            Err(_late) => {
                self.warn(None, "the guard has found nothing out in time");
                Err(Refused::Unavailable)
            }
        }
    }

    fn unknown(&self, error: AuthError) -> Refused {
        let refused = match error.kind() {
            AuthErrorKind::Expired | AuthErrorKind::Unauthorized => {
                self.debug(Some(&error), "somebody who isn't known is not let in");
                Refused::Unknown
            }
            _ => {
                self.warn(Some(&error), "the guard could not find out who it is");
                Refused::Unavailable
            }
        };
        drop_quietly(error);
        refused
    }

    /// Whether the gateway that is looked at has revoked what somebody has shown. Where its store is
    /// away, what the authenticator says counts: the page is there to look at outages, too.
    async fn is_revoked(&self, who: &Identity) -> bool {
        match self.host.__is_revoked(who).await {
            Ok(is_revoked) => is_revoked,
            Err(error) => {
                self.warn(Some(&error), "it could not be asked what was revoked");
                false
            }
        }
    }

    fn warn(&self, error: Option<&AnyError>, said: &'static str) {
        if let Some(left_out) = self.lines.turn() {
            let error = error.map(|error| Chain(error).to_string());
            tracing::warn!(target: log_targets::ADMIN, error, left_out, "{said}");
        }
    }

    fn debug(&self, error: Option<&AnyError>, said: &'static str) {
        if tracing::enabled!(target: log_targets::ADMIN, tracing::Level::DEBUG) {
            let error = error.map(|error| Chain(error).to_string());
            tracing::debug!(target: log_targets::ADMIN, error, "{said}");
        }
    }
}

type AnyError = dyn std::error::Error + 'static;

/// The page's socket, with a token that is shown on it: the same question once more, so that nobody
/// keeps a page by the token of one who may no longer see it.
impl Authenticator for Guard {
    async fn authenticate(&self, request: &Parts) -> Result<Identity, AuthError> {
        self.admits(request).await.map_err(error)
    }

    async fn authenticate_token(&self, token: Token) -> Result<Identity, AuthError> {
        let asked = self.0.authenticator.authenticate_token(token);
        self.0.admits(asked).await.map_err(error)
    }

    fn accepts_tokens(&self) -> bool {
        self.0.authenticator.accepts_tokens()
    }

    fn credentials(&self) -> Option<&Credentials> {
        self.0.authenticator.credentials()
    }

    fn validate(&self) -> Result<(), AuthError> {
        self.0.authenticator.validate()
    }
}

fn error(refused: Refused) -> AuthError {
    match refused {
        Refused::MayNot => AuthError::unauthorized("expected somebody who may see the page"),
        Refused::Unknown => AuthError::unauthorized("expected somebody who is signed in"),
        Refused::Unavailable | Refused::Broken => {
            AuthError::unavailable("it could not be found out who it is")
        }
    }
}

/// The same, with an end.
fn ending(who: Identity) -> Identity {
    let Some(latest) = SystemTime::now().checked_add(HOLDS) else {
        return who;
    };
    match who.expires_at() {
        Some(own) if own <= latest => who,
        _ => who.with_expires_at(latest),
    }
}
