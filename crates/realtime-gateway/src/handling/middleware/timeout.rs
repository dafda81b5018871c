//! A handler that takes too long is dropped.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use realtime_core::{BoxError, extract::Reply, patient};
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
/// use realtime::middleware::TimeoutLayer;
///
/// let gateway = realtime::builder().layer(TimeoutLayer::new(Duration::from_secs(5))).build()?;
/// # Ok::<(), realtime::error::BuildError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct TimeoutLayer(Option<Duration>);

impl TimeoutLayer {
    /// The layer. `None` or zero means no limit.
    ///
    /// ```
    /// use std::time::Duration;
    /// use realtime::middleware::TimeoutLayer;
    ///
    /// let five_seconds = TimeoutLayer::new(Duration::from_secs(5));
    /// let no_limit = TimeoutLayer::new(None);
    /// ```
    #[must_use]
    pub fn new(limit: impl Into<Option<Duration>>) -> Self {
        Self(limit.into().filter(|limit| !limit.is_zero()))
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout {
            inner,
            limit: self.0,
        }
    }
}

/// The service of [`TimeoutLayer`].
#[derive(Debug, Clone)]
pub struct Timeout<S> {
    inner: S,
    limit: Option<Duration>,
}

impl<S> Service<Inbound> for Timeout<S>
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
            let Some(limit) = limit else {
                return running.await.map_err(Into::into);
            };
            // What it waits for may have come while the process stood still.
            match patient(limit, running).await {
                Some(result) => result.map_err(Into::into),
                None => {
                    let context = format!("the handler took longer than {limit:?}");
                    Err(HandlerError::new(HandlerErrorKind::TimedOut, context).into())
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_and_none_are_no_limit() {
        let limit = Duration::from_millis(1);
        assert_eq!(TimeoutLayer::new(limit).0, Some(limit));
        assert_eq!(TimeoutLayer::new(Duration::ZERO).0, None);
        assert_eq!(TimeoutLayer::new(None).0, None);
    }
}
