//! Messages, handlers, layers and answers.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use realtime::{
    BoxError, ClientError, Identity, Json, Message, Router, Session, State,
    extract::{Reply, RouteTail},
    hooks::{ErrorContext, ErrorStage},
    middleware::{Inbound, Next, RecoveryLayer, TimeoutLayer, from_fn},
};
use realtime_testkit::wait::{until, within};
use serde_json::{Value, json};
use support::{Ends, Server};
use tokio::sync::Notify;

#[derive(Clone)]
struct App {
    name: &'static str,
}

async fn who(State(app): State<App>, identity: Identity, message: Message) -> Json<Value> {
    Json(json!({ "app": app.name, "id": identity.id(), "lang": message.metadata() }))
}

fn router() -> Router {
    Router::new()
        .route("who", who)
        .route("echo", async |Json(data): Json<Value>| Json(data))
        .route("number", async |Json(n): Json<u8>| Json(n))
        .route("full", async || {
            Err::<(), _>(ClientError::new("full", "no seat").temporary())
        })
        .route("fail", async || {
            Err::<(), _>(BoxError::from("the password is hunter2"))
        })
        .route("panic", async || -> () { panic!("on purpose") })
        .route("hang", async || std::future::pending::<()>().await)
        .prefix("room.", async |RouteTail(tail): RouteTail| {
            Json(json!(["room", &*tail]))
        })
        .prefix("room.vip.", async |RouteTail(tail): RouteTail| {
            Json(json!(["vip", &*tail]))
        })
        .with_state(App { name: "test" })
}

#[tokio::test]
async fn requests_are_answered_under_their_id_and_route() {
    let server = Server::start(support::builder().router(router()).build().unwrap()).await;
    let mut client = server.connect().await;
    let answer = client
        .request("echo", json!({"deep": [1, null]}))
        .await
        .unwrap();
    assert_eq!(
        (&answer["route"], &answer["data"]),
        (&json!("echo"), &json!({"deep": [1, null]}))
    );
    let exact = r#"{"id":"x","route":"who","metadata":{"lang":"en"}}"#;
    client.send_text(exact).await.unwrap();
    let expected = json!({"app": "test", "id": "anonymous", "lang": {"lang": "en"}});
    assert_eq!(client.recv_json().await.unwrap()["data"], expected);
    let tail = async |client: &mut realtime_testkit::client::Client, route: &str| {
        client.request(route, Value::Null).await.unwrap()["data"].clone()
    };
    assert_eq!(tail(&mut client, "room.42").await, json!(["room", "42"]));
    assert_eq!(tail(&mut client, "room.vip.1").await, json!(["vip", "1"]));
    assert_eq!(tail(&mut client, "room.").await, json!(["room", ""]));
    // Without an id there is no answer: the next thing that comes is the next request's.
    client.send("echo", json!(1)).await.unwrap();
    assert_eq!(
        client.request("echo", json!(2)).await.unwrap()["data"],
        json!(2)
    );
    server.stop().await;
}

#[tokio::test]
async fn failures_are_answered_by_what_the_client_may_know_and_reported() {
    let reported = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&reported);
    let gateway = support::builder()
        .router(router())
        .layer(RecoveryLayer::new())
        .layer(TimeoutLayer::new(Duration::from_millis(50)))
        .on_error(move |error: ErrorContext| {
            hears
                .lock()
                .unwrap()
                .push((error.stage(), error.error().to_string()));
            async {}
        })
        .build()
        .unwrap();
    let server = Server::start(gateway).await;
    let mut client = server.connect().await;
    let rows = [
        ("nowhere", json!(1), "unknown_route", false),
        ("number", json!("x"), "bad_data", false),
        ("full", json!(1), "full", true),
        ("fail", json!(1), "internal", false),
        ("panic", json!(1), "internal", false),
        ("hang", json!(1), "timeout", true),
    ];
    for (route, data, code, temporary) in rows.clone() {
        let answer = client.request(route, data).await.unwrap();
        assert_eq!(answer["route"], "error", "{route}");
        assert_eq!(answer["data"]["code"], code, "{route}");
        assert_eq!(answer["data"]["temporary"], temporary, "{route}");
        assert!(!answer.to_string().contains("hunter2"));
    }
    until("all are reported", async || {
        reported.lock().unwrap().len() == rows.len()
    })
    .await;
    assert!(
        reported
            .lock()
            .unwrap()
            .iter()
            .all(|(stage, _)| *stage == ErrorStage::Message)
    );
    assert_eq!(
        client.request("echo", json!(1)).await.unwrap()["data"],
        1,
        "the session goes on"
    );
}

#[tokio::test]
async fn a_panic_without_recovery_ends_the_session_with_1011() {
    let ends = Ends::default();
    let server = Server::start(
        ends.hear(support::builder().router(router()))
            .build()
            .unwrap(),
    )
    .await;
    let mut client = server.connect().await;
    client.send("panic", Value::Null).await.unwrap();
    assert_eq!(client.closed().await.unwrap().0, 1011);
    assert_eq!(ends.one().await.initiator, realtime::Initiator::Error);
    server.until_open(0).await;
}

