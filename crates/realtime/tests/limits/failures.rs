//! Failed authentications of an address slow it down, before anybody is asked.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::SeqCst},
};

use realtime::{
    Identity,
    auth::{AuthError, Authenticator},
    config::Limits,
};
use realtime_testkit::client::Request;

use super::support::Server;

/// Counts how often it is asked.
#[derive(Clone, Default)]
struct Guarded(Arc<AtomicU32>);

impl Authenticator for Guarded {
    async fn authenticate(
        &self,
        request: &axum::http::request::Parts,
    ) -> Result<Identity, AuthError> {
        self.0.fetch_add(1, SeqCst);
        match request.uri.query() {
            Some("right") => Ok(Identity::new("ann")),
            Some("away") => Err(AuthError::unavailable("it is away")),
            _ => Err(AuthError::unauthorized("it is wrong")),
        }
    }
}

#[tokio::test]
async fn an_address_that_fails_too_often_has_to_wait() {
    let asked = Guarded::default();
    let mut limits = Limits::default();
    limits.failed_authentications_per_minute = Some(5);
    let gateway = realtime::builder()
        .authenticator(asked.clone())
        .trusted_proxies(["127.0.0.1"])
        .limits(limits)
        .build()
        .unwrap();
    let server = Server::start(gateway).await;
    let request = |path: &str, from: &str| Request::new(path).header("X-Forwarded-For", from);
    // That the server has trouble is nobody's failure, and what is right counts for nothing.
    for _ in 0..10 {
        let away = request("/ws?away", "10.0.0.1").refused(server.addr).await;
        assert_eq!(away.status, 503);
        let right = request("/ws?right", "10.0.0.1");
        drop(right.connect(server.addr).await.unwrap());
    }
    for _ in 0..5 {
        let wrong = request("/ws?wrong", "10.0.0.1").refused(server.addr).await;
        assert_eq!(wrong.status, 401);
    }
    let before = asked.0.load(SeqCst);
    for path in ["/ws?wrong", "/ws?right"] {
        let answer = request(path, "10.0.0.1").refused(server.addr).await;
        assert_eq!(answer.status, 429);
        let wait: u64 = answer.header("Retry-After").unwrap().parse().unwrap();
        assert!((1..=13).contains(&wait), "{wait}");
    }
    assert_eq!(asked.0.load(SeqCst), before, "nobody is asked");
    assert_eq!(server.gateway.stats().authentications_limited, 2);
    let other = request("/ws?right", "10.0.0.2");
    drop(other.connect(server.addr).await.unwrap());
    server.stop().await;
}
