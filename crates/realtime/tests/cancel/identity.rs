//! `send_to_identity`, also where a node is gone.

use std::time::Duration;

use realtime::{
    Identity, IdentityKey, Json, SessionId,
    auth::StaticToken,
    broker::{LocalBroker, NodeInfo},
    node::{Incarnation, NodeId},
    presence::{MemoryPresence, Presence, SessionInfo},
    report::Remote,
};
use realtime_testkit::{
    client::{Client, Request},
    wait::until,
};
use serde_json::json;

use crate::{
    drops::{dropped_after, tasks, until_tasks},
    slow::{PAUSES, SlowBroker, SlowPresence},
    support::Server,
};

fn ann() -> IdentityKey {
    IdentityKey::new("ann")
}

fn token() -> StaticToken {
    StaticToken::new("correct-horse", Identity::new("ann")).unwrap()
}

async fn connect(server: &Server) -> Client {
    let request = Request::new("/ws").header("Authorization", "Bearer correct-horse");
    let client = request.connect(server.addr).await.unwrap();
    server.until_open(1).await;
    client
}

/// Leaves a session of a node that is no more.
async fn leave_over(presence: &MemoryPresence) {
    let gone: NodeId = "gone".parse().unwrap();
    let gone = NodeInfo::new(gone, Incarnation::random());
    let session = SessionInfo::new(SessionId::random(), &ann(), gone);
    let _registered = presence.register(&[session], None).await.unwrap();
}

#[tokio::test]
async fn dropped_anywhere_a_targeted_message_reaches_each_at_most_once() {
    let before = tasks();
    let (bus, presence) = (LocalBroker::new(), MemoryPresence::new());
    let here = crate::support::builder()
        .authenticator(token())
        .broker(SlowBroker(bus.clone()))
        .presence(SlowPresence(presence.clone()))
        .build()
        .unwrap();
    let there = crate::support::builder()
        .authenticator(token())
        .broker(bus.clone())
        .presence(presence.clone())
        .build()
        .unwrap();
    here.start().await.unwrap();
    there.start().await.unwrap();
    let (here, there) = (Server::start(here).await, Server::start(there).await);
    let (mut near, mut far) = (connect(&here).await, connect(&there).await);
    until("both are online", async || {
        presence.sessions(&ann()).await.unwrap().len() == 2
    })
    .await;
    // Once the link has been up for a while, a node that can't be reached is gone for good.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(6)).await;
    tokio::time::resume();

    leave_over(&presence).await;
    let mut round = 0;
    loop {
        let ann = ann();
        let sent = here.gateway.send_to_identity(&ann, "m", Json(&round));
        let outcome = dropped_after(round, sent).await;
        let online = presence.sessions(&ann).await.unwrap();
        assert_eq!(online.len(), 3, "the leases say who leaves presence");
        if let Some(delivery) = outcome {
            let delivery = delivery.unwrap();
            assert_eq!((delivery.local, delivery.remote), (1, Remote::Nodes(1)));
            break;
        }
        round += 1;
    }
    // Presence is asked, two nodes get it at the same time, presence is asked again, and one gets
    // it again.
    let calls = 1 + 1 + 1 + 1;
    assert_eq!(round, calls * 2 * PAUSES + 1);

    there.gateway.broadcast("m", Json("end")).await.unwrap();
    for client in [&mut near, &mut far] {
        let mut rounds = Vec::new();
        loop {
            let message = client.recv_json().await.unwrap();
            if message["data"] == json!("end") {
                break;
            }
            rounds.push(message["data"].as_u64().unwrap() as usize);
        }
        assert!(rounds.is_sorted_by(|a, b| a < b), "once each: {rounds:?}");
        assert_eq!(rounds.last(), Some(&round), "{rounds:?}");
    }
    drop((near, far));
    here.stop().await;
    there.stop().await;
    assert_eq!(presence.sessions(&ann()).await.unwrap().len(), 1);
    until_tasks(before).await;
}
