//! Errors that clients are told of: as a type, and on their way out of a handler.

use std::{error::Error, fmt, marker::PhantomData, time::Duration};

use realtime_codec_json::Json;
use realtime_core::{BoxError, ClientError};
use realtime_gateway::RequestError;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// The errors that a request may be answered with: an error that is serialised with a `code` and,
/// where it has more to say, with `data`.
///
/// An enum with serde's `tag = "code", content = "data"` is that, and so is an untagged one of such
/// types. It has no other fields: with `tag = "code"` alone, those of a variant would stand beside the
/// code, where clients don't see them. Its `Display` is the message for people.
///
/// ```
/// use realtime::{Json, Router, contract::{Failure, Refusal, Request, RouterExt}};
/// use schemars::JsonSchema;
/// use serde::Serialize;
///
/// #[derive(Debug, thiserror::Error, Serialize, JsonSchema)]
/// #[serde(tag = "code", content = "data", rename_all = "snake_case")]
/// enum NotSaid {
///     #[error("Join the room first.")]
///     NotAMember,
///     #[error("A line has at most {most} characters.")]
///     TooLong { most: usize },
/// }
///
/// impl Refusal for NotSaid {}
///
/// const SAY: Request<String, (), NotSaid> = Request::new("say");
///
/// async fn say(Json(text): Json<String>) -> Result<(), Failure<NotSaid>> {
///     if text.len() > 9 {
///         // {"code": "too_long", "message": "A line has …", "temporary": false, "data": {"most": 9}}
///         return Err(NotSaid::TooLong { most: 9 }.into());
///     }
///     Ok(())
/// }
///
/// let router: Router = Router::new().handle(SAY, say);
/// # use realtime::{Gateway, Identity};
/// # use realtime_testkit::memory::{TestError, connect};
/// # let gateway = realtime::builder().router(router).build().unwrap();
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn check(gateway: Gateway) -> Result<(), TestError> {
/// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
/// # let refused = ann.request("say", Json("all that there is to say")).await.unwrap_err();
/// # assert_eq!(refused.code(), Some("too_long"));
/// # Ok(())
/// # }
/// # check(gateway).unwrap();
/// ```
pub trait Refusal: Error + Serialize + JsonSchema + Send + Sync + 'static {
    /// Whether the same request may succeed later.
    fn is_temporary(&self) -> bool {
        self.retry_after().is_some()
    }

    /// After how long the same request may succeed, where that is known.
    fn retry_after(&self) -> Option<Duration> {
        None
    }

    /// What the client is told: for a layer, say, or for what is not declared with these errors.
    fn to_client_error(&self) -> ClientError {
        let Ok(Value::Object(mut fields)) = serde_json::to_value(self) else {
            return not_a_refusal();
        };
        let Some(Value::String(code)) = fields.remove("code") else {
            return not_a_refusal();
        };
        let mut error = ClientError::new(code, self.to_string());
        if self.is_temporary() {
            error = error.temporary();
        }
        if let Some(wait) = self.retry_after() {
            error = error.with_retry_after(wait);
        }
        let data = fields.remove("data");
        if !fields.is_empty() {
            return not_a_refusal();
        }
        match data {
            Some(data) => error.with_data(Json(data)),
            None => error,
        }
    }
}

/// Errors of a request that are not declared: its handler may fail with any, and in the document any
/// code may come.
#[derive(Debug, Clone, Copy)]
pub struct Undeclared(());

/// How a handler of declared errors fails: with one of them, which the client is told, or with any
/// other error, of which it learns as much as of every error: `internal`, or one of the gateway's own
/// codes. Both come into it by `?` and by `into`. What isn't an [`Error`] itself, such as a
/// [`BoxError`] or that of `anyhow`, comes by [`other`](Self::other).
///
/// A [`ClientError`] that isn't declared isn't told: the client gets `internal`, and the error hooks
/// hear which code it was.
pub struct Failure<E> {
    error: BoxError,
    declared: PhantomData<fn() -> E>,
}

impl<E: Refusal> Failure<E> {
    /// With any error, as `?` does with those that are an [`Error`]. The error hooks hear of this
    /// one.
    ///
    /// ```
    /// use realtime::{BoxError, Json, Router, contract::{Failure, Refusal, Request, RouterExt}};
    ///
    /// #[derive(Debug, thiserror::Error, serde::Serialize, schemars::JsonSchema)]
    /// #[serde(tag = "code", rename_all = "snake_case")]
    /// enum NotKept {
    ///     #[error("The disk is full.")]
    ///     Full,
    /// }
    ///
    /// impl Refusal for NotKept {}
    ///
    /// const KEEP: Request<String, (), NotKept> = Request::new("keep");
    ///
    /// fn write(text: &str) -> Result<(), BoxError> {
    ///     std::fs::write("/dev/full", text).map_err(|_| NotKept::Full)?;
    ///     Ok(())
    /// }
    ///
    /// async fn keep(Json(text): Json<String>) -> Result<(), Failure<NotKept>> {
    ///     write(&text).map_err(Failure::other)
    /// }
    ///
    /// let router: Router = Router::new().handle(KEEP, keep);
    /// ```
    pub fn other(error: impl Into<BoxError>) -> Self {
        let error = error.into();
        let refusal = ClientError::__causes(&*error).find_map(|cause| cause.downcast_ref::<E>());
        let error = match refusal {
            Some(refusal) => refusal.to_client_error().into(),
            None => not_told(error),
        };
        let declared = PhantomData;
        Self { error, declared }
    }
}

impl<E: Refusal, X: Error + Send + Sync + 'static> From<X> for Failure<E> {
    fn from(error: X) -> Self {
        Self::other(error)
    }
}

impl<E> From<Failure<E>> for BoxError {
    fn from(failure: Failure<E>) -> Self {
        failure.error
    }
}

impl<E> fmt::Debug for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Failure").field(&self.error).finish()
    }
}

/// An error for clients whose code is not in the contract.
#[derive(Debug, thiserror::Error)]
#[error(
    "expected an error that the request declares; got the code {code:?}: declare it, or fail with \
     another error than a ClientError: {text}"
)]
struct NotDeclared {
    code: String,
    text: String,
}

fn not_told(error: BoxError) -> BoxError {
    // What another client has refused with stays here in any case.
    let code = ClientError::__causes(&*error)
        .take_while(|cause| !cause.is::<RequestError>())
        .find_map(|cause| cause.downcast_ref::<ClientError>())
        .map(|told| told.code().to_owned());
    match code {
        // Without it as a source: what stands there is sent to the client.
        Some(code) => {
            let text = error.to_string();
            NotDeclared { code, text }.into()
        }
        None => error,
    }
}

/// The document of a contract with such a type can't be made: it says so.
fn not_a_refusal() -> ClientError {
    ClientError::new("internal", "the server could not handle the message")
}
