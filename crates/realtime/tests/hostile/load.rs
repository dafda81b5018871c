//! Peers that read too slowly, that come and go in masses, and the end of the server.

use std::time::Duration;

use realtime::{
    Backpressure, Initiator, Json, Payload, SendErrorKind, gateway,
    presence::{MemoryPresence, Presence},
};
use realtime_testkit::{
    client::Client,
    wait::{until, within},
};
use realtime_websocket::Event;
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream, runtime::Handle, task::JoinSet};

use crate::{
    log::SECRET,
    support::{Ends, Server, anonymous, router},
};

#[tokio::test]
async fn a_slow_reader_is_closed_and_costs_no_more_than_its_queue() {
    const QUEUE: u64 = 100_000;
    let ends = Ends::default();
    let builder = gateway().router(router()).queue_bytes(QUEUE as usize);
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
    assert!(
        most > QUEUE / 2 && most <= QUEUE + 1024,
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
    assert_eq!(
        (closed.code.as_u16(), &*closed.reason),
        (1013, "slow consumer")
    );
    assert_eq!(received + dropped, sent, "sent = received + dropped");
    drop(client);
    assert_eq!(ends.one().await.initiator, Initiator::Backpressure);
    server.until_alone().await;
    assert_eq!(server.stats().slow_consumers, 1);
    server.finish().await;
}

/// However much is sent in one turn, and however little the queue holds.
#[tokio::test]
async fn a_peer_whose_socket_takes_everything_is_no_slow_reader() {
    const MESSAGES: u64 = 2000;
    let builder = gateway().router(router()).queue_messages(1);
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
async fn a_peer_that_takes_nothing_is_gone_after_the_write_timeout_under_every_policy() {
    let policies = [
        Backpressure::Close,
        Backpressure::DropNewest,
        Backpressure::DropOldest,
    ];
    for policy in policies {
        let ends = Ends::default();
        let builder = gateway().router(router()).backpressure(policy);
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
    let builder = gateway().router(router());
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
    let builder = gateway()
        .router(router())
        .queue_budget(BUDGET as usize)
        .queue_messages(1 << 20)
        .queue_bytes(1 << 30)
        .write_timeout(None);
    let server = Server::start(builder.build().unwrap()).await;
    let mut clients = Vec::new();
    let mut sessions = Vec::new();
    for _ in 0..3 {
        clients.push(server.connect_narrow().await);
        server.until_open(clients.len() as u64).await;
        let known: Vec<_> = sessions.iter().map(realtime::Session::id).collect();
        let mut all = server.gateway.local_sessions_of(&anonymous());
        all.retain(|session| !known.contains(&session.id()));
        all.sort_by_key(realtime::Session::connected_at);
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

/// Other tests of this process begin and end, and a runtime has a few descriptors of its own.
const SPARE: usize = 16;

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The process's memory, in bytes.
fn memory() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Runs this so many times, a few at once.
async fn churn<F: Future<Output = ()> + Send + 'static>(times: usize, one: impl Fn(usize) -> F) {
    let mut running = JoinSet::new();
    for n in 0..times {
        if running.len() == 32 {
            running.join_next().await.unwrap().unwrap();
        }
        running.spawn(one(n));
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn resets_in_mid_handshake_leave_nothing_behind() {
    let server = Server::alone(gateway().router(router()).build().unwrap()).await;
    let before = (descriptors(), Handle::current().metrics().num_alive_tasks());
    let head = format!(
        "GET /ws?token={SECRET} HTTP/1.1\r\nHost: gateway.test\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let addr = server.addr;
    churn(500, move |n| {
        let head = head.clone().into_bytes();
        async move {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            // From nothing at all to the whole of it, whose 101 nobody waits for.
            let part = &head[..head.len() * (n % 11) / 10 % (head.len() + 1)];
            stream.write_all(part).await.unwrap();
            stream.set_zero_linger().unwrap();
        }
    })
    .await;
    let as_before = async || {
        let now = (descriptors(), Handle::current().metrics().num_alive_tasks());
        now.0 <= before.0 + SPARE && now.1 <= before.1
    };
    until("descriptors and tasks are back", as_before).await;
    let stats = server.stats();
    assert!(stats.connections_failed > 0, "{stats:?}");
    server.until_alone().await;
    server.finish().await;
}

#[tokio::test]
async fn ten_thousand_connections_that_come_and_go_leave_nothing_behind() {
    const HALF: usize = 5_000;
    let server = Server::alone(gateway().router(router()).build().unwrap()).await;
    let (addr, tasks) = (server.addr, Handle::current().metrics());
    let before = (descriptors(), tasks.num_alive_tasks());
    let mut held = Vec::new();
    for half in 1..=2 {
        churn(HALF, move |n| async move {
            let mut client = Client::connect(addr).await.unwrap();
            match n % 4 {
                0 => client.send_raw(b"\x81\x02hi").await.unwrap(),
                1 => client.close(1000, "").await.unwrap(),
                2 => {
                    let answer = client.request("echo", json!(n)).await.unwrap();
                    assert_eq!(answer["data"], n);
                }
                _ => client.send_raw(&[0x81, 0xfe, 0x10]).await.unwrap(),
            }
            client.stream.set_zero_linger().unwrap();
        })
        .await;
        server.until_alone().await;
        assert_eq!(server.stats().closed, (half * HALF) as u64);
        until("descriptors and tasks are back", async || {
            descriptors() <= before.0 + SPARE && tasks.num_alive_tasks() <= before.1
        })
        .await;
        held.push(memory());
    }
    let grown = held[1].saturating_sub(held[0]);
    // A leak of one session's memory, about 4 KB, would be 20 MB.
    assert!(grown < 8 << 20, "memory grew by {grown} bytes");
    server.finish().await;
}

/// With sessions that don't read, which can't be told.
#[tokio::test]
async fn a_shutdown_tells_a_thousand_sessions_and_ends_in_time() {
    const SESSIONS: usize = 1000;
    const DEAF: usize = 10;
    let presence = MemoryPresence::new();
    let builder = gateway().router(router()).presence(presence.clone());
    let gateway = builder.build().unwrap();
    let server = Server::alone(gateway.clone()).await;
    let (mut clients, mut deaf) = (Vec::new(), Vec::new());
    for _ in DEAF..SESSIONS {
        clients.push(server.connect().await);
    }
    let known = server.gateway.local_sessions_of(&anonymous());
    for _ in 0..DEAF {
        deaf.push(server.connect_narrow().await);
    }
    server.until_open(SESSIONS as u64).await;
    let large = Payload::from(format!("\"{}\"", "x".repeat(8 << 20)));
    for session in server.gateway.local_sessions_of(&anonymous()) {
        if known.iter().all(|known| known.id() != session.id()) {
            session.send("m", &large).unwrap();
        }
    }
    let shutdown = gateway.shutdown_within(Duration::from_secs(5));
    let report = server
        .finish_with(0, within("the shutdown", shutdown))
        .await;
    assert_eq!((report.sessions, report.aborted), (SESSIONS, DEAF));
    assert_eq!(gateway.stats().aborted, DEAF as u64);
    for client in &mut clients {
        assert_eq!(client.closed().await.unwrap().0, 1001);
    }
    let left = presence.sessions(&anonymous()).await.unwrap();
    assert!(left.is_empty(), "presence is empty");
}
