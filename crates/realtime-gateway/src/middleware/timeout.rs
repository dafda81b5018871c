//! A handler that takes too long is dropped.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use realtime_core::{BoxError, extract::Reply};
use tower_layer::Layer;
use tower_service::Service;

use crate::{HandlerError, HandlerErrorKind, Inbound};

/// Drops what it wraps after a time, with an error of kind
/// [`TimedOut`](HandlerErrorKind::TimedOut).
///
/// Dropping cuts a handler off at its current `await`. Work that must not be cut in half belongs
/// in a task of its own.
///
/// ```
/// use std::time::Duration;
/// use realtime::{Timeout, gateway};
///
/// let gateway = gateway().layer(Timeout::new(Duration::from_secs(5))).build()?;
/// # Ok::<(), realtime::BuildError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Timeout(Duration);

impl Timeout {
    /// The layer. Zero means no limit.
    #[must_use]
    pub const fn new(limit: Duration) -> Self {
        Self(limit)
    }
}

impl<S> Layer<S> for Timeout {
    type Service = TimeoutService<S>;

    fn layer(&self, inner: S) -> TimeoutService<S> {
        TimeoutService {
            inner,
            limit: self.0,
        }
    }
}

/// The service of [`Timeout`].
#[derive(Debug, Clone)]
pub struct TimeoutService<S> {
    inner: S,
    limit: Duration,
}

impl<S> Service<Inbound> for TimeoutService<S>
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
        let (running, limit) = (self.inner.call(inbound), self.limit);
        Box::pin(async move {
            if limit.is_zero() {
                return running.await.map_err(Into::into);
            }
            match tokio::time::timeout(limit, running).await {
                Ok(result) => result.map_err(Into::into),
                Err(_) => {
                    let context = format!("the handler took longer than {limit:?}");
                    Err(HandlerError::new(HandlerErrorKind::TimedOut, context).into())
                }
            }
        })
    }
}
