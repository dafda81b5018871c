//! Routers in routers, and layers around some of their routes.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use realtime::{
    BoxError, ClientError, Gateway, Identity, Json, Message, Router, Session, State,
    error::BuildErrorKind,
    extract::{Replier, Reply, RouteTail},
    middleware::{Inbound, Next, RecoveryLayer, TimeoutLayer, from_fn},
    room::RoomRule,
};
use realtime_testkit::memory::{TestClient, connect};
use serde_json::json;
use tower::limit::RateLimitLayer;

async fn ann(gateway: &Gateway) -> TestClient {
    connect(gateway, Identity::new("ann")).await.unwrap()
}

async fn says(client: &mut TestClient, route: &str) -> String {
    let answer = client.request(route, ()).await.unwrap();
    answer.decode().unwrap()
}

/// Notes that a message came by.
fn note(
    log: &Arc<Mutex<Vec<&'static str>>>,
    name: &'static str,
) -> impl Fn(Inbound, Next) -> futures::future::BoxFuture<'static, Result<Reply, BoxError>>
+ Clone
+ Send
+ Sync
+ 'static {
    let log = Arc::clone(log);
    move |inbound, next| {
        log.lock().unwrap().push(name);
        Box::pin(next.run(inbound))
    }
}

#[tokio::test(start_paused = true)]
async fn the_routes_of_a_nested_router_stand_behind_its_prefix() {
    let tail = async |RouteTail(tail): RouteTail| Json(tail.to_string());
    let whole = async |message: Message| Json(message.route().to_owned());
    let inner = Router::new()
        .route("whole", whole)
        .prefix("room.", tail)
        .fallback(tail);
    let with_state = async |State(name): State<&'static str>| Json(name);
    let named = Router::new().route("name", with_state);
    let router = Router::new()
        .nest("a.b.", inner)
        .nest("c.", named)
        .nest("", Router::new().fallback(whole))
        .with_state("state");
    let gateway = realtime::builder().router(router).build().unwrap();
    let mut ann = ann(&gateway).await;
    for (route, answer) in [
        ("a.b.whole", "a.b.whole"),
        ("a.b.room.7", "7"),
        ("a.b.else", "else"),
        ("a.b.", ""),
        ("c.name", "state"),
        ("a.other", "a.other"),
        ("whole", "whole"),
    ] {
        assert_eq!(says(&mut ann, route).await, answer, "{route}");
    }
}

