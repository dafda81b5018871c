//! The layers of one session, erased once around the whole of them.

use std::{
    any::Any,
    sync::Arc,
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use realtime_core::{BoxError, extract::Reply};
use tower_layer::{Identity, Layer};
use tower_service::Service;

use crate::{Inbound, handling::RouterService};

/// What a session's messages go through on their way to their handlers.
pub(crate) enum Stack {
    /// No layer at all: nothing is a session's own.
    Bare(Arc<RouterService>),
    Layered(Box<dyn MessageService>),
}

impl Stack {
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::Bare(_) => Poll::Ready(Ok(())),
            Self::Layered(layers) => layers.poll_ready(cx),
        }
    }

    // The router's futures are boxed already, and need no second box.
    pub(crate) fn call(&mut self, inbound: Inbound) -> BoxFuture<'static, Result<Reply, BoxError>> {
        match self {
            Self::Bare(router) => router.handle(inbound),
            Self::Layered(layers) => layers.call(inbound),
        }
    }
}

/// The layers of a session behind one type.
pub(crate) trait MessageService: Send {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>>;
    fn call(&mut self, inbound: Inbound) -> BoxFuture<'static, Result<Reply, BoxError>>;
}

impl<S> MessageService for S
where
    S: Service<Inbound, Response = Reply, Error: Into<BoxError>> + Send,
    S::Future: Send + 'static,
{
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Service::poll_ready(self, cx).map_err(Into::into)
    }

    fn call(&mut self, inbound: Inbound) -> BoxFuture<'static, Result<Reply, BoxError>> {
        let running = Service::call(self, inbound);
        Box::pin(async move { running.await.map_err(Into::into) })
    }
}

/// Makes a stack for each session.
pub(crate) type StackFactory = Arc<dyn Fn(&Arc<RouterService>) -> Stack + Send + Sync>;

pub(crate) fn stack_factory<L>(layer: L) -> StackFactory
where
    L: Layer<RouterService> + Send + Sync + 'static,
    L::Service: Service<Inbound, Response = Reply, Error: Into<BoxError>> + Send + 'static,
    <L::Service as Service<Inbound>>::Future: Send + 'static,
{
    if (&layer as &dyn Any).is::<Identity>() {
        return Arc::new(|router| Stack::Bare(Arc::clone(router)));
    }
    Arc::new(move |router| {
        let router = RouterService::clone(router);
        Stack::Layered(Box::new(layer.layer(router)))
    })
}
