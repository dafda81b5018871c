//! Rooms over Redis alone: messages between nodes, and their history.

use std::time::Duration;

use realtime::{Json, connect, error::DeliverErrorKind, report::Link};
use realtime_testkit::{servers::Redis, wait::until};
use serde_json::json;

use super::{
    history::{Reader, builder, nobody_misses_anything, send},
    support::Server,
};

async fn node(url: &str) -> Server {
    let builder = builder(100_000).broker(connect::broker(url).unwrap());
    let builder = builder.history(connect::history(url).unwrap());
    let gateway = builder.build().unwrap();
    gateway.start().await.unwrap();
    Server::start(gateway).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_misses_anything_though_subscriptions_are_cut() {
    let redis = Redis::start().await.unwrap();
    let servers = [node(&redis.url()).await, node(&redis.url()).await];
    let cut = async |back: usize| {
        if back.is_multiple_of(8) {
            let kill = ["CLIENT", "KILL", "TYPE", "pubsub"];
            redis.command(&kill).await.unwrap();
        }
    };
    nobody_misses_anything(&servers, 600, cut).await;
    for server in servers {
        server.stop().await;
    }
}

#[tokio::test]
async fn while_the_history_is_away_nothing_is_sent_and_then_it_begins_anew() {
    let mut redis = Redis::start().await.unwrap();
    let history = connect::history(&redis.url()).unwrap();
    let server = Server::start(builder(100).history(history).build().unwrap()).await;
    let gateway = &server.gateway;
    let mut ann = Reader::join(&server).await;
    send(gateway, 1).await;
    ann.next().await;
    redis.kill().unwrap();
    until("the outage is known", async || {
        matches!(gateway.health().history, Link::Down { .. })
    })
    .await;
    assert!(!gateway.health().is_good());
    let error = gateway.room("a").send("n", Json(2)).await.unwrap_err();
    assert_eq!(error.kind(), DeliverErrorKind::History);
    let mut bob = server.connect().await;
    let join = json!({"id": 1, "route": "join", "data": {"room": "b"}});
    bob.send_text(&join.to_string()).await.unwrap();
    let refused = bob.recv_json().await.unwrap();
    let (code, temporary) = (&refused["data"]["code"], &refused["data"]["temporary"]);
    assert_eq!((code, temporary), (&json!("unavailable"), &json!(true)));

    redis.restart().await.unwrap();
    until("it is up again", async || {
        gateway.health().history == Link::Up
    })
    .await;
    // It has come back empty, so what was there is lost, and everybody is told.
    send(gateway, 3).await;
    let mut gaps = 0;
    let message = loop {
        let message = ann.client.recv_json().await.unwrap();
        if message["route"] != "gap" {
            break message;
        }
        gaps += 1;
    };
    assert!(gaps > 0);
    assert_eq!(
        (&message["data"], &message["offset"]),
        (&json!(3), &json!(1))
    );
    assert!(!ann.recover().await);
    tokio::time::timeout(Duration::from_secs(10), send(gateway, 4))
        .await
        .unwrap();
    ann.next().await;
    server.stop().await;
}
