//! Failed authentications of an address slow it down, before anybody is asked.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use realtime::{
    Identity,
    auth::{AuthError, Authenticator, Token},
    config::Limits,
};
use realtime_testkit::client::Request;
use serde_json::json;

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
            Some("old") => Err(AuthError::expired("it has ended")),
            Some("slow") => {
                tokio::time::sleep(Duration::from_millis(300)).await;
                Err(AuthError::unauthorized("it is wrong"))
            }
            Some("right") => Ok(Identity::new("ann")),
            Some("away") => Err(AuthError::unavailable("it is away")),
            _ => Err(AuthError::unauthorized("it is wrong")),
        }
    }

    async fn authenticate_token(&self, token: Token) -> Result<Identity, AuthError> {
        self.0.fetch_add(1, SeqCst);
        match token.expose() {
            "right" => Ok(Identity::new("ann")),
            "old" => Err(AuthError::expired("it has ended")),
            _ => Ok(Identity::new("bob")),
        }
    }

    fn accepts_tokens(&self) -> bool {
        true
    }
}

/// Where authentication may fail five times a minute.
async fn server(asked: &Guarded) -> Server {
    allowing(5, asked).await
}

async fn allowing(per_minute: u32, asked: &Guarded) -> Server {
    let mut limits = Limits::default();
    limits.failed_authentications_per_minute = Some(per_minute);
    let gateway = crate::support::builder()
        .authenticator(asked.clone())
        .trusted_proxies(["127.0.0.1"])
        .limits(limits)
        .build()
        .unwrap();
    Server::start(gateway).await
}

#[tokio::test]
async fn many_at_once_do_not_get_further_than_one_after_the_other() {
    let asked = Guarded::default();
    let server = server(&asked).await;
    let slow = Request::new("/ws?slow").header("X-Forwarded-For", "10.0.0.1");
    let answers = join_all((0..100).map(|_| slow.refused(server.addr))).await;
    assert!(answers.iter().all(|a| [401, 429].contains(&a.status)));
    let asked = asked.0.load(SeqCst);
    // As many may be under way when the last of those that may fail does.
    assert!((5..10).contains(&asked), "{asked}");
    server.stop().await;
}

#[tokio::test]
async fn an_old_token_counts_before_the_upgrade_and_on_a_connection() {
    let asked = Guarded::default();
    let server = server(&asked).await;
    for _ in 0..2 {
        let old = Request::new("/ws?old").refused(server.addr).await;
        assert_eq!(old.status, 401);
    }
    let right = Request::new("/ws?right");
    let mut client = right.connect(server.addr).await.unwrap();
    let mut other = right.connect(server.addr).await.unwrap();
    for _ in 0..2 {
        let answer = client.request("authenticate", json!({"token": "old"}));
        assert_eq!(answer.await.unwrap()["data"]["code"], "expired");
    }
    // Somebody else's is no better than one that isn't right.
    let data = json!({"route": "authenticate", "data": {"token": "bobs"}});
    other.send_text(&data.to_string()).await.unwrap();
    let (code, reason) = other.closed().await.unwrap();
    assert_eq!((code, &*reason), (3500, "the token is not valid"));
    let before = asked.0.load(SeqCst);
    let answer = client.request("authenticate", json!({"token": "right"}));
    let answer = answer.await.unwrap();
    assert_eq!(answer["data"]["code"], "too_many_requests");
    assert!(answer["data"]["retry_after"].as_f64().unwrap() <= 12.);
    assert_eq!(right.refused(server.addr).await.status, 429);
    assert_eq!(asked.0.load(SeqCst), before, "nobody is asked");
    assert_eq!(server.gateway.stats().authentications_limited, 2);
    server.stop().await;
}

/// A subscriber of IPv6 may have 65,536 networks.
#[tokio::test]
async fn changing_the_network_helps_only_so_often() {
    let asked = Guarded::default();
    let server = allowing(1, &asked).await;
    let from = |n: u32| Request::new("/ws?wrong").header("X-Forwarded-For", &n_th(n));
    let begun = Instant::now();
    let mut looked_at = 0;
    for n in 0..300 {
        let status = from(n).refused(server.addr).await.status;
        assert!([401, 429].contains(&status), "{status}");
        looked_at += usize::from(status == 401);
    }
    // 256 times one, and what has come back meanwhile.
    let back = begun.elapsed().as_secs_f64() * 256. / 60.;
    let most = (256 + 1 + back as usize).min(300);
    assert!((256..=most).contains(&looked_at), "{looked_at} of {most}");
    assert_eq!(asked.0.load(SeqCst) as usize, looked_at);
    let elsewhere = Request::new("/ws?right").header("X-Forwarded-For", "2001:db8:2::1");
    drop(elsewhere.connect(server.addr).await.unwrap());
    server.stop().await;
}

fn n_th(n: u32) -> String {
    format!("2001:db8:1:{n:x}::1")
}

#[tokio::test]
async fn an_address_that_fails_too_often_has_to_wait() {
    let asked = Guarded::default();
    let server = server(&asked).await;
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
