//! Layers around some routes.
//!
//! What they have made for a session is kept among its extensions: a router without such layers pays
//! nothing, nor does a session that has not come by one of these routes.

use std::{
    collections::HashMap,
    fmt,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use realtime_core::{BoxError, extract::Reply};
use tower_layer::Layer;
use tower_service::Service;

use super::{Erased, Running};
use crate::{
    Inbound,
    extract::MessageContext,
    handling::{Host, middleware::MessageService},
    sync::Mutex,
};

/// A layer, whatever its type.
type Around = Arc<dyn Fn(RouteService) -> Box<dyn MessageService> + Send + Sync>;
/// What it has made, for one session and route.
type Stack = Arc<Mutex<Box<dyn MessageService>>>;

/// The handler of one route, as the inner service of the route's layers.
///
/// It is public in name only: layers are written for any inner service.
#[derive(Clone)]
pub struct RouteService(Arc<dyn Fn(Inbound) -> Running + Send + Sync>);

impl Service<Inbound> for RouteService {
    type Response = Reply;
    type Error = BoxError;
    type Future = Running;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, inbound: Inbound) -> Running {
        (self.0)(inbound)
    }
}

impl fmt::Debug for RouteService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteService").finish_non_exhaustive()
    }
}

/// A route that has a layer.
struct Route<S> {
    around: Around,
    handler: Erased<S>,
}

/// The stacks of a session, by the address of their route.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<HashMap<usize, Stack>>>);

pub(super) fn erased<L>(layer: L) -> Around
where
    L: Layer<RouteService> + Send + Sync + 'static,
    L::Service: Service<Inbound, Response = Reply, Error: Into<BoxError>> + Send + 'static,
    <L::Service as Service<Inbound>>::Future: Send + 'static,
{
    Arc::new(move |inner| Box::new(layer.layer(inner)))
}

/// Puts a layer around a handler.
pub(super) fn layered<S>(around: &Around, handler: Erased<S>) -> Erased<S>
where
    S: Clone + Send + Sync + 'static,
{
    let route = Arc::new(Route {
        around: Arc::clone(around),
        handler,
    });
    Arc::new(move |cx: MessageContext<S>| {
        let MessageContext {
            inbound,
            host,
            used,
            state,
            params: _,
        } = cx;
        let Kept(stacks) = inbound.session.extensions().get_or_default::<Kept>();
        let key = Arc::as_ptr(&route).addr();
        let made = stacks.lock().get(&key).cloned();
        let stack = made.unwrap_or_else(|| {
            // Without the lock, since this is foreign code.
            let stack = Arc::new(Mutex::new(route.stack(host, used, state)));
            Arc::clone(stacks.lock().entry(key).or_insert(stack))
        });
        Box::pin(async move {
            poll_fn(|cx| stack.lock().poll_ready(cx)).await?;
            let running = stack.lock().call(inbound);
            running.await
        })
    })
}

impl<S: Clone + Send + Sync + 'static> Route<S> {
    /// The layer around the handler, for a session. Its pattern, and so what it uses up of a route, is
    /// the same for all messages, whatever a layer makes of theirs.
    fn stack(&self, host: Host, used: usize, state: S) -> Box<dyn MessageService> {
        let handler = Arc::clone(&self.handler);
        let innermost = move |inbound: Inbound| {
            handler(MessageContext {
                inbound,
                host: host.clone(),
                used,
                params: None,
                state: state.clone(),
            })
        };
        (self.around)(RouteService(Arc::new(innermost)))
    }
}
