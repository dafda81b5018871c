//! An async closure as a layer.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use realtime_core::{BoxError, extract::Reply};
use tower_layer::Layer;
use tower_service::Service;

use crate::Inbound;

/// A layer from an async function of the message and of what comes [next](Next).
///
/// ```
/// use realtime::{
///     BoxError, ClientError,
///     extract::Reply,
///     middleware::{Inbound, Next, from_fn},
/// };
///
/// async fn admins_only(inbound: Inbound, next: Next) -> Result<Reply, BoxError> {
///     if inbound.message.route().starts_with("admin.")
///         && !inbound.session.identity().has_role("admin")
///     {
///         return Err(ClientError::new("forbidden", "only admins may do that").into());
///     }
///     next.run(inbound).await
/// }
///
/// let layer = from_fn(admins_only);
/// ```
pub const fn from_fn<F>(f: F) -> FromFnLayer<F> {
    FromFnLayer(f)
}

/// The layer that [`from_fn`] makes.
#[derive(Clone, Copy)]
pub struct FromFnLayer<F>(F);

impl<F> fmt::Debug for FromFnLayer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromFnLayer").finish_non_exhaustive()
    }
}

impl<F: Clone, S> Layer<S> for FromFnLayer<F> {
    type Service = FromFn<F, S>;

    fn layer(&self, inner: S) -> FromFn<F, S> {
        FromFn {
            f: self.0.clone(),
            inner: Shared(Arc::new(Mutex::new(inner))),
        }
    }
}

/// The service of [`from_fn`].
pub struct FromFn<F, S> {
    f: F,
    inner: Shared<S>,
}

/// The inner service, which a [`Next`] calls later. A session handles one message at a time, so
/// nobody ever waits for this lock; it is what lets inner services be other than `Clone`.
struct Shared<S>(Arc<Mutex<S>>);

impl<S> Shared<S> {
    fn lock(&self) -> MutexGuard<'_, S> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F, S> fmt::Debug for FromFn<F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromFn").finish_non_exhaustive()
    }
}

/// The rest of the stack, for one message.
pub struct Next(Box<dyn FnOnce(Inbound) -> BoxFuture<'static, Result<Reply, BoxError>> + Send>);

impl Next {
    /// Passes the message on. It can be passed on once, or not at all.
    ///
    /// # Errors
    /// Those of the inner layers and of the handler.
    pub async fn run(self, inbound: Inbound) -> Result<Reply, BoxError> {
        (self.0)(inbound).await
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").finish_non_exhaustive()
    }
}

impl<F, Fut, E, S> Service<Inbound> for FromFn<F, S>
where
    F: Fn(Inbound, Next) -> Fut,
    Fut: Future<Output = Result<Reply, E>> + Send + 'static,
    E: Into<BoxError>,
    S: Service<Inbound, Response = Reply, Error: Into<BoxError>> + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Reply;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Reply, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.lock().poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, inbound: Inbound) -> Self::Future {
        let inner = Shared(Arc::clone(&self.inner.0));
        let next = Next(Box::new(move |inbound| {
            let running = inner.lock().call(inbound);
            Box::pin(async move { running.await.map_err(Into::into) })
        }));
        let running = (self.f)(inbound, next);
        Box::pin(async move { running.await.map_err(Into::into) })
    }
}
