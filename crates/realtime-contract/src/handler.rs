//! Handlers that are held to a declaration by the compiler.

use std::{any::TypeId, marker::PhantomData};

use bytes::Bytes;
use realtime_codec_json::Json;
use realtime_core::{BoxError, Payload, codec::CodecError};
use realtime_gateway::{Handler, Later, Router};

use crate::{Failure, Refusal, Replier, Request, Undeclared};

/// Routes by their declaration.
pub trait RouterExt<S>: Sized {
    /// Handles a declared request: [`Router::route`] for a handler that takes and returns what was
    /// declared.
    ///
    /// - It takes the data as its last argument, as `Json<Q>`, an `Option` or a `Result` of that;
    ///   where the request has no data, none. No other argument reads the data: none that is
    ///   [`ReadsData`].
    /// - It returns `Json<R>`, or `()` where the reply has no data; or a `Result` of that.
    /// - Where errors are declared, that of the `Result` is [`Failure<E>`](Failure); else it is what
    ///   any handler may fail with.
    /// - One that answers later takes a [`Replier`] of these types as its first argument.
    #[must_use]
    fn handle<Q, R, E, Args, Place>(
        self,
        request: Request<Q, R, E>,
        handler: impl Handler<Args, S, Output: Answers<R, E>>,
    ) -> Self
    where
        Q: 'static,
        R: 'static,
        E: 'static,
        Args: Takes<Q, Place>;
}

impl<S: Clone + Send + Sync + 'static> RouterExt<S> for Router<S> {
    fn handle<Q, R, E, Args, Place>(
        self,
        request: Request<Q, R, E>,
        handler: impl Handler<Args, S, Output: Answers<R, E>>,
    ) -> Self
    where
        Q: 'static,
        R: 'static,
        E: 'static,
        Args: Takes<Q, Place>,
    {
        self.route(request.route(), handler)
            .__declare(request.route(), TypeId::of::<Request<Q, R, E>>())
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

/// In the last place, and what the arguments before it are.
#[derive(Debug)]
pub struct InLastPlace<Before>(PhantomData<Before>);

/// Nowhere: there is no data. And what the arguments are.
#[derive(Debug)]
pub struct InNoPlace<All>(PhantomData<All>);

/// An argument that reads the data of a message: `Json`, `Payload` and `Bytes`, and `Option` and
/// `Result` of them. Beside the declared data, [`RouterExt::handle`] takes none.
///
/// An extractor of the application's own that reads the data implements it, too; without that the
/// compiler doesn't know it. A `Message`, of which a handler may want to know more than its data, is
/// none.
pub trait ReadsData {}

impl<T> ReadsData for Json<T> {}
impl ReadsData for Payload {}
impl ReadsData for Bytes {}
impl<T: ReadsData> ReadsData for Option<T> {}
impl<T: ReadsData, X> ReadsData for Result<T, X> {}

/// An argument that may stand beside the declared data.
///
/// All types are one, and those that [read the data](ReadsData) are so in two ways, between which
/// the compiler won't choose: that is how it refuses them.
pub trait Beside<Way> {}

/// As all arguments are.
#[derive(Debug)]
pub struct AnArgument(());

/// As only those are that read the data.
#[derive(Debug)]
pub struct ButItReadsTheData(());

impl<T> Beside<AnArgument> for T {}
impl<T: ReadsData> Beside<ButItReadsTheData> for T {}

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
            of it",
    note = "one that answers later takes a `realtime::contract::Replier<{R}, {E}>`"
)]
pub trait Answers<R, E> {}

impl<R, E> Answers<R, E> for Json<R> {}
impl<E> Answers<(), E> for () {}
impl<R, E, T: Answers<R, E>, X: Fails<E>> Answers<R, E> for Result<T, X> {}
impl<R, E> Answers<R, E> for Later<(), Replier<R, E>> {}
impl<R, E, X: Fails<E>> Answers<R, E> for Later<Result<(), X>, Replier<R, E>> {}

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

impl<Q, Place, R, T: Takes<Q, Place>> Takes<Q, Place> for Later<T, R> {}

macro_rules! takes {
    ($($before:ident $way:ident),*) => {
        impl<Q, $($before: Beside<$way>, $way,)* D: DataOf<Q>> Takes<Q, InLastPlace<($($way,)*)>>
            for ($($before,)* D,) {}
        impl<$($before: Beside<$way>, $way,)*> Takes<(), InNoPlace<($($way,)*)>>
            for ($($before,)*) {}
    };
}
takes!();
takes!(A WA);
takes!(A WA, B WB);
takes!(A WA, B WB, C WC);
takes!(A WA, B WB, C WC, I WI);
takes!(A WA, B WB, C WC, I WI, F WF);
takes!(A WA, B WB, C WC, I WI, F WF, G WG);
takes!(A WA, B WB, C WC, I WI, F WF, G WG, H WH);

impl<A, B, C, D, F, G, H, I, WA, WB, WC, WD, WF, WG, WH, WI>
    Takes<(), InNoPlace<(WA, WB, WC, WD, WF, WG, WH, WI)>> for (A, B, C, D, F, G, H, I)
where
    A: Beside<WA>,
    B: Beside<WB>,
    C: Beside<WC>,
    D: Beside<WD>,
    F: Beside<WF>,
    G: Beside<WG>,
    H: Beside<WH>,
    I: Beside<WI>,
{
}
