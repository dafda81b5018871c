//! Rooms that clients come into and come back to.

use std::time::Duration;

use realtime::{Json, Router, history::Retention, room::RoomRule};
use serde_json::{Value, json};

use super::{builder, named, start};
use realtime_testkit::client::Client;

async fn ask(client: &mut Client, route: &str, data: Value) -> Value {
    client.request(route, data).await.unwrap()["data"].clone()
}

#[tokio::test]
async fn rooms_joins_and_recoveries_are_counted_by_their_outcomes() {
    let retention = Retention::new(10, Duration::from_secs(600)).unwrap();
    let kept = RoomRule::open().history(retention);
    let router = Router::new().room("{room}", kept);
    let (server, metrics) = start(builder().router(router).max_rooms_per_session(2)).await;
    let mut ann = named(&server, "ann").await;
    let mut position = json!(null);
    for room in ["a", "b"] {
        let answer = ask(&mut ann, "join", json!({"room": room})).await;
        position = answer["position"].clone();
    }
    metrics.is("realtime_rooms", &[], 2.).await;
    metrics
        .is("realtime_room_joins_total", &[("outcome", "ok")], 2.)
        .await;
    let refused = ask(&mut ann, "join", json!({"room": "c"})).await;
    assert_eq!(refused["code"], "too_many_rooms", "{refused}");
    metrics
        .is(
            "realtime_room_joins_total",
            &[("outcome", "too_many_rooms")],
            1.,
        )
        .await;
    server.gateway.room("b").send("n", Json(1)).await.unwrap();
    ann.recv_json().await.unwrap();
    for (call, outcome) in [("append", "ok"), ("position", "ok")] {
        let labels = [("backend", "history"), ("call", call), ("outcome", outcome)];
        metrics
            .at_least("realtime_backend_call_duration_seconds", &labels, 1.)
            .await;
    }
    let (epoch, offset) = (&position["epoch"], &position["offset"]);
    let mut from = json!({"room": "b", "epoch": epoch, "offset": offset});
    let answer = ask(&mut ann, "recover", from.clone()).await;
    assert_eq!(answer["recovered"], true, "{answer}");
    metrics
        .is(
            "realtime_room_recoveries_total",
            &[("outcome", "complete")],
            1.,
        )
        .await;
    from["epoch"] = json!("another");
    let answer = ask(&mut ann, "recover", from).await;
    assert_eq!(answer["recovered"], false, "{answer}");
    metrics
        .is("realtime_room_recoveries_total", &[("outcome", "lost")], 1.)
        .await;
    drop(ann);
    metrics.is("realtime_rooms", &[], 0.).await;
    server.stop().await;
}
