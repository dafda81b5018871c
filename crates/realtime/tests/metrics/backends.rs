//! Real servers: RabbitMQ between two nodes, Redis for presence, and both go away.
#![cfg(all(
    feature = "broker-amqp",
    feature = "broker-redis",
    feature = "presence-redis"
))]

use std::time::Duration;

use realtime::{Json, connect};
use realtime_testkit::{
    servers::{RabbitMq, Redis},
    wait::until,
};

use super::{Metrics, builder, named, start, support::Server};

async fn node(name: &str, broker: &str, presence: &str) -> (Server, Metrics) {
    let builder = builder()
        .node_id(name.parse().unwrap())
        .broker(connect::broker(broker).unwrap())
        .presence(connect::presence(presence).unwrap())
        .presence_ttl(Some(Duration::from_secs(12)));
    start(builder).await
}

/// Two nodes that know of each other.
async fn two(broker: &str, presence: &str) -> [(Server, Metrics); 2] {
    let nodes = [
        node("a", broker, presence).await,
        node("b", broker, presence).await,
    ];
    for (_, metrics) in &nodes {
        metrics.is("realtime_broker_nodes", &[], 1.).await;
    }
    nodes
}

/// What goes between them is measured on both sides.
async fn messages_are_measured([(one, of_one), (two, of_two)]: &[(Server, Metrics); 2]) {
    let mut ann = named(two, "ann").await;
    two.until_open(1).await;
    let before = of_two.value("realtime_broker_messages_total", &[("result", "received")]);
    one.gateway.broadcast("n", Json(1)).await.unwrap();
    ann.recv_json().await.unwrap();
    of_two
        .at_least(
            "realtime_broker_messages_total",
            &[("result", "received")],
            before + 1.,
        )
        .await;
    let publish = [
        ("backend", "broker"),
        ("call", "publish"),
        ("outcome", "ok"),
    ];
    of_one
        .at_least("realtime_backend_call_duration_seconds", &publish, 1.)
        .await;
    for metrics in [of_one, of_two] {
        let measured = async || {
            let took = metrics.value("realtime_broker_loopback_seconds", &[]);
            assert!(took < 60., "{took}");
            took > 0.
        };
        until("what is published for itself has come back", measured).await;
        metrics
            .at_least("realtime_broker_loopback_seconds", &[], 1e-6)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_is_measured_and_its_outage_seen() {
    let (mut rabbitmq, redis) = futures::try_join!(RabbitMq::start(), Redis::start()).unwrap();
    let nodes = two(&rabbitmq.url(), &redis.url()).await;
    messages_are_measured(&nodes).await;
    rabbitmq.kill().unwrap();
    let [(one, metrics), _] = &nodes;
    metrics
        .is(
            "realtime_backend_outages_total",
            &[("backend", "broker")],
            1.,
        )
        .await;
    let down = [("backend", "broker"), ("state", "down")];
    metrics.is("realtime_backend_state", &down, 1.).await;
    metrics
        .is("realtime_broker_loopback_seconds", &[], 0.)
        .await;
    assert!(one.gateway.broadcast("n", Json(1)).await.is_err());
    let failed = [
        ("backend", "broker"),
        ("call", "publish"),
        ("outcome", "failed"),
    ];
    metrics
        .at_least("realtime_backend_call_duration_seconds", &failed, 1.)
        .await;
    rabbitmq.restart().await.unwrap();
    let up = [("backend", "broker"), ("state", "up")];
    metrics.is("realtime_backend_state", &up, 1.).await;
    for (server, _) in nodes {
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_measured_and_its_outage_seen() {
    let mut redis = Redis::start().await.unwrap();
    let nodes = two(&redis.url(), &redis.url()).await;
    messages_are_measured(&nodes).await;
    let [(_, metrics), (other, of_other)] = &nodes;
    // A lease is renewed every 4 s; one that the store has lost is given anew.
    let mut bob = named(other, "bob").await;
    of_other
        .at_least(
            "realtime_presence_leases_total",
            &[("outcome", "renewed")],
            1.,
        )
        .await;
    redis.command(&["FLUSHALL"]).await.unwrap();
    of_other
        .at_least("realtime_presence_leases_total", &[("outcome", "lost")], 1.)
        .await;
    for call in ["register", "renew"] {
        let labels = [("backend", "presence"), ("call", call), ("outcome", "ok")];
        of_other
            .at_least("realtime_backend_call_duration_seconds", &labels, 1.)
            .await;
    }
    // A node that misses messages of another counts them.
    redis
        .command(&["CLIENT", "KILL", "TYPE", "pubsub"])
        .await
        .unwrap();
    let missed = async || {
        let _lost_perhaps = other.gateway.broadcast("n", Json(1)).await;
        metrics.value("realtime_broker_messages_total", &[("result", "missed")]) >= 1.
    };
    let lost = async || {
        redis
            .command(&["CLIENT", "KILL", "TYPE", "pubsub"])
            .await
            .unwrap();
        for _ in 0..20 {
            if missed().await {
                return true;
            }
        }
        false
    };
    until("something is missed", lost).await;
    metrics
        .at_least(
            "realtime_broker_messages_total",
            &[("result", "missed")],
            1.,
        )
        .await;
    metrics
        .moves("realtime_broker_messages_total", "result", &["missed"])
        .await;
    of_other
        .moves(
            "realtime_presence_leases_total",
            "outcome",
            &["renewed", "lost"],
        )
        .await;
    redis.stop().unwrap();
    bob.close(1000, "").await.unwrap();
    of_other
        .is(
            "realtime_backend_outages_total",
            &[("backend", "presence")],
            1.,
        )
        .await;
    of_other
        .at_least("realtime_presence_departures", &[], 1.)
        .await;
    let _carl = named(other, "carl").await;
    of_other
        .at_least("realtime_presence_unsettled", &[], 1.)
        .await;
    redis.resume().unwrap();
    of_other.is("realtime_presence_departures", &[], 0.).await;
    of_other.is("realtime_presence_unsettled", &[], 0.).await;
    for (server, _) in nodes {
        server.stop().await;
    }
}
