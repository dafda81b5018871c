//! Hooks and handlers that fail, hang or panic, and what is left of their session.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use realtime::{
    ClientError, Identity, Session,
    auth::{AuthError, Authenticator},
    hooks::{ErrorContext, ErrorStage},
    middleware::{RecoveryLayer, TimeoutLayer},
};
use realtime_testkit::{client::Request, wait::until};
use serde_json::{Value, json};
use tokio::sync::oneshot::{self, error::RecvError};

use crate::{
    log::SECRET,
    support::{Ends, Host, Server, router},
};

const SHORT: Duration = Duration::from_millis(100);

/// The query is the name.
struct ByName;

impl Authenticator for ByName {
    async fn authenticate(
        &self,
        request: &axum::http::request::Parts,
    ) -> Result<Identity, AuthError> {
        Ok(Identity::new(request.uri.query().unwrap_or("anonymous")))
    }
}

/// Does what the name of the session's identity says.
async fn moody(session: Session) -> Result<(), String> {
    match session.identity_key().id() {
        "fails" => Err("not you".to_owned()),
        "panics" => panic!("on purpose"),
        "hangs" => std::future::pending().await,
        _ => Ok(()),
    }
}

#[tokio::test]
async fn a_connect_hook_that_fails_panics_or_hangs_leaves_no_trace() {
    let ends = Ends::default();
    let builder = realtime::builder().router(router()).authenticator(ByName);
    let builder = ends.hear(builder.hook_timeout(Some(SHORT)).on_connect(moody));
    let gateway = builder.build().unwrap();
    let server = Server::start(gateway.clone()).await;
    for (n, (name, code)) in [("fails", 1008), ("panics", 1011), ("hangs", 1011)]
        .into_iter()
        .enumerate()
    {
        let request = Request::new(format!("/ws?{name}"));
        let mut client = request.connect(server.addr).await.unwrap();
        client.send("echo", json!(SECRET)).await.unwrap();
        assert_eq!(client.closed().await.unwrap().0, code, "{name}");
        drop(client);
        server.until_alone().await;
        let key = Identity::new(name).key().clone();
        assert!(!gateway.is_online(&key).await.unwrap());
        assert!(gateway.local_sessions_of(&key).is_empty());
        assert_eq!(server.stats().connects_refused, n as u64 + 1);
    }
    let stats = server.stats();
    assert_eq!((stats.hooks_abandoned, ends.take().len()), (1, 0));
    server.finish_after(1).await;
}

/// Its answer comes from a task that holds the thread of all that runs here for too long.
async fn asks() -> Result<(), RecvError> {
    let (answer, answered) = oneshot::channel();
    tokio::spawn(async move {
        std::thread::sleep(3 * SHORT);
        // The time is seen to be over before this goes on.
        tokio::task::yield_now().await;
        answer.send(())
    });
    answered.await
}

/// What it waits for has come, but nobody could look at it.
#[tokio::test]
async fn a_hook_and_a_handler_are_in_time_whose_answer_came_while_the_process_stood_still() {
    let routes = router().route("asks", asks);
    let builder = realtime::builder().router(routes);
    let builder = builder.layer(TimeoutLayer::new(SHORT));
    let builder = builder.hook_timeout(Some(SHORT)).on_connect(asks);
    let server = Server::start(builder.build().unwrap()).await;
    let mut client = Request::new("/ws").connect(server.addr).await.unwrap();
    let answer = client.request("echo", json!(1)).await.unwrap();
    assert_eq!(answer["data"], 1);
    let answer = client.request("asks", Value::Null).await.unwrap();
    assert_eq!(answer["route"], "asks", "{answer}");
    let stats = server.stats();
    assert_eq!((stats.hooks_abandoned, stats.connects_refused), (0, 0));
    drop(client);
    server.until_alone().await;
    server.finish().await;
}

#[tokio::test]
async fn a_disconnect_hook_that_fails_panics_or_hangs_is_left_behind() {
    let failed = Arc::new(AtomicUsize::new(0));
    let hears = Arc::clone(&failed);
    let ends = Ends::default();
    let builder = realtime::builder().router(router()).authenticator(ByName);
    let builder = builder.hook_timeout(Some(SHORT)).on_disconnect(moody);
    let builder = builder.on_error(move |error: ErrorContext| {
        hears.fetch_add(usize::from(error.stage() == ErrorStage::Hook), SeqCst);
        async {}
    });
    // The hook after it still runs.
    let server = Server::start(ends.hear(builder).build().unwrap()).await;
    for name in ["fails", "panics", "hangs"] {
        let request = Request::new(format!("/ws?{name}"));
        let mut client = request.connect(server.addr).await.unwrap();
        client.close(1000, SECRET).await.unwrap();
        assert_eq!(client.closed().await.unwrap().0, 1000, "{name}");
        drop(client);
        server.until_alone().await;
    }
    assert_eq!(ends.take().len(), 3);
    assert_eq!(server.stats().hooks_abandoned, 1);
    until("all are reported", async || failed.load(SeqCst) == 3).await;
    server.finish_after(1).await;
}

