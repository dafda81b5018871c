//! What clients send, what becomes of it, and how long it takes.

use std::{sync::Arc, time::Duration};

use realtime::{
    BoxError, ClientError, Json, Router, Session,
    config::{Limits, Rate},
    control::Answers,
    hooks::ErrorContext,
};
use realtime_testkit::{
    client::Client,
    wait::{DEADLINE, until},
};
use realtime_websocket::Event;
use serde_json::json;
use tokio::sync::Semaphore;

use super::{builder, named, start};

#[tokio::test]
async fn handlers_are_measured_by_the_patterns_of_their_routes() {
    let fails = async || Err::<(), _>(BoxError::from("as it should"));
    let fine = async || Json("fine");
    let refuses = async || Err::<(), _>(ClientError::new("full", "no place left"));
    let router = Router::new()
        .route("fine", fine)
        .prefix("room.", fine)
        .route("fails", fails)
        .route("number", async |Json(_): Json<u8>| ())
        .route("refuses", refuses);
    let (server, metrics) = start(builder().router(router)).await;
    let mut ann = named(&server, "ann").await;
    for route in ["fine", "room.a", "room.b"] {
        ann.request(route, json!(null)).await.unwrap();
    }
    for route in ["fails", "made.up.by.the.client", "number", "refuses"] {
        ann.send(route, json!(null)).await.unwrap();
    }
    let handled = "realtime_handler_duration_seconds";
    for (route, outcome, count) in [
        ("fine", "ok", 1.),
        ("room.*", "ok", 2.),
        ("fails", "failed", 1.),
        ("unknown", "refused", 1.),
        ("number", "refused", 1.),
        ("refuses", "refused", 1.),
    ] {
        metrics
            .is(handled, &[("route", route), ("outcome", outcome)], count)
            .await;
    }
    metrics
        .is("realtime_handler_duration_seconds", &[], 7.)
        .await;
    metrics
        .moves(
            "realtime_handler_duration_seconds",
            "outcome",
            &["ok", "refused", "failed"],
        )
        .await;
    metrics
        .moves("realtime_handler_duration_seconds", "route", &["unknown"])
        .await;
    metrics.is("realtime_messages_failed_total", &[], 4.).await;
    assert!(!metrics.all().iter().any(|sample| {
        sample
            .labels
            .values()
            .any(|value| value.contains("made.up") || value == "room.a")
    }));
    server.stop().await;
}

#[tokio::test]
async fn messages_and_bytes_are_counted_in_both_directions() {
    let mut limits = Limits::default();
    limits.messages_per_session = Some(Rate::per_second(1).with_burst(2));
    let (server, metrics) = start(builder().limits(limits)).await;
    let mut ann = named(&server, "ann").await;
    let text = json!({"id": 1, "route": "echo", "data": "x".repeat(1_000)}).to_string();
    ann.send_text(&text).await.unwrap();
    ann.send_text("no envelope").await.unwrap();
    for _ in 0..4 {
        ann.send_text(&text).await.unwrap();
    }
    metrics
        .is(
            "realtime_messages_received_total",
            &[("result", "malformed")],
            1.,
        )
        .await;
    metrics
        .at_least(
            "realtime_messages_received_total",
            &[("result", "handled")],
            1.,
        )
        .await;
    metrics
        .at_least(
            "realtime_messages_received_total",
            &[("result", "rate_limited")],
            1.,
        )
        .await;
    metrics
        .moves(
            "realtime_messages_received_total",
            "result",
            &["handled", "malformed", "rate_limited"],
        )
        .await;
    metrics
        .moves(
            "realtime_received_bytes_total",
            "result",
            &["handled", "malformed", "rate_limited"],
        )
        .await;
    let bytes = "realtime_received_bytes_total";
    metrics
        .is(
            "realtime_received_bytes_total",
            &[],
            5. * text.len() as f64 + 11.,
        )
        .await;
    metrics.is(bytes, &[("result", "malformed")], 11.).await;
    // Each is one or the other, with all of its bytes.
    for result in ["handled", "rate_limited"] {
        let labels = [("result", result)];
        let messages = metrics.value("realtime_messages_received_total", &labels);
        assert!(messages >= 1., "{result}");
        let expected = messages * text.len() as f64;
        metrics.is(bytes, &labels, expected).await;
    }
    metrics
        .at_least("realtime_messages_sent_total", &[], 5.)
        .await;
    metrics
        .at_least("realtime_sent_bytes_total", &[], 1_000.)
        .await;
    server.stop().await;
}

