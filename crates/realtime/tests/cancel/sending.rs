//! `send_wait` and `broadcast`.

use futures::poll;
use realtime::{Gateway, IdentityKey, Json, Session, broker::LocalBroker, report::Remote};
use realtime_testkit::{
    client::{Client, Request},
    wait::within,
};
use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::{
    drops::{dropped_after, tasks, until_tasks},
    slow::{PAUSES, SlowBroker},
    support::Server,
};

fn sessions(gateway: &Gateway) -> Vec<Session> {
    gateway.local_sessions_of(&IdentityKey::new("anonymous"))
}

/// A client whose socket holds little of what it doesn't read.
async fn connect_narrow(server: &Server) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(server.addr).await.unwrap();
    Request::new("/ws").over(stream).await.unwrap()
}

/// Something of some size that has a number.
fn numbered(n: i64) -> Json<Value> {
    Json(json!([n, "x".repeat(10_000)]))
}

async fn number(client: &mut Client) -> i64 {
    let message = client.recv_json().await.unwrap();
    message["data"][0].as_i64().unwrap()
}

/// Sends until there is no room for more. Returns the numbers that were sent.
async fn fill(session: &Session, next: &mut i64) -> Vec<i64> {
    let mut sent = Vec::new();
    // The first time it is pending for want of room, it is dropped. Once may be for others' sake.
    while let Some(taken) = dropped_after(2, session.send_wait("m", numbered(*next))).await {
        taken.unwrap();
        sent.push(*next);
        *next += 1;
    }
    *next += 1;
    sent
}

#[tokio::test]
async fn dropped_while_it_waits_send_wait_has_sent_nothing() {
    let builder = crate::support::builder()
        .queue_messages(2)
        .write_timeout(None);
    let server = Server::start(builder.build().unwrap()).await;
    let mut client = connect_narrow(&server).await;
    server.until_open(1).await;
    let session = sessions(&server.gateway).remove(0);

    let (mut sent, mut read, mut next) = (Vec::new(), Vec::new(), 0);
    for waits in 0..4 {
        sent.extend(fill(&session, &mut next).await);
        let mut dropped = Box::pin(session.send_wait("m", numbered(-1)));
        let mut other = Box::pin(session.send_wait("m", numbered(next)));
        let its_number = next;
        next += 1;
        if waits > 0 {
            assert!(poll!(&mut dropped).is_pending());
            assert!(poll!(&mut dropped).is_pending());
        }
        assert!(poll!(&mut other).is_pending());
        // It is the first in line, so whatever room there is meanwhile is nobody else's.
        for _ in 1..waits {
            assert!(poll!(&mut other).is_pending());
            assert!(poll!(&mut dropped).is_pending());
        }
        let before = server.gateway.stats();
        drop(dropped);
        assert_eq!(server.gateway.stats(), before, "nothing has happened");
        // The one that waits beside it gets the next room.
        while poll!(&mut other).is_pending() {
            read.push(number(&mut client).await);
        }
        sent.push(its_number);
    }
    while read.len() < sent.len() {
        read.push(number(&mut client).await);
    }
    assert_eq!(read, sent, "all that was sent, in order, and nothing else");
    within("the next", session.send_wait("m", numbered(next)))
        .await
        .unwrap();
    assert_eq!(number(&mut client).await, next);
    let stats = server.gateway.stats();
    assert_eq!(stats.sent, sent.len() as u64 + 1);
    assert_eq!((stats.dropped, stats.queued_bytes), (0, 0));
    drop((client, session));
    server.stop().await;
}

/// Enough for several turns of a fan-out.
const MANY: u64 = 300;

/// Reads up to the end, and returns the rounds that were heard of.
async fn rounds(client: &mut Client) -> Vec<usize> {
    let mut rounds = Vec::new();
    loop {
        let message = client.recv_json().await.unwrap();
        match message["data"].as_u64() {
            Some(round) => rounds.push(round as usize),
            None => return rounds,
        }
    }
}

#[tokio::test]
async fn dropped_anywhere_a_broadcast_has_reached_this_node_and_the_next_reaches_all() {
    let before = tasks();
    let bus = LocalBroker::new();
    let here = crate::support::builder()
        .broker(SlowBroker(bus.clone()))
        .build()
        .unwrap();
    let there = crate::support::builder()
        .broker(bus.clone())
        .build()
        .unwrap();
    here.start().await.unwrap();
    there.start().await.unwrap();
    let (here, there) = (Server::start(here).await, Server::start(there).await);
    let mut clients = Vec::new();
    for _ in 0..MANY {
        clients.push(here.connect().await);
    }
    let mut far = there.connect().await;
    here.until_open(MANY).await;
    there.until_open(1).await;

    let mut last = 0;
    loop {
        let outcome = dropped_after(last, here.gateway.broadcast("m", Json(&last))).await;
        if let Some(delivery) = outcome {
            let delivery = delivery.unwrap();
            assert_eq!(delivery.local as u64, MANY);
            assert_eq!(delivery.remote, Remote::Published);
            break;
        }
        last += 1;
    }
    assert_eq!(last, 2 * PAUSES + 1, "wherever the broker makes it wait");

    here.gateway.broadcast("m", Json("end")).await.unwrap();
    // The very first was dropped before it began.
    let all: Vec<_> = (1..=last).collect();
    for client in &mut clients {
        assert_eq!(rounds(client).await, all, "once each, in order");
    }
    let far_rounds = rounds(&mut far).await;
    assert!(far_rounds.is_sorted_by(|a, b| a < b), "{far_rounds:?}");
    assert!(far_rounds.contains(&last), "{far_rounds:?}");
    assert_eq!(here.gateway.stats().queued_bytes, 0);
    drop((clients, far));
    here.stop().await;
    there.stop().await;
    until_tasks(before).await;
}

#[tokio::test]
async fn dropped_while_it_waits_for_a_full_log_a_broadcast_has_reached_nobody() {
    let before = tasks();
    let server = Server::start(crate::support::builder().build().unwrap()).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(server.connect().await);
    }
    server.until_open(4).await;
    let mut waited = 0;
    let mut expected = Vec::new();
    for round in 0..2000 {
        // Nobody else has a turn until it has to wait, since all runs in one thread.
        match dropped_after(1, server.gateway.broadcast("m", Json(&round))).await {
            Some(delivery) => {
                assert_eq!(delivery.unwrap().local, 4);
                expected.push(round);
            }
            None => {
                waited += 1;
                tokio::task::yield_now().await;
            }
        }
    }
    assert!(waited > 0, "the log was never full");
    server.gateway.broadcast("m", Json("end")).await.unwrap();
    for client in &mut clients {
        let heard = rounds(client).await;
        // With several shards, one may have had room where another had not.
        assert!(heard.is_sorted_by(|a, b| a < b), "once each, in order");
        assert!(
            expected
                .iter()
                .all(|round| heard.binary_search(round).is_ok())
        );
        assert!(
            heard.len() < 2000,
            "what was dropped in time reached nobody"
        );
    }
    assert_eq!(server.gateway.stats().queued_bytes, 0);
    drop(clients);
    server.stop().await;
    until_tasks(before).await;
}
