//! A panic becomes an error, and the session goes on.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll},
};

use futures::{FutureExt, future::BoxFuture};
use realtime_core::{BoxError, extract::Reply};
use tower_layer::Layer;
use tower_service::Service;

use crate::{HandlerError, HandlerErrorKind, Inbound};

/// Turns a panic of what it wraps into an error of kind
/// [`Panicked`](HandlerErrorKind::Panicked).
///
/// Without it a panic in a handler ends the session with 1011. It has no effect in a program that
/// is built with `panic = "abort"`.
///
/// ```
/// use realtime::{Recovery, gateway};
///
/// // The outermost layer, so that it catches what the others do, too.
/// let gateway = gateway().layer(Recovery::new()).build()?;
/// # Ok::<(), realtime::BuildError>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Recovery(());

impl Recovery {
    /// The layer.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for Recovery {
    type Service = RecoveryService<S>;

    fn layer(&self, inner: S) -> RecoveryService<S> {
        RecoveryService { inner }
    }
}

/// The service of [`Recovery`].
#[derive(Debug, Clone)]
pub struct RecoveryService<S> {
    inner: S,
}

impl<S> Service<Inbound> for RecoveryService<S>
where
    S: Service<Inbound, Response = Reply, Error: Into<BoxError>>,
    S::Future: Send + 'static,
{
    type Response = Reply;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Reply, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, inbound: Inbound) -> Self::Future {
        // A handler that panics before it returns its future panics here.
        let called = catch_unwind(AssertUnwindSafe(|| self.inner.call(inbound)));
        Box::pin(async move {
            let running = called.map_err(panicked)?;
            let result = AssertUnwindSafe(running)
                .catch_unwind()
                .await
                .map_err(panicked)?;
            result.map_err(Into::into)
        })
    }
}

/// The error for a panic, with its message, for logs.
#[allow(
    clippy::needless_pass_by_value,
    reason = "that is how a panic is caught"
)]
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> BoxError {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let context = format!("the handler panicked: {text}");
    HandlerError::new(HandlerErrorKind::Panicked, context).into()
}