/// Whether or not a handler runs meanwhile.
#[tokio::test]
async fn a_ping_is_measured_wherever_it_is_answered() {
    let done = Arc::new(Semaphore::new(0));
    let waits = Arc::clone(&done);
    let slow = move || {
        let waits = Arc::clone(&waits);
        async move { waits.acquire().await.unwrap().forget() }
    };
    let builder = builder().router(Router::new().route("slow", slow));
    let (server, metrics) = start(builder).await;
    let mut ann = named(&server, "ann").await;
    let pings = [("route", "ping"), ("outcome", "ok")];
    ann.request("ping", json!(null)).await.unwrap();
    metrics
        .is("realtime_handler_duration_seconds", &pings, 1.)
        .await;
    ann.send("slow", json!(null)).await.unwrap();
    ann.request("ping", json!(null)).await.unwrap();
    metrics
        .is("realtime_handler_duration_seconds", &pings, 2.)
        .await;
    done.add_permits(1);
    server.stop().await;
}

#[tokio::test]
async fn what_nobody_handles_any_more_is_counted_and_what_is_unfinished_too() {
    let done = Arc::new(Semaphore::new(0));
    let waits = Arc::clone(&done);
    let slow = move || {
        let waits = Arc::clone(&waits);
        async move { waits.acquire().await.unwrap().forget() }
    };
    let close = async |session: Session| session.close(realtime::CloseCode::NORMAL, "");
    let router = Router::new().route("slow", slow).route("close", close);
    let (server, metrics) = start(builder().router(router)).await;
    let mut ann = named(&server, "ann").await;
    ann.send_frame(1, false, &[b'x'; 50_000]).await.unwrap();
    metrics.at_least("realtime_held_bytes", &[], 50_000.).await;
    drop(ann);
    metrics.is("realtime_held_bytes", &[], 0.).await;
    let mut bob = named(&server, "bob").await;
    bob.send("slow", json!(null)).await.unwrap();
    for _ in 0..3 {
        bob.send("close", json!(null)).await.unwrap();
    }
    let session = server.gateway.local_sessions().remove(0);
    metrics.at_least("realtime_held_bytes", &[], 1.).await;
    session.close(realtime::CloseCode::NORMAL, "");
    metrics
        .is(
            "realtime_messages_received_total",
            &[("result", "unhandled")],
            3.,
        )
        .await;
    metrics
        .moves("realtime_messages_received_total", "result", &["unhandled"])
        .await;
    metrics
        .moves("realtime_received_bytes_total", "result", &["unhandled"])
        .await;
    let said = json!({"route": "close", "data": null}).to_string();
    metrics
        .is(
            "realtime_received_bytes_total",
            &[("result", "unhandled")],
            3. * said.len() as f64,
        )
        .await;
    done.add_permits(1);
    server.stop().await;
}

#[tokio::test]
async fn a_heartbeat_is_measured_to_its_pong() {
    let builder = builder().heartbeat(Some(Duration::from_millis(50)));
    let (server, metrics) = start(builder).await;
    let mut ann = named(&server, "ann").await;
    ann.auto_pong = false;
    for n in 1..=2 {
        // One that was sent while the answer to another was waited for has nothing in it.
        let payload = loop {
            match ann.recv().await.unwrap() {
                Event::Ping(payload) if payload.is_empty() => {}
                Event::Ping(payload) => break payload,
                _ => panic!("a ping is due"),
            }
        };
        tokio::time::sleep(Duration::from_millis(20)).await;
        ann.send_frame(10, true, &payload).await.unwrap();
        metrics
            .at_least("realtime_heartbeat_duration_seconds", &[], f64::from(n))
            .await;
    }
    let sum = metrics
        .all()
        .into_iter()
        .find(|sample| sample.name == "realtime_heartbeat_duration_seconds_sum");
    assert!(sum.unwrap().value >= 0.02, "from the ping on");
    // A ping is under way, and these answer another question, or none.
    let Event::Ping(_) = ann.recv().await.unwrap() else {
        panic!("a ping is due");
    };
    for payload in [&b""[..], b"1234", b"what"] {
        ann.send_frame(10, true, payload).await.unwrap();
    }
    ann.send("echo", json!(1)).await.unwrap();
    metrics
        .is(
            "realtime_messages_received_total",
            &[("result", "handled")],
            1.,
        )
        .await;
    metrics
        .is("realtime_heartbeat_duration_seconds", &[], 2.)
        .await;
    server.stop().await;
}