#[tokio::test]
async fn a_handler_that_fails_hangs_or_panics_ends_nothing_but_its_message() {
    let routes = router()
        .route("fails", async || {
            Err::<(), _>(format!("the key is {SECRET}"))
        })
        .route("tells", async || Err::<(), _>(ClientError::new("no", "no")))
        .route("panics", async || -> () { panic!("on purpose") })
        .route("hangs", std::future::pending::<()>);
    let reported = Arc::new(AtomicUsize::new(0));
    let hears = Arc::clone(&reported);
    let builder = realtime::builder()
        .router(routes)
        .layer(RecoveryLayer::new());
    let builder = builder.layer(TimeoutLayer::new(SHORT));
    let builder = builder.on_error(move |error: ErrorContext| {
        hears.fetch_add(usize::from(error.stage() == ErrorStage::Message), SeqCst);
        async {}
    });
    let server = Server::start(builder.build().unwrap()).await;
    let mut client = server.connect().await;
    let rows = [
        ("fails", "internal"),
        ("tells", "no"),
        ("panics", "internal"),
        ("hangs", "timeout"),
    ];
    for (n, (route, code)) in rows.into_iter().enumerate() {
        let answer = client.request(route, Value::Null).await.unwrap();
        assert_eq!(answer["data"]["code"], code);
        assert!(!answer.to_string().contains(SECRET));
        assert_eq!(server.stats().failed, n as u64 + 1);
        assert_eq!(client.request("echo", json!(n)).await.unwrap()["data"], n);
    }
    until("all are reported", async || {
        reported.load(SeqCst) == rows.len()
    })
    .await;
    assert_eq!(server.stats().panics, 0);
    drop(client);
    server.until_alone().await;
    server.finish_after(1).await;
}

#[tokio::test]
async fn a_panic_that_nothing_recovers_ends_its_session_and_no_other() {
    let routes = router().route("panics", async || -> () { panic!("on purpose") });
    let ends = Ends::default();
    let server = Server::start(
        ends.hear(realtime::builder().router(routes))
            .build()
            .unwrap(),
    )
    .await;
    let mut client = server.connect().await;
    let panics = json!({"id": "1", "route": "panics"}).to_string();
    client.send_text(&panics).await.unwrap();
    assert_eq!(
        client.recv_json().await.unwrap()["data"]["code"],
        "internal"
    );
    assert_eq!(client.closed().await.unwrap().0, 1011);
    drop(client);
    server.until_alone().await;
    assert_eq!(ends.take().len(), 1);
    assert_eq!((server.stats().panics, server.stats().failed), (1, 1));
    server.finish_after(1).await;
}

/// Hangs for everybody whose name isn't the bystander's.
struct Hanging(Arc<AtomicUsize>);

impl Authenticator for Hanging {
    async fn authenticate(
        &self,
        request: &axum::http::request::Parts,
    ) -> Result<Identity, AuthError> {
        if request.uri.query().is_none() {
            return Ok(Identity::new("anonymous"));
        }
        self.0.fetch_add(1, SeqCst);
        std::future::pending().await
    }
}

#[tokio::test]
async fn past_the_bound_for_authenticating_nobody_is_asked_and_a_peer_that_leaves_frees_its_place()
{
    const MOST: usize = 20;
    let asked = Arc::new(AtomicUsize::new(0));
    let builder = realtime::builder()
        .router(router())
        .authenticator(Hanging(Arc::clone(&asked)))
        .auth_timeout(Some(Duration::from_secs(60)))
        .max_authenticating(MOST);
    let gateway = builder.build().unwrap();
    let server = Server::under(Host::Ours, gateway, Request::new("/ws")).await;
    let secret = format!("/ws?token={SECRET}");
    let ask = || {
        let (request, addr) = (Request::new(&secret), server.addr);
        tokio::spawn(async move { drop(request.connect(addr).await) })
    };
    let waiting: Vec<_> = (0..MOST).map(|_| ask()).collect();
    until("all are asked", async || asked.load(SeqCst) == MOST).await;
    let answer = Request::new(&secret).refused(server.addr).await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    assert_eq!((asked.load(SeqCst), server.stats().refused), (MOST, 1));
    for asking in waiting {
        asking.abort();
    }
    let freed = async || Request::new("/ws").connect(server.addr).await.is_ok();
    until("their places are free again", freed).await;
    server.until_alone().await;
    server.finish().await;
}
