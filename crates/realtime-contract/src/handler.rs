//! Handlers that are held to a declaration by the compiler.

use realtime_codec_json::Json;
use realtime_core::{BoxError, codec::CodecError};
use realtime_gateway::{Handler, Later, Router};

use crate::{Failure, Refusal, Request, Undeclared};

/// Routes by their declaration.
pub trait RouterExt<S>: Sized {
    /// Handles a declared request: [`Router::route`] for a handler that takes and returns what was
    /// declared.
    ///
    /// - It takes the data as its last argument, as `Json<Q>`, an `Option` or a `Result` of that;
    ///   where the request has no data, none.
    /// - It returns `Json<R>`, or `()` where the reply has no data; or a `Result` of that.
    /// - Where errors are declared, that of the `Result` is [`Failure<E>`](Failure); else it is what
    ///   any handler may fail with.
    /// - One that takes a [`Replier`](realtime_gateway::extract::Replier) answers by
    ///   [`Request::reply`].
    #[must_use]
    fn handle<Q, R, E, Args, Place>(
        self,
        request: Request<Q, R, E>,
        handler: impl Handler<Args, S, Output: Answers<R, E>>,
    ) -> Self
    where
        Args: Takes<Q, Place>;
}

impl<S: Clone + Send + Sync + 'static> RouterExt<S> for Router<S> {
    fn handle<Q, R, E, Args, Place>(
        self,
        request: Request<Q, R, E>,
        handler: impl Handler<Args, S, Output: Answers<R, E>>,
    ) -> Self
    where
        Args: Takes<Q, Place>,
    {
        self.route(request.route(), handler)
    }
}

/// Arguments of a handler that takes the data that was declared.
#[diagnostic::on_unimplemented(
    message = "the handler doesn't take `{Q}`, with which the request is declared",
    label = "this handler's arguments are `{Self}`",
    note = "the data is the last argument, as `Json<{Q}>`; a request that is declared with `()` has \
            none"
)]
pub trait Takes<Q, Place> {}

/// In the last place.
#[derive(Debug)]
pub struct InLastPlace(());

/// Nowhere: there is no data.
#[derive(Debug)]
pub struct InNoPlace(());

/// An argument that is the data that was declared.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not `Json<{Q}>`, with which the request is declared",
    label = "this should be `Json<{Q}>`"
)]
pub trait DataOf<Q> {}

impl<Q> DataOf<Q> for Json<Q> {}
impl<Q> DataOf<Q> for Option<Json<Q>> {}
impl<Q> DataOf<Q> for Result<Json<Q>, CodecError> {}

/// What a handler may return: the reply that was declared.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the reply with which the request is declared",
    label = "expected `Json<{R}>`, or a `Result` of it",
    note = "a reply that is declared with `()` has no data: the handler returns `()`, or a `Result` \
            of it"
)]
pub trait Answers<R, E> {}

impl<R, E> Answers<R, E> for Json<R> {}
impl<E> Answers<(), E> for () {}
impl<R, E, T: Answers<R, E>, X: Fails<E>> Answers<R, E> for Result<T, X> {}
// What it answers, and with which errors, is said by `Request::reply` and `Request::refuse`.
impl<R, E> Answers<R, E> for Later<()> {}
impl<R, E, X: Fails<E>> Answers<R, E> for Later<Result<(), X>> {}

/// What a handler may fail with: the errors that were declared.
#[diagnostic::on_unimplemented(
    message = "a handler of this request doesn't fail with `{Self}`",
    label = "expected `Failure<{E}>`",
    note = "the request declares its errors, so that clients know them: return \
            `Result<_, realtime::contract::Failure<{E}>>`, into which `?` turns them and all others"
)]
pub trait Fails<E> {}

impl<X: Into<BoxError>> Fails<Undeclared> for X {}
impl<E: Refusal> Fails<E> for Failure<E> {}

impl<Q, Place, T: Takes<Q, Place>> Takes<Q, Place> for Later<T> {}

macro_rules! takes {
    ($($before:ident),*) => {
        impl<Q, $($before,)* D: DataOf<Q>> Takes<Q, InLastPlace> for ($($before,)* D,) {}
        impl<$($before,)*> Takes<(), InNoPlace> for ($($before,)*) {}
    };
}
takes!();
takes!(A);
takes!(A, B);
takes!(A, B, C);
takes!(A, B, C, I);
takes!(A, B, C, I, F);
takes!(A, B, C, I, F, G);
takes!(A, B, C, I, F, G, H);

impl<A, B, C, D, F, G, H, I> Takes<(), InNoPlace> for (A, B, C, D, F, G, H, I) {}
