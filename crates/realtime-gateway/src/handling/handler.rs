//! Async functions as message handlers.

use std::marker::PhantomData;

use futures::{FutureExt, future::BoxFuture};
use realtime_core::{
    BoxError,
    extract::{FromContext, IntoReply, Reply},
};

use crate::{
    HandlerError, HandlerErrorKind, Inbound,
    extract::{MessageContext, Replier},
};

/// An async function or closure of up to eight [extractors](crate::extract) that returns what
/// [`IntoReply`] accepts; or one whose first argument is a [`Replier`], and which returns `()` or
/// `Result<(), E>`.
///
/// It is implemented for all that fit; never implement it yourself. When yours doesn't fit, read
/// "My function is not a handler" in the documentation of the router.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a message handler",
    label = "not an async function of up to eight extractors that returns a reply",
    note = "each argument must be an extractor (`Session`, `Message`, `Json<T>`, `State<T>`, …), \
            the function must be `async`, its future `Send`, and what it returns one of `()`, \
            `Json<T>`, `Payload`, or a `Result` of these",
    note = "`Json` and `State` are `realtime::Json` and `realtime::State`: those of `axum` are for \
            HTTP and don't fit here; `State<T>` must be the state that is given to `with_state`, \
            and there are no more than eight arguments",
    note = "a `Replier` is the first argument, and with one the function returns `()` or \
            `Result<(), E>`",
    note = "`#[realtime::debug_handler]` above the function (feature `macros`) says which of these it \
            is, and so do `realtime::handler::check_argument::<T, AppState>()` and \
            `check_result::<T>()` of one of them",
    note = "see the documentation of `realtime::Router`: \"My function is not a handler\""
)]
pub trait Handler<Args, S>: Clone + Send + Sync + 'static {
    /// What the function returns; of one with a [`Replier`] it is [`Later`] of that. `Args` are its
    /// arguments. So whoever takes handlers can demand more of them than this trait does.
    type Output;

    #[doc(hidden)]
    fn call(&self, cx: MessageContext<S>) -> BoxFuture<'static, Result<Reply, BoxError>>;
}

/// Compiles only where a `T` can be an argument of a handler whose router has the state `S`, and
/// else makes the compiler say why not. (Of a whole function it can say only that it doesn't fit.)
///
/// ```
/// use realtime::{Json, State, handler::check_argument};
///
/// #[derive(Clone)]
/// struct App;
///
/// const _: () = {
///     check_argument::<Json<String>, App>();
///     check_argument::<State<App>, App>();
/// };
/// ```
pub const fn check_argument<T: FromContext<MessageContext<S>>, S>() {}

/// Compiles only where a handler that has taken a [`Replier`] can return a `T`, and else makes the
/// compiler say why not.
///
/// ```
/// use realtime::{ClientError, handler::check_no_reply};
///
/// const _: () = check_no_reply::<Result<(), ClientError>>();
/// ```
pub const fn check_no_reply<T: NoReply>() {}

/// Compiles only where a handler can return a `T`, and else makes the compiler say why not.
///
/// ```
/// use realtime::{ClientError, Json, handler::check_result};
///
/// const _: () = check_result::<Result<Json<u8>, ClientError>>();
/// ```
pub const fn check_result<T: IntoReply>() {}

fn rejected(error: impl Into<BoxError>) -> BoxError {
    let context = "an argument of the handler could not be extracted from the message";
    HandlerError::new(HandlerErrorKind::Rejected, context)
        .with_source(error)
        .into()
}

macro_rules! handler {
    ($($arg:ident),*) => {
        impl<$($arg,)*> AtOnce for ($($arg,)*) {}

        impl<F, Fut, S, $($arg,)*> Handler<($($arg,)*), S> for F
        where
            F: Fn($($arg),*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output: IntoReply> + Send + 'static,
            $($arg: FromContext<MessageContext<S>>,)*
        {
            type Output = Fut::Output;

            #[allow(non_snake_case, unused_variables, reason = "one macro for every arity")]
            fn call(&self, cx: MessageContext<S>) -> BoxFuture<'static, Result<Reply, BoxError>> {
                $(
                    let $arg = match $arg::from_context(&cx) {
                        Ok(value) => value,
                        Err(error) => return Box::pin(std::future::ready(Err(rejected(error)))),
                    };
                )*
                let running = self($($arg),*);
                Box::pin(running.map(IntoReply::into_reply))
            }
        }
    };
}