#[tokio::test]
async fn hooks_that_take_too_long_and_errors_without_a_place_are_counted() {
    let fails = async || Err::<(), _>(BoxError::from("as it should"));
    let stuck = async |_: ErrorContext| std::future::pending::<()>().await;
    let builder = builder()
        .router(Router::new().route("fails", fails))
        .on_connect(async |_: Session| std::future::pending::<()>().await)
        .on_error(stuck)
        .hook_timeout(Some(Duration::from_millis(200)));
    let (server, metrics) = start(builder).await;
    let mut ann = named(&server, "ann").await;
    assert_eq!(ann.closed().await.unwrap().0, 1011);
    metrics
        .at_least("realtime_hooks_abandoned_total", &[], 1.)
        .await;
    metrics
        .is(
            "realtime_sessions_failed_total",
            &[("cause", "connect_refused")],
            1.,
        )
        .await;
    metrics
        .moves(
            "realtime_sessions_failed_total",
            "cause",
            &["connect_refused"],
        )
        .await;
    server.stop().await;

    let router = Router::new().route("fails", async || Err::<(), _>(BoxError::from("again")));
    let builder = super::builder()
        .router(router)
        .on_error(async |_: ErrorContext| {
            std::future::pending::<()>().await;
        });
    let (server, metrics) = start(builder.hook_timeout(Some(Duration::from_secs(5)))).await;
    let mut ann = named(&server, "ann").await;
    for _ in 0..300 {
        ann.send("fails", json!(null)).await.unwrap();
    }
    metrics
        .at_least("realtime_errors_unreported_total", &[], 40.)
        .await;
    drop(ann);
    server.stop().await;
}

/// What the server has asked a client.
async fn asked(client: &mut Client) -> serde_json::Value {
    client.recv_json().await.unwrap()["request"].clone()
}

#[tokio::test]
async fn answers_that_nobody_waits_for_are_counted() {
    let (server, metrics) = start(builder()).await;
    let mut ann = named(&server, "ann").await;
    until("she is there", async || server.gateway.stats().open == 1).await;
    let session = server.gateway.local_sessions().remove(0);
    let waits = tokio::spawn(async move {
        let request = session.request("age", Json("?"), Duration::from_millis(50));
        request.await.unwrap_err()
    });
    let id = asked(&mut ann).await;
    waits.await.unwrap();
    ann.send_text(&json!({"reply": id, "data": 7}).to_string())
        .await
        .unwrap();
    metrics
        .is("realtime_answers_lost_total", &[("cause", "unmatched")], 1.)
        .await;
    let answer = [("result", "answer")];
    metrics
        .is("realtime_messages_received_total", &answer, 1.)
        .await;
    let said = json!({"reply": id, "data": 7}).to_string().len();
    metrics
        .is("realtime_received_bytes_total", &answer, said as f64)
        .await;
    metrics
        .moves("realtime_messages_received_total", "result", &["answer"])
        .await;
    metrics
        .moves("realtime_received_bytes_total", "result", &["answer"])
        .await;
    let everybody = server.gateway.everybody().within(DEADLINE);
    let mut answers = everybody.request("say", Json(())).unwrap();
    let (heard, ()) = tokio::join!(answers.next(), async {
        let id = asked(&mut ann).await;
        let long = json!({"reply": id, "data": "x".repeat(Answers::MAX_ANSWER)});
        ann.send_text(&long.to_string()).await.unwrap();
    });
    assert!(heard.is_none());
    metrics
        .moves(
            "realtime_answers_lost_total",
            "cause",
            &["dropped", "unmatched"],
        )
        .await;
    server.stop().await;
}
