//! Who may see the page.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt;
use http::request::Parts;
use realtime_core::{
    Identity,
    auth::{AnyAuthenticator, AuthErrorKind, Authenticator},
    log_targets,
};
use tokio::time::timeout;

/// How long it may take to find out.
const WITHIN: Duration = Duration::from_secs(5);

type May = Box<dyn Fn(&Identity) -> bool + Send + Sync>;

pub(crate) struct Guard {
    authenticator: AnyAuthenticator,
    may: May,
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
        authenticator: AnyAuthenticator,
        may: impl Fn(&Identity) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            authenticator,
            may: Box::new(may),
        }
    }

    pub(crate) async fn admits(&self, request: &Parts) -> Result<Identity, Refused> {
        let asked = async {
            let who = self.authenticator.authenticate(request).await;
            who.map(|who| ((self.may)(&who), who))
        };
        let asked = timeout(WITHIN, AssertUnwindSafe(asked).catch_unwind());
        let refused = match asked.await {
            Ok(Ok(Ok((true, who)))) => return Ok(who),
            Ok(Ok(Ok((false, _)))) => Refused::MayNot,
            Ok(Ok(Err(error))) => match error.kind() {
                AuthErrorKind::Expired | AuthErrorKind::Unauthorized => Refused::Unknown,
                _ => Refused::Unavailable,
            },
            Ok(Err(_panic)) => Refused::Broken,
            Err(_late) => Refused::Unavailable,
        };
        // Anybody can cause it, as often as they like.
        tracing::debug!(target: log_targets::ADMIN, ?refused, "somebody is not let in");
        Err(refused)
    }
}