/// What goes into or comes out of a handler that has taken a [`Replier`]: its other arguments, or what
/// it returns when the answer may still be under way; and what its replier is. There are no values of
/// it.
#[derive(Debug)]
pub struct Later<T, R = Replier>(PhantomData<(T, R)>);

/// What a handler that answers later takes as its first argument: a [`Replier`], or something that
/// answers by one.
///
/// ```
/// use realtime::{
///     Router,
///     extract::Replier,
///     handler::FromReplier,
/// };
///
/// /// Answers by yes or no.
/// struct Ballot(Replier);
///
/// impl FromReplier for Ballot {
///     fn from_replier(replier: Replier) -> Self {
///         Self(replier)
///     }
/// }
///
/// impl Ballot {
///     fn cast(self, yes: bool) -> Result<(), realtime::error::SendError> {
///         self.0.reply(realtime::Json(yes))
///     }
/// }
///
/// async fn vote(ballot: Ballot) -> Result<(), realtime::error::SendError> {
///     ballot.cast(true)
/// }
///
/// let router: Router = Router::new().route("vote", vote);
/// ```
pub trait FromReplier {
    /// It has the replier from now on: where it is dropped, so is that.
    fn from_replier(replier: Replier) -> Self;
}

impl FromReplier for Replier {
    fn from_replier(replier: Replier) -> Self {
        replier
    }
}

/// Arguments of handlers none of which is a [`Replier`]: what is wanted where the answer is needed at
/// once.
#[diagnostic::on_unimplemented(
    message = "a rule of rooms can't take a `Replier`",
    note = "whether a client may come in is needed at once: an async function that waits, and returns \
            `()` or a `Result`, is enough"
)]
pub trait AtOnce {}

/// What a handler that has taken a [`Replier`] may return: `()`, or a `Result` of it, whose error is
/// the answer where there is none yet.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not something that a handler with a `Replier` can return",
    label = "expected `()` or `Result<(), E>` with `E: Into<BoxError>`",
    note = "the answer is given by `replier.reply(…)`, and there is but one: data that is returned \
            would be another"
)]
pub trait NoReply {
    #[doc(hidden)]
    fn into_result(self) -> Result<(), BoxError>;
}

impl NoReply for () {
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<E: Into<BoxError>> NoReply for Result<(), E> {
    fn into_result(self) -> Result<(), BoxError> {
        self.map_err(E::into)
    }
}

macro_rules! later {
    ($($arg:ident),*) => {
        impl<F, Fut, S, R: FromReplier, $($arg,)*> Handler<Later<($($arg,)*), R>, S> for F
        where
            F: Fn(R, $($arg),*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output: NoReply> + Send + 'static,
            $($arg: FromContext<MessageContext<S>>,)*
        {
            type Output = Later<Fut::Output, R>;

            #[allow(non_snake_case, unused_variables, reason = "one macro for every arity")]
            fn call(&self, cx: MessageContext<S>) -> BoxFuture<'static, Result<Reply, BoxError>> {
                $(
                    let $arg = match $arg::from_context(&cx) {
                        Ok(value) => value,
                        Err(error) => return Box::pin(std::future::ready(Err(rejected(error)))),
                    };
                )*
                let Inbound { session, message } = &cx.inbound;
                let (replier, underway) = match Replier::open(session, message) {
                    Ok(opened) => opened,
                    Err(refusal) => return Box::pin(std::future::ready(Err(refusal.into()))),
                };
                let running = self(R::from_replier(replier), $($arg),*);
                Box::pin(async move {
                    let ended = underway.ended(running.await.into_result());
                    ended.map(|()| Reply::none())
                })
            }
        }
    };
}
later!();
later!(A);
later!(A, B);
later!(A, B, C);
later!(A, B, C, D);
later!(A, B, C, D, E);
later!(A, B, C, D, E, G);
later!(A, B, C, D, E, G, H);

handler!();
handler!(A);
handler!(A, B);
handler!(A, B, C);
handler!(A, B, C, D);
handler!(A, B, C, D, E);
handler!(A, B, C, D, E, G);
handler!(A, B, C, D, E, G, H);
handler!(A, B, C, D, E, G, H, I);
