//! What balancers and supervisors ask: whether clients may be sent here, and whether the process lives.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
};
use serde::Serialize;
use tower_service::Service;

use super::Gateway;
use crate::{Health, HealthStatus, admission::Body};

/// How long a client that was sent here all the same is to wait, in seconds.
const COME_BACK: HeaderValue = HeaderValue::from_static("5");

/// A tower service that says whether clients may be sent to this node, for a path such as `/readyz`.
///
/// 200 while they may, also where a backend is away: the node serves its sessions, and most likely
/// all other nodes miss the same backend. 503 from the moment on at which a
/// [drain](Gateway::drain) or a shutdown of one of its gateways begins, and `serve` answers until it is
/// over. The body is JSON for people, `{"status": "degraded", "reasons": ["presence: down"],
/// "sessions": 12}`, and names no address; [`Gateway::health`] has the causes.
///
/// ```
/// use realtime::{Livez, Readyz};
///
/// # let gateway = realtime::builder().build()?;
/// let app: axum::Router = axum::Router::new()
///     .route_service("/livez", Livez)
///     .route_service("/readyz", Readyz::of(&gateway))
///     .route_service("/ws", gateway);
/// # Ok::<(), realtime::error::BuildError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a service does nothing until it is on a path"]
pub struct Readyz(Vec<Gateway>);

impl Readyz {
    /// That of one gateway.
    pub fn of(gateway: &Gateway) -> Self {
        Self(vec![gateway.clone()])
    }

    /// Adds another gateway of the same server: one that isn't ready is enough.
    pub fn and_gateway(mut self, gateway: &Gateway) -> Self {
        self.0.push(gateway.clone());
        self
    }

    fn said(&self) -> Said {
        let mut said = Said {
            status: HealthStatus::Ready,
            reasons: Vec::new(),
            sessions: 0,
        };
        for gateway in &self.0 {
            let Health {
                status,
                reasons,
                sessions,
                ..
            } = gateway.health();
            said.status = said.status.max(status);
            said.sessions += sessions;
            for reason in reasons {
                if !said.reasons.contains(&reason) {
                    said.reasons.push(reason);
                }
            }
        }
        said
    }
}

/// What is said of all gateways of a server.
#[derive(Debug, Serialize)]
struct Said {
    status: HealthStatus,
    reasons: Vec<String>,
    sessions: usize,
}

/// A tower service that says that the process lives, for a path such as `/livez`: 200, for as long as
/// anything is answered. It asks no backend: a supervisor that starts all nodes again because Redis
/// is away makes an outage of it.
#[derive(Debug, Clone, Copy, Default)]
#[must_use = "a service does nothing until it is on a path"]
pub struct Livez;

impl<B> Service<Request<B>> for Readyz {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(answer(request.method(), || {
            let said = self.said();
            let status = match said.status {
                HealthStatus::Draining => StatusCode::SERVICE_UNAVAILABLE,
                HealthStatus::Degraded | HealthStatus::Ready => StatusCode::OK,
            };
            // Strings and numbers: nothing in it can fail.
            let body = serde_json::to_vec(&said).unwrap_or_default();
            (status, "application/json", body.into())
        })))
    }
}

impl<B> Service<Request<B>> for Livez {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let alive = || (StatusCode::OK, "text/plain", Body::from("ok"));
        ready(Ok(answer(request.method(), alive)))
    }
}

fn answer(
    method: &Method,
    asked: impl FnOnce() -> (StatusCode, &'static str, Body),
) -> Response<Body> {
    let mut response = Response::default();
    if method != Method::GET && method != Method::HEAD {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        let allowed = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allowed);
        return response;
    }
    let (status, kind, body) = asked();
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, COME_BACK);
    }
    *response.body_mut() = body;
    response
}
