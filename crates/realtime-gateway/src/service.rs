//! The gateway as a tower service: from a request to a session or a refusal.
//!
//! ```text
//!   handshake ─► draining? ─► origin ─► a place? ─► authenticate ─► 101 ─► upgrade ─► session
//! ```

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use http::{Request, Response, request::Parts};
use hyper::upgrade::OnUpgrade;
use realtime_core::{
    BoxError, Identity, IdentityKey,
    auth::{AuthErrorKind, Authenticator},
};
use tower_service::Service;

use crate::{
    ErrorStage, Gateway, admission::Slot, body::Body, handshake::Handshake, lease, log::Chain,
    refusal::Refusal, session, shared::Shared,
};

/// How long the connection may take to become a WebSocket after the 101.
const UPGRADE: Duration = Duration::from_secs(10);

/// An upgrade request in the hands of a handler of the host, for
/// [`Gateway::accept`](crate::Gateway::accept).
///
/// With the feature `axum` it is an axum extractor.
#[derive(Debug)]
#[must_use = "an upgrade does nothing until a gateway accepts it"]
pub struct Upgrade(Parts);

impl Upgrade {
    /// Takes the upgrade out of a request.
    pub fn from_request<B>(request: Request<B>) -> Self {
        Self(request.into_parts().0)
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> &Parts {
        &self.0
    }
}

#[cfg(feature = "axum")]
impl<S: Sync> axum::extract::FromRequestParts<S> for Upgrade {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let mut own = Request::new(()).into_parts().0;
        own.method = parts.method.clone();
        own.uri = parts.uri.clone();
        own.version = parts.version;
        own.headers = parts.headers.clone();
        own.extensions = std::mem::take(&mut parts.extensions);
        parts.extensions = own.extensions.clone();
        // It can't be cloned and belongs to whoever upgrades.
        if let Some(upgrade) = parts.extensions.remove::<OnUpgrade>() {
            own.extensions.insert(upgrade);
        }
        Ok(Self(own))
    }
}

impl<B> Service<Request<B>> for Gateway {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (gateway, parts) = (self.clone(), request.into_parts().0);
        Box::pin(async move { Ok(gateway.answer(parts).await) })
    }
}

impl Gateway {
    /// Accepts an upgrade for somebody whom the host has authenticated itself.
    ///
    /// Every other check is made: a cookie login must not let another site's page connect as its
    /// visitor. The response is 101, or the refusal.
    #[must_use = "the response must be returned to the client"]
    pub fn accept(&self, upgrade: Upgrade, identity: Identity) -> Response<Body> {
        let Upgrade(parts) = upgrade;
        let admitted = self.admit(&parts);
        self.respond(
            admitted.and_then(|(handshake, slot)| self.open(parts, handshake, slot, identity)),
        )
    }

    async fn answer(&self, parts: Parts) -> Response<Body> {
        let admitted = self.admit(&parts);
        self.respond(match admitted {
            Ok((handshake, slot)) => match authenticate(self.shared(), &parts).await {
                Ok(identity) => self.open(parts, handshake, slot, identity),
                Err(refusal) => Err(refusal),
            },
            Err(refusal) => Err(refusal),
        })
    }

    fn respond(&self, outcome: Result<Response<Body>, Refusal>) -> Response<Body> {
        outcome.unwrap_or_else(|refusal| {
            self.shared().stats.refused.add(1);
            tracing::debug!(target: crate::log_targets::ADMISSION, ?refusal, "refused");
            refusal.response()
        })
    }

    /// Everything before authentication.
    fn admit(&self, request: &Parts) -> Result<(Handshake, Slot), Refusal> {
        let shared = self.shared();
        let handshake = Handshake::check(request, shared.codec.name())?;
        if shared.is_draining() {
            return Err(Refusal::Draining);
        }
        if !shared.origin.allows(&request.headers) {
            return Err(Refusal::Origin);
        }
        let slot = shared.admission.enter().ok_or(Refusal::Full)?;
        Ok((handshake, slot))
    }

    /// Everything after it: 101, and a task that becomes the session.
    fn open(
        &self,
        mut request: Parts,
        handshake: Handshake,
        mut slot: Slot,
        identity: Identity,
    ) -> Result<Response<Body>, Refusal> {
        let shared = self.shared();
        // It may have begun to shut down while the authenticator was asked.
        if shared.is_draining() {
            return Err(Refusal::Draining);
        }
        if identity.key().is_too_long() {
            let limit = IdentityKey::MAX_BYTES;
            let error = format!("expected an identity of at most {limit} bytes; got a longer one");
            return Err(refused(shared, Refusal::Unauthorized, error.into()));
        }
        let upgrade = request
            .extensions
            .remove::<OnUpgrade>()
            .ok_or(Refusal::NotUpgradable)?;
        let response = handshake.response().ok_or(Refusal::NotUpgradable)?;
        let remote_addr = shared.proxies.client(&request);
        slot.open();
        lease::spawn(shared);
        shared.hub.run(shared);
        let waiting = Arc::clone(shared);
        shared.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = waiting.drain.cancelled() => {}
                upgraded = tokio::time::timeout(UPGRADE, upgrade) => match upgraded {
                    Ok(Ok(stream)) => {
                        session::spawn(&waiting, slot, stream, identity, remote_addr);
                    }
                    Ok(Err(error)) => {
                        waiting.stats.upgrades_failed.add(1);
                        tracing::debug!(
                            target: crate::log_targets::ADMISSION, %error, "the upgrade failed",
                        );
                    }
                    Err(_) => {
                        waiting.stats.upgrades_failed.add(1);
                        tracing::debug!(
                            target: crate::log_targets::ADMISSION, "the upgrade did not follow the 101",
                        );
                    }
                },
            }
        });
        Ok(response)
    }
}

async fn authenticate(shared: &Shared, request: &Parts) -> Result<Identity, Refusal> {
    // An async block, so that what the authenticator does before its first await is caught too.
    let asked = AssertUnwindSafe(async { shared.authenticator.authenticate(request).await });
    let asked = asked.catch_unwind();
    let answer = match shared.config.auth_timeout {
        Some(limit) => tokio::time::timeout(limit, asked).await,
        None => Ok(asked.await),
    };
    let (refusal, error) = match answer {
        Ok(Ok(Ok(identity))) => return Ok(identity),
        Ok(Ok(Err(error))) => match error.kind() {
            AuthErrorKind::Unauthorized => (Refusal::Unauthorized, error.into()),
            AuthErrorKind::Unavailable => (Refusal::AuthUnavailable, error.into()),
            _ => (Refusal::AuthBroken, error.into()),
        },
        Ok(Err(_panic)) => (Refusal::AuthBroken, "the authenticator panicked".into()),
        Err(_) => (
            Refusal::AuthUnavailable,
            "the authenticator took too long".into(),
        ),
    };
    Err(refused(shared, refusal, error))
}

/// Tells of a request that was refused because of who sent it.
fn refused(shared: &Shared, refusal: Refusal, error: BoxError) -> Refusal {
    if matches!(refusal, Refusal::Unauthorized) && shared.hooks.error.is_empty() {
        // Anybody can cause it, and as often as they like.
        tracing::debug!(target: crate::log_targets::ADMISSION, error = %Chain(&*error), "unauthorized");
    } else {
        shared.report(ErrorStage::Authentication, error, None);
    }
    refusal
}
