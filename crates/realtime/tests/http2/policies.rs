//! Each policy and each bound for a stream that isn't read, while the others of its connection are.

use std::time::Duration;

use axum::http::request::Parts;
use realtime::{
    Backpressure, Config, Gateway, Identity, IdentityKey, Initiator, Json, Session,
    auth::{AuthError, Authenticator},
};
use realtime_testkit::{
    client::ClientError,
    wait::{until, within},
};
use serde_json::{Value, json};

use super::{
    router, server,
    support::{Ends, Server},
    wire::{Socket, Wire},
};

const POLICIES: [Backpressure; 3] = [
    Backpressure::Close,
    Backpressure::DropNewest,
    Backpressure::DropOldest,
];

/// The query is the name.
struct ByName;

impl Authenticator for ByName {
    async fn authenticate(&self, request: &Parts) -> Result<Identity, AuthError> {
        Ok(Identity::new(request.uri.query().unwrap_or("nobody")))
    }
}

async fn start(config: Config, ends: &Ends) -> Server {
    let builder = realtime::builder().router(router()).config(config);
    let gateway = ends.hear(builder.authenticator(ByName)).build();
    server(gateway.unwrap()).await
}

async fn named(wire: &mut Wire, name: &str) -> Socket {
    let request = wire.request(&format!("/ws?{name}"));
    wire.ask(request).await.unwrap()
}

fn session(gateway: &Gateway, name: &str) -> Session {
    gateway.local_sessions_of(&IdentityKey::new(name)).remove(0)
}

async fn is_well(client: &mut Socket) {
    let large = json!("x".repeat(200_000));
    let answer = client.request("echo", large.clone()).await.unwrap();
    assert_eq!(answer["data"], large);
}

/// What it may still get, up to the end of its stream.
async fn ends_early(mut client: Socket) {
    within("the end of the stream", async {
        while !matches!(client.recv().await, Err(ClientError::Io(_))) {}
    })
    .await;
}

#[tokio::test]
async fn what_is_not_taken_in_time_ends_its_stream_under_every_policy() {
    for policy in POLICIES {
        let mut config = Config::default();
        config.backpressure = policy;
        config.write_timeout = Some(Duration::from_millis(500));
        let ends = Ends::default();
        let server = start(config, &ends).await;
        let mut wire = Wire::plain(server.addr).await;
        let slow = named(&mut wire, "slow").await;
        let mut fast = named(&mut wire, "fast").await;
        server.until_open(2).await;
        // More than a stream takes, and less than a queue.
        let large = json!("x".repeat(500_000));
        let sent = server.gateway.broadcast("news", Json(&large)).await;
        assert_eq!(sent.unwrap().local, 2);
        assert_eq!(fast.recv_json().await.unwrap()["data"], large);
        let end = ends.one().await;
        assert_eq!(end.reason, "write timeout", "{policy:?}");
        let stats = server.gateway.stats();
        assert_eq!(
            (stats.write_timeouts, stats.slow_consumers),
            (1, 0),
            "{policy:?}"
        );
        is_well(&mut fast).await;
        ends_early(slow).await;
        is_well(&mut fast).await;
        assert_eq!(server.gateway.stats().queued_bytes, 0);
        drop((fast, wire));
        server.stop().await;
    }
}

