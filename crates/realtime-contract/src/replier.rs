//! Answers that are given later, held to a declaration by the compiler.

use std::{fmt, marker::PhantomData};

use realtime_core::ClientError;
use realtime_gateway::{FromReplier, SendError, Session, extract};
use serde::Serialize;

use crate::{Refusal, Undeclared, request::Written};

/// An [`extract::Replier`] that answers with what is declared, and with nothing else: the first
/// argument of a handler that answers later. Its types are those of the reply and of the errors.
///
/// ```
/// use realtime::{
///     Json, Router,
///     contract::{Refusal, Replier, Request, RouterExt},
/// };
/// use schemars::JsonSchema;
/// use serde::Serialize;
///
/// #[derive(Debug, thiserror::Error, Serialize, JsonSchema)]
/// #[serde(tag = "code", rename_all = "snake_case")]
/// enum NoReport {
///     #[error("that year isn't over")]
///     TooEarly,
/// }
///
/// impl Refusal for NoReport {}
///
/// const REPORT: Request<u32, String, NoReport> = Request::new("report");
///
/// async fn report(replier: Replier<String, NoReport>, Json(year): Json<u32>) {
///     tokio::spawn(async move {
///         match year {
///             ..2026 => replier.reply(&format!("all of {year}")),
///             _ => replier.refuse(&NoReport::TooEarly),
///         }
///     });
/// }
///
/// let router: Router = Router::new().handle(REPORT, report);
/// ```
///
/// One that answers with something else doesn't compile, nor does one with a replier of no types:
///
/// ```compile_fail
/// # use realtime::{Json, Router, contract::{Replier, Request, RouterExt}};
/// const REPORT: Request<u32, String> = Request::new("report");
///
/// async fn report(replier: Replier<u32>, Json(year): Json<u32>) {}
///
/// let router: Router = Router::new().handle(REPORT, report);
/// ```
///
/// What holds for an [`extract::Replier`] holds for it: one that is dropped is an answer, too.
#[must_use = "a replier that is dropped answers with the error `unanswered`"]
pub struct Replier<R = (), E = Undeclared> {
    replier: extract::Replier,
    types: PhantomData<fn(R) -> E>,
}

impl<R, E> Replier<R, E> {
    /// Whether somebody waits for the answer, as [`extract::Replier::is_wanted`] says.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.replier.is_wanted()
    }

    /// Whose request it is.
    #[must_use]
    pub fn session(&self) -> &Session {
        self.replier.session()
    }

    /// Waits until nobody waits for the answer any more. Cancel safe.
    pub async fn closed(&self) {
        self.replier.closed().await;
    }
}

impl<R: Serialize + 'static, E> Replier<R, E> {
    /// Answers.
    ///
    /// # Errors
    /// Those of [`extract::Replier::reply`].
    pub fn reply(self, reply: &R) -> Result<(), SendError> {
        self.replier.reply(Written(reply))
    }
}

impl<R, E: Refusal> Replier<R, E> {
    /// Answers with one of the errors that are declared.
    ///
    /// # Errors
    /// Those of [`extract::Replier::refuse`].
    pub fn refuse(self, refusal: &E) -> Result<(), SendError> {
        self.replier.refuse(refusal.to_client_error())
    }
}

impl<R> Replier<R, Undeclared> {
    /// Answers with any error: none are declared.
    ///
    /// # Errors
    /// Those of [`extract::Replier::refuse`].
    pub fn refuse(self, error: ClientError) -> Result<(), SendError> {
        self.replier.refuse(error)
    }
}

impl<R, E> FromReplier for Replier<R, E> {
    fn from_replier(replier: extract::Replier) -> Self {
        let types = PhantomData;
        Self { replier, types }
    }
}

impl<R, E> fmt::Debug for Replier<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.replier.fmt(f)
    }
}