#[tokio::test]
async fn malformed_messages_are_answered_and_ten_in_a_row_end_the_session() {
    let server = Server::start(support::builder().router(router()).build().unwrap()).await;
    let mut client = server.connect().await;
    for _ in 0..9 {
        client.send_text("{nonsense").await.unwrap();
        assert_eq!(
            client.recv_json().await.unwrap()["data"]["code"],
            "malformed"
        );
    }
    assert_eq!(client.request("echo", json!(1)).await.unwrap()["data"], 1);
    for _ in 0..10 {
        client.send_text("[]").await.unwrap();
    }
    assert_eq!(client.closed().await.unwrap().0, 1008);
    let mut binary = server.connect().await;
    binary.send_binary(b"{}").await.unwrap();
    assert_eq!(binary.closed().await.unwrap().0, 1003);
}

#[tokio::test]
async fn messages_of_one_session_are_handled_one_at_a_time_in_order() {
    let seen = Arc::new(Mutex::new((0u32, Vec::new())));
    let sees = Arc::clone(&seen);
    let router = Router::new().route("n", move |Json(n): Json<u32>| {
        let sees = Arc::clone(&sees);
        async move {
            sees.lock().unwrap().0 += 1;
            tokio::task::yield_now().await;
            let mut seen = sees.lock().unwrap();
            let alone = seen.0 == 1;
            seen.0 -= 1;
            seen.1.push((n, alone));
            Json(n)
        }
    });
    let server = Server::start(support::builder().router(router).build().unwrap()).await;
    let mut client = server.connect().await;
    let frames: Vec<u8> = (0..500)
        .flat_map(|n| {
            let text = json!({"id": n.to_string(), "route": "n", "data": n}).to_string();
            realtime_testkit::client::Client::<tokio::net::TcpStream>::text_frame(&text).to_vec()
        })
        .collect();
    client.send_raw(&frames).await.unwrap();
    for n in 0..500 {
        assert_eq!(client.recv_json().await.unwrap()["data"], n);
    }
    let seen = seen.lock().unwrap().1.clone();
    assert_eq!(seen, (0..500).map(|n| (n, true)).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_first_layer_is_the_outermost_and_foreign_layers_fit() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let note = |name: &'static str| {
        let log = Arc::clone(&log);
        from_fn(move |inbound: Inbound, next: Next| {
            let log = Arc::clone(&log);
            async move {
                log.lock().unwrap().push(name);
                let reply = next.run(inbound).await;
                log.lock().unwrap().push(name);
                reply
            }
        })
    };
    let deny = from_fn(async |inbound: Inbound, next: Next| {
        if inbound.message.route() == "secret" {
            return Err::<Reply, BoxError>(ClientError::new("forbidden", "no").into());
        }
        next.run(inbound).await
    });
    let gateway = support::builder()
        .router(router())
        .layer(note("outer"))
        .layer(note("inner"))
        .layer(deny)
        // Not `Clone`: each session has a stack of its own.
        .layer(tower::limit::RateLimitLayer::new(
            1000,
            Duration::from_secs(1),
        ))
        .build()
        .unwrap();
    let server = Server::start(gateway).await;
    let mut client = server.connect().await;
    assert_eq!(client.request("echo", json!(1)).await.unwrap()["data"], 1);
    assert_eq!(*log.lock().unwrap(), ["outer", "inner", "inner", "outer"]);
    let answer = client.request("secret", json!(1)).await.unwrap();
    assert_eq!(answer["data"]["code"], "forbidden");
}

#[tokio::test]
async fn a_handler_runs_to_its_end_after_its_client_has_left() {
    let (entered, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (enters, finishes) = (Arc::clone(&entered), Arc::clone(&finish));
    let done = Arc::new(Notify::new());
    let says_done = Arc::clone(&done);
    let router = Router::new().route("slow", move |session: Session| {
        let (enters, finishes, done) = (
            Arc::clone(&enters),
            Arc::clone(&finishes),
            Arc::clone(&says_done),
        );
        async move {
            enters.notify_one();
            session.closed().await;
            finishes.notified().await;
            done.notify_one();
        }
    });
    let ends = Ends::default();
    let server = Server::start(
        ends.hear(support::builder().router(router))
            .build()
            .unwrap(),
    )
    .await;
    let mut client = server.connect().await;
    client.send("slow", Value::Null).await.unwrap();
    within("the handler", entered.notified()).await;
    drop(client);
    server.until_open(0).await;
    assert_eq!(ends.len(), 0, "the hook waits for the handler");
    finish.notify_one();
    within("the handler's end", done.notified()).await;
    ends.one().await;
}