#[tokio::test]
async fn a_full_queue_is_dealt_with_by_the_policy_for_its_stream_alone() {
    const SENT: u64 = 60;
    for policy in POLICIES {
        let mut config = Config::default();
        config.backpressure = policy;
        config.queue_messages = 8;
        let ends = Ends::default();
        let server = start(config, &ends).await;
        let mut wire = Wire::plain(server.addr).await;
        let mut slow = named(&mut wire, "slow").await;
        let mut fast = named(&mut wire, "fast").await;
        server.until_open(2).await;
        let large = "x".repeat(20_000);
        for n in 0..SENT {
            let sent = server.gateway.broadcast("news", Json((n, &large))).await;
            sent.unwrap();
            assert_eq!(fast.recv_json().await.unwrap()["data"][0], n);
        }
        is_well(&mut fast).await;
        if policy == Backpressure::Close {
            assert_eq!(server.gateway.stats().slow_consumers, 1);
            // What it was sent before is there for it.
            assert_eq!(slow.recv_json().await.unwrap()["data"][0], 0);
            assert_eq!(slow.closed().await.unwrap().0, 1013);
            assert_eq!(ends.one().await.initiator, Initiator::Backpressure);
        } else {
            assert_eq!(ends.len(), 0, "{policy:?}");
            let (received, told) = all(&mut slow, SENT).await;
            assert_eq!(told, server.gateway.stats().dropped, "{policy:?}");
            assert_ne!(told, 0, "{policy:?}");
            let last = received.last() == Some(&(SENT - 1));
            assert_eq!(last, policy == Backpressure::DropOldest, "{received:?}");
            is_well(&mut slow).await;
        }
        drop((slow, fast, wire));
        server.stop().await;
    }
}

/// The numbers that come, and how many are told to be missing, until that makes all of them.
async fn all(client: &mut Socket, sent: u64) -> (Vec<u64>, u64) {
    let (mut received, mut told) = (Vec::new(), 0);
    while received.len() as u64 + told < sent {
        let message: Value = client.recv_json().await.unwrap();
        match message["route"] == "gap" {
            true => told += message["data"]["missed"].as_u64().unwrap(),
            false => received.push(message["data"][0].as_u64().unwrap()),
        }
    }
    assert!(received.is_sorted(), "{received:?}");
    (received, told)
}

#[tokio::test]
async fn the_fullest_stream_is_closed_once_all_queues_are_too_full() {
    const BUDGET: usize = 1_000_000;
    for policy in POLICIES {
        let mut config = Config::default();
        config.backpressure = policy;
        config.queue_budget = BUDGET;
        config.queue_messages = 1 << 20;
        config.queue_bytes = BUDGET;
        config.write_timeout = None;
        config.heartbeat = None;
        let ends = Ends::default();
        let server = start(config, &ends).await;
        let gateway = &server.gateway;
        let mut wire = Wire::plain(server.addr).await;
        let mut slow = Vec::new();
        for name in ["ann", "bob"] {
            slow.push(named(&mut wire, name).await);
        }
        let greedy = named(&mut wire, "greedy").await;
        let mut fast = named(&mut wire, "fast").await;
        server.until_open(4).await;
        let part = "x".repeat(20_000);
        for n in 0..15 {
            for name in ["ann", "bob"] {
                session(gateway, name).send("n", Json((n, &part))).unwrap();
            }
        }
        let fullest = session(gateway, "greedy");
        let mut most = 0;
        for n in 0..1_000 {
            if fullest.send("n", Json((n, &part))).is_err() {
                break;
            }
            most = most.max(gateway.stats().queued_bytes);
            tokio::task::yield_now().await;
        }
        assert!(fullest.is_closed(), "{policy:?}");
        assert!(most > 0 && most <= BUDGET as u64 + 50_000, "{most} waited");
        assert_eq!(gateway.stats().slow_consumers, 1, "{policy:?}");
        is_well(&mut fast).await;
        // What it has begun to get goes on, and then its end has come.
        ends_early(greedy).await;
        let end = ends.one().await;
        assert_eq!(end.initiator, Initiator::Backpressure, "{policy:?}");
        for client in &mut slow {
            for n in 0..15 {
                assert_eq!(client.recv_json().await.unwrap()["data"][0], n);
            }
            is_well(client).await;
        }
        until("nothing waits any more", async || {
            gateway.stats().queued_bytes == 0
        })
        .await;
        assert_eq!(ends.len(), 1, "the others live on");
        drop((slow, fast, wire));
        server.stop().await;
    }
}
