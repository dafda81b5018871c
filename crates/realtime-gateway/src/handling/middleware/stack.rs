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

/// A session's stack behind one type.
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

/// No layer at all. The router's futures are boxed already, and need no second box.
struct Bare(RouterService);

impl MessageService for Bare {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Service::poll_ready(&mut self.0, cx)
    }

    fn call(&mut self, inbound: Inbound) -> BoxFuture<'static, Result<Reply, BoxError>> {
        Service::call(&mut self.0, inbound)
    }
}

/// Makes a stack for each session.
pub(crate) type StackFactory = Arc<dyn Fn(RouterService) -> Box<dyn MessageService> + Send + Sync>;

pub(crate) fn stack_factory<L>(layer: L) -> StackFactory
where
    L: Layer<RouterService> + Send + Sync + 'static,
    L::Service: Service<Inbound, Response = Reply, Error: Into<BoxError>> + Send + 'static,
    <L::Service as Service<Inbound>>::Future: Send + 'static,
{
    if (&layer as &dyn Any).is::<Identity>() {
        return Arc::new(|router| Box::new(Bare(router)));
    }
    Arc::new(move |router| Box::new(layer.layer(router)))
}