#[test]
fn nested_routes_that_clash_or_are_too_long_are_refused() {
    let one = || Router::new().route("say", async || ());
    for (router, kind) in [
        (
            Router::<()>::new()
                .route("chat.say", async || ())
                .nest("chat.", one()),
            BuildErrorKind::DuplicateRoute,
        ),
        (
            Router::new().nest("x".repeat(254), one()),
            BuildErrorKind::InvalidOption,
        ),
        (
            Router::new().nest("err", Router::new().route("or", async || ())),
            BuildErrorKind::InvalidOption,
        ),
    ] {
        let error = realtime::builder().router(router).build().unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_is_around_the_routes_before_it_and_the_last_is_outermost() {
    let log = Arc::default();
    let tail = async |RouteTail(tail): RouteTail, State(n): State<u8>| Json(format!("{tail}{n}"));
    let router = Router::new()
        .route("first", tail)
        .prefix("p.", tail)
        .layer(from_fn(note(&log, "inner")))
        .route("second", tail)
        .layer(from_fn(note(&log, "outer")))
        .fallback(tail);
    let router = Router::new().nest("n.", router).with_state(7);
    let builder = realtime::builder().router(router);
    let gateway = builder.layer(from_fn(note(&log, "all"))).build().unwrap();
    let mut ann = ann(&gateway).await;
    for (route, answer, seen) in [
        ("n.first", "7", &["all", "outer", "inner"][..]),
        ("n.p.x", "x7", &["all", "outer", "inner"]),
        ("n.p.yz", "yz7", &["all", "outer", "inner"]),
        ("n.second", "7", &["all", "outer"]),
        ("n.else", "else7", &["all"]),
    ] {
        assert_eq!(says(&mut ann, route).await, answer);
        assert_eq!(std::mem::take(&mut *log.lock().unwrap()), seen, "{route}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_counts_counts_for_each_session_and_route() {
    let limit = RateLimitLayer::new(1, Duration::from_secs(60));
    let router = Router::new()
        .route("one", async || ())
        .route("two", async || ())
        .layer(limit)
        .route("free", async || ());
    let gateway = realtime::builder().router(router).build().unwrap();
    let (mut ann, mut other) = (ann(&gateway).await, ann(&gateway).await);
    let start = tokio::time::Instant::now();
    for client in [&mut ann, &mut other] {
        client.set_deadline(Duration::from_secs(90));
        for route in ["one", "two", "free", "free"] {
            client.request(route, ()).await.unwrap();
        }
    }
    assert!(start.elapsed() < Duration::from_secs(1));
    ann.request("one", ()).await.unwrap();
    assert!(start.elapsed() > Duration::from_secs(50), "it had to wait");
}

#[tokio::test(start_paused = true)]
async fn our_own_layers_fit_and_what_they_refuse_is_answered() {
    let router = Router::new()
        .route("hangs", std::future::pending::<()>)
        .route("later", async |replier: Replier| {
            tokio::spawn(async move { replier.reply(Json("later")) });
        })
        .layer(TimeoutLayer::new(Duration::from_secs(1)))
        .route("panics", async || {
            if true {
                std::panic::panic_any("on purpose");
            }
        })
        .layer(RecoveryLayer::new());
    let gateway = realtime::builder().router(router).build().unwrap();
    let mut ann = ann(&gateway).await;
    for (route, code) in [("hangs", "timeout"), ("panics", "internal")] {
        let error = ann.request(route, ()).await.unwrap_err();
        assert_eq!(error.code(), Some(code));
    }
    assert_eq!(says(&mut ann, "later").await, "later");
}

#[tokio::test(start_paused = true)]
async fn rules_of_rooms_and_the_gateways_own_routes_have_no_such_layer() {
    let refuse = async |_: Inbound, _: Next| Err::<Reply, _>(ClientError::new("no", "never"));
    let router = Router::new()
        .route("refused", async || ())
        .room("open", RoomRule::open())
        .layer(from_fn(refuse));
    let gateway = realtime::builder().router(router).build().unwrap();
    let mut ann = ann(&gateway).await;
    ann.request("join", Json(json!({"room": "open"})))
        .await
        .unwrap();
    assert_eq!(
        ann.request("refused", ()).await.unwrap_err().code(),
        Some("no")
    );
}

/// What a layer has made for a session goes with it.
#[tokio::test(start_paused = true)]
async fn what_a_layer_has_made_ends_with_its_session() {
    struct Alive(Arc<AtomicUsize>);
    impl Drop for Alive {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Relaxed);
        }
    }
    let alive = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&alive);
    let layer = tower::layer::layer_fn(move |inner| {
        counted.fetch_add(1, Relaxed);
        let alive = Arc::new(Alive(Arc::clone(&counted)));
        let keep = move |inbound: Inbound, next: Next| {
            let alive = Arc::clone(&alive);
            async move {
                let result = next.run(inbound).await;
                drop(alive);
                result
            }
        };
        tower::Layer::layer(&from_fn(keep), inner)
    });
    let router = Router::new().route("r", async |_: Session| ()).layer(layer);
    let gateway = realtime::builder().router(router).build().unwrap();
    let mut clients = [ann(&gateway).await, ann(&gateway).await];
    assert_eq!(alive.load(Relaxed), 0, "no message has come by it");
    for client in &mut clients {
        for _ in 0..2 {
            client.request("r", ()).await.unwrap();
        }
    }
    assert_eq!(alive.load(Relaxed), 2);
    drop(clients);
    realtime_testkit::wait::until("they are gone", async || alive.load(Relaxed) == 0).await;
}

/// What a pattern uses up of a route is the same for all messages, whatever a layer makes of one.
#[tokio::test(start_paused = true)]
async fn a_tail_is_that_of_its_own_message_also_behind_layers_that_rename() {
    let rename = async |mut inbound: Inbound, next: Next| {
        if inbound.message.route() == "room.old" {
            let data = inbound.message.data().clone();
            let id = inbound.message.message_id().cloned();
            inbound.message = Message::plain(id, "r".into(), data);
        }
        next.run(inbound).await
    };
    let pass = async |inbound: Inbound, next: Next| next.run(inbound).await;
    let tail = async |RouteTail(tail): RouteTail| Json(tail.to_string());
    let router = Router::new()
        .prefix("room.", tail)
        .fallback(tail)
        .layer(from_fn(pass))
        .layer(from_fn(rename));
    let gateway = realtime::builder().router(router).build().unwrap();
    let mut ann = ann(&gateway).await;
    for (route, answer) in [
        ("room.old", ""),
        ("room.7", "7"),
        ("room.", ""),
        ("other", "other"),
        ("x", "x"),
        ("", ""),
    ] {
        assert_eq!(says(&mut ann, route).await, answer, "{route}");
    }
}
