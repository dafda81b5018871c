//! A line in the log for each message.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use realtime_core::{BoxError, extract::Reply};
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;
use tracing::{Instrument, Span};

use crate::{Inbound, escape::Escaped, handling::client_error::for_client};

/// Logs each message at debug level, under the target `realtime::message`, with the fields
/// `session`, `route` and `elapsed`. Data and metadata are never logged.
///
/// Where its handling failed, the field `answer` is the code that the client learns. The error
/// itself is for the `on_error` hooks, or in the log under `realtime::error` where there are none,
/// so that a failure is logged once. Put [`RecoveryLayer`](super::RecoveryLayer) after it, which is
/// inside it: then panics are failures, too.
///
/// ```
/// use realtime::middleware::LoggerLayer;
///
/// use realtime::middleware::RecoveryLayer;
///
/// // RUST_LOG=realtime::message=debug shows every message.
/// let gateway = realtime::builder()
///     .layer(LoggerLayer::new())
///     .layer(RecoveryLayer::new())
///     .build()?;
/// # Ok::<(), realtime::error::BuildError>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct LoggerLayer {
    in_span: bool,
}

impl LoggerLayer {
    /// The layer.
    #[must_use]
    pub const fn new() -> Self {
        Self { in_span: false }
    }

    /// Does what is inside it in a span `message` at info level, with the fields `session` and
    /// `route`: so what handlers log says whose message it was.
    ///
    /// That costs some thousand instructions a message, where a subscriber wants such spans.
    ///
    /// ```
    /// use realtime::{Router, middleware::LoggerLayer};
    ///
    /// async fn save() {
    ///     // … INFO message{session=8d1c… route="save"}: my_app: saved
    ///     tracing::info!("saved");
    /// }
    ///
    /// let gateway = realtime::builder()
    ///     .router(Router::new().route("save", save))
    ///     .layer(LoggerLayer::new().in_span())
    ///     .build()?;
    /// # Ok::<(), realtime::error::BuildError>(())
    /// ```
    #[must_use]
    pub const fn in_span(self) -> Self {
        Self { in_span: true }
    }
}

impl<S> Layer<S> for LoggerLayer {
    type Service = Logger<S>;

    fn layer(&self, inner: S) -> Logger<S> {
        let Self { in_span } = *self;
        Logger { inner, in_span }
    }
}

/// The service of [`LoggerLayer`].
#[derive(Debug, Clone)]
pub struct Logger<S> {
    inner: S,
    in_span: bool,
}

impl<S> Service<Inbound> for Logger<S>
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
        let (session, route) = (inbound.session.id(), inbound.message.route_text().clone());
        let span = match self.in_span {
            true => tracing::info_span!(
                target: crate::log_targets::MESSAGE, "message", %session, route = %Escaped(&route),
            ),
            false => Span::none(),
        };
        // A service may begin with its work here.
        let running = span.in_scope(|| self.inner.call(inbound));
        Box::pin(async move {
            let start = Instant::now();
            let result = running.instrument(span).await.map_err(Into::into);
            let (elapsed, route) = (start.elapsed(), Escaped(&route));
            match &result {
                Ok(_) => tracing::debug!(
                    target: crate::log_targets::MESSAGE, %session, %route, ?elapsed, "handled",
                ),
                Err(error) => {
                    let told = for_client(error);
                    tracing::debug!(
                        target: crate::log_targets::MESSAGE,
                        %session, %route, ?elapsed, answer = %Escaped(told.code()), "failed",
                    );
                }
            }
            result
        })
    }
}
