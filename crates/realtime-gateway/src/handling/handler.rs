//! Async functions as message handlers.

use futures::{FutureExt, future::BoxFuture};
use realtime_core::{
    BoxError,
    extract::{FromContext, IntoReply, Reply},
};

use crate::{HandlerError, HandlerErrorKind, extract::MessageContext};

/// An async function or closure of up to eight [extractors](crate::extract) that returns what
/// [`IntoReply`] accepts.
///
/// It is implemented for all that fit; never implement it yourself. When yours doesn't fit, read
/// "My function is not a handler" in the documentation of the router.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a message handler",
    label = "not an async function of up to eight extractors that returns a reply",
    note = "each argument must be an extractor (`Session`, `Message`, `Json<T>`, `State<T>`, …), \
            the function must be `async`, its future `Send`, and what it returns one of `()`, \
            `Json<T>`, `Payload`, or a `Result` of these",
    note = "see the documentation of `realtime::Router`: \"My function is not a handler\""
)]
pub trait Handler<Args, S>: Clone + Send + Sync + 'static {
    #[doc(hidden)]
    fn call(&self, cx: MessageContext<S>) -> BoxFuture<'static, Result<Reply, BoxError>>;
}

fn rejected(error: impl Into<BoxError>) -> BoxError {
    let context = "an argument of the handler could not be extracted from the message";
    HandlerError::new(HandlerErrorKind::Rejected, context)
        .with_source(error)
        .into()
}

macro_rules! handler {
    ($($arg:ident),*) => {
        impl<F, Fut, S, $($arg,)*> Handler<($($arg,)*), S> for F
        where
            F: Fn($($arg),*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output: IntoReply> + Send + 'static,
            $($arg: FromContext<MessageContext<S>>,)*
        {
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
handler!();
handler!(A);
handler!(A, B);
handler!(A, B, C);
handler!(A, B, C, D);
handler!(A, B, C, D, E);
handler!(A, B, C, D, E, G);
handler!(A, B, C, D, E, G, H);
handler!(A, B, C, D, E, G, H, I);
