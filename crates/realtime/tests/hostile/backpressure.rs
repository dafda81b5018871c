//! Peers that read too slowly, or not at all, and one that doesn't.

use std::time::Duration;

use realtime::{Backpressure, Initiator, Json, Payload, Session, error::SendErrorKind};
use realtime_testkit::wait::until;
use realtime_websocket::Event;
use serde_json::json;

use crate::{
    log::SECRET,
    support::{Ends, Server, anonymous, router},
};

#[tokio::test]
async fn a_slow_reader_is_closed_and_costs_no_more_than_its_queue() {
    const QUEUE: u64 = 100_000;
    let ends = Ends::default();
    let builder = realtime::builder()
        .router(router())
        .queue_bytes(QUEUE as usize);
    let builder = builder.write_timeout(None);
    let server = Server::start(ends.hear(builder).build().unwrap()).await;
    let mut client = server.connect_narrow().await;
    let session = server.session().await;
    let before = server.stats();
    let (mut sent, mut most) = (0u64, 0);
    let error = loop {
        match session.send("m", Json(&json!([sent, SECRET.repeat(60)]))) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        most = most.max(server.stats().queued_bytes);
    };
    assert_eq!(error.kind(), SendErrorKind::Backpressure);
    // The policy counts bytes; what their frames take beside them is in the statistics.
    let frames = 16 * 1024;
    assert!(
        most > QUEUE / 2 && most <= QUEUE + frames,
        "{most} bytes waited"
    );
    until("its queue is discarded", async || {
        server.stats().dropped > before.dropped
    })
    .await;
    let dropped = server.stats().dropped - before.dropped;
    let mut received = 0;
    let closed = loop {
        match client.recv().await.unwrap() {
            Event::Text(_) => received += 1,
            Event::Close(close) => break close.unwrap(),
            other => panic!("unexpected {other:?}"),
        }
    };
    assert_eq!((closed.code, &*closed.reason), (1013, "slow consumer"));
    assert_eq!(received + dropped, sent, "sent = received + dropped");
    drop(client);
    assert_eq!(ends.one().await.initiator, Initiator::Backpressure);
    server.until_alone().await;
    assert_eq!(server.stats().slow_consumers, 1);
    server.finish().await;
}

/// However much is sent in one turn, and however little the queue holds.
#[tokio::test]
async fn a_peer_whose_socket_accepts_everything_is_no_slow_reader() {
    const MESSAGES: u64 = 2000;
    let builder = realtime::builder().router(router()).queue_messages(1);
    let server = Server::start(builder.build().unwrap()).await;
    let mut client = server.connect().await;
    let session = server.session().await;
    for n in 0..MESSAGES {
        session.send("m", Json(&n)).unwrap();
    }
    for n in 0..MESSAGES {
        assert_eq!(client.recv_json().await.unwrap()["data"], n);
    }
    drop(client);
    server.until_alone().await;
    server.finish().await;
}

#[tokio::test]
async fn a_peer_that_accepts_nothing_is_gone_after_the_write_timeout_under_every_policy() {
    let policies = [
        Backpressure::Close,
        Backpressure::DropNewest,
        Backpressure::DropOldest,
    ];
    for policy in policies {
        let ends = Ends::default();
        let builder = realtime::builder().router(router()).backpressure(policy);
        let builder = builder.write_timeout(Some(Duration::from_millis(200)));
        let server = Server::start(ends.hear(builder).build().unwrap()).await;
        let mut stuck = server.connect_narrow().await;
        let session = server.session().await;
        // One larger message than the queue's bytes is taken by an empty queue.
        let large = Payload::from(format!("\"{}\"", "x".repeat(16 << 20)));
        session.send("m", large).unwrap();
        let info = ends.one().await;
        assert_eq!(
            (info.initiator, &*info.reason),
            (Initiator::Error, "write timeout")
        );
        // Its socket is closed, though the application still has the session.
        stuck.eof().await;
        server.until_alone().await;
        assert_eq!(server.stats().write_timeouts, 1);
        assert_eq!(server.stats().queued_bytes, 0);
        server.finish().await;
    }
}

/// One who was closed for being slow, and doesn't read that either, doesn't stay.
#[tokio::test]
async fn a_slow_reader_that_never_reads_its_close_is_gone_after_the_write_timeout() {
    let builder = realtime::builder().router(router());
    let builder = builder.write_timeout(Some(Duration::from_millis(200)));
    let server = Server::start(builder.build().unwrap()).await;
    let _stuck = server.connect_narrow().await;
    let session = server.session().await;
    let data = "x".repeat(10_000);
    while session.send("m", Json(&data)).is_ok() {}
    server.until_alone().await;
    server.finish().await;
}

#[tokio::test]
async fn past_the_budget_for_queues_only_the_fullest_is_closed() {
    const BUDGET: u64 = 1 << 20;
    let builder = realtime::builder()
        .router(router())
        .queue_budget(BUDGET as usize)
        .queue_messages(1 << 20)
        .queue_bytes(BUDGET as usize)
        .write_timeout(None);
    let server = Server::start(builder.build().unwrap()).await;
    let mut clients = Vec::new();
    let mut sessions = Vec::new();
    for _ in 0..3 {
        clients.push(server.connect_narrow().await);
        server.until_open(clients.len() as u64).await;
        let known: Vec<_> = sessions.iter().map(Session::id).collect();
        let mut all = server.gateway.local_sessions_of(&anonymous());
        all.retain(|session| !known.contains(&session.id()));
        all.sort_by_key(Session::connected_at);
        sessions.push(all.pop().unwrap());
    }
    let data = "x".repeat(10_000);
    // The first two hold a quarter of the budget each; the third takes what is left and more.
    for session in &sessions[..2] {
        let before = server.stats().queued_bytes;
        while server.stats().queued_bytes - before < BUDGET / 4 {
            session.send("m", Json(&data)).unwrap();
        }
    }
    while sessions[2].send("m", Json(&data)).is_ok() {
        assert!(server.stats().queued_bytes < BUDGET + 20_000);
    }
    assert!(!sessions[0].is_closed() && !sessions[1].is_closed());
    let mut third = clients.pop().unwrap();
    assert_eq!(third.closed().await.unwrap().0, 1013);
    assert_eq!(server.stats().slow_consumers, 1);
    drop((third, clients));
    server.until_alone().await;
    server.finish().await;
}
