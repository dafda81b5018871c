//! A gateway for clients that can't say what they speak: where they connect says it.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use http::{Request, Response};
use realtime_core::Identity;
use tower_service::Service;

use super::Gateway;
use crate::{Body, Upgrade, dialects::DialectId};

/// The gateway, as a tower service whose clients all speak one dialect: from
/// [`Gateway::speaking`].
#[derive(Debug, Clone)]
#[must_use = "it does nothing until it is mounted"]
pub struct Speaking {
    gateway: Gateway,
    dialect: DialectId,
}

/// Who has sent a request speaks this, and nothing else.
#[derive(Debug, Clone, Copy)]
pub(super) struct Only(pub(super) DialectId);

impl Gateway {
    /// The same gateway for clients that speak one of its dialects, whatever subprotocol they offer,
    /// and where they offer none: a service to be mounted on a path of its own. `None` where it
    /// speaks no dialect of this name.
    ///
    /// ```
    /// use realtime::codec::JsonCodec;
    ///
    /// let gateway = realtime::builder().build()?;
    /// let json = gateway.speaking("realtime.json").ok_or("it isn't spoken")?;
    /// let app: axum::Router = axum::Router::new()
    ///     .route_service("/ws", gateway)
    ///     .route_service("/ws/json", json);
    /// # let _ = (app, JsonCodec);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn speaking(&self, name: &str) -> Option<Speaking> {
        let dialect = self.node().env.dialects.named(name.as_bytes())?;
        Some(Speaking {
            gateway: self.clone(),
            dialect,
        })
    }
}

impl Speaking {
    /// As [`Gateway::accept`].
    #[must_use = "the response must be returned to the client"]
    pub fn accept(&self, upgrade: Upgrade, identity: Identity) -> Response<Body> {
        let Upgrade(mut parts) = upgrade;
        parts.extensions.insert(Only(self.dialect));
        self.gateway.accept(Upgrade(parts), identity)
    }
}

impl<B> Service<Request<B>> for Speaking {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        request.extensions_mut().insert(Only(self.dialect));
        self.gateway.call(request)
    }
}
