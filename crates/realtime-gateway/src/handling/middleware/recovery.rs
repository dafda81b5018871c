//! A panic becomes an error, and the session continues.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use realtime_core::{BoxError, extract::Reply};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    Inbound,
    guarded::{Whose, guarded, handler_broke, handler_panicked},
};

/// Turns a panic of what it wraps into an error of kind
/// [`Panicked`](crate::HandlerErrorKind::Panicked).
///
/// Without it a panic in a handler ends the session with 1011. It has no effect in a program that
/// is built with `panic = "abort"`.
///
/// ```
/// use realtime::middleware::RecoveryLayer;
///
/// // It catches what the layers after it do, too. Those before it see a panic as a failure.
/// let gateway = realtime::builder().layer(RecoveryLayer::new()).build()?;
/// # Ok::<(), realtime::error::BuildError>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct RecoveryLayer(());

impl RecoveryLayer {
    /// The layer.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for RecoveryLayer {
    type Service = Recovery<S>;

    fn layer(&self, inner: S) -> Recovery<S> {
        Recovery { inner }
    }
}

/// The service of [`RecoveryLayer`].
#[derive(Debug, Clone)]
pub struct Recovery<S> {
    inner: S,
}

impl<S> Service<Inbound> for Recovery<S>
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
            let running = called.map_err(handler_panicked)?;
            // What it wraps may panic when it is dropped, too.
            match guarded(Whose::Handler, None, running).await {
                Ok(result) => result.map_err(Into::into),
                Err(broken) => Err(handler_broke(&broken)),
            }
        })
    }
}
