//! Peers that come and go in masses, and the end of the server.

use std::time::Duration;

use realtime::{
    Payload,
    presence::{MemoryPresence, Presence},
};
use realtime_testkit::{
    client::Client,
    wait::{until, within},
};
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream, runtime::Handle, task::JoinSet};

use crate::{
    http::with,
    support::{Server, anonymous, memory, router},
};

/// Other tests of this process begin and end, and a runtime has a few descriptors of its own.
const SPARE: usize = 16;

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
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
    let server = Server::alone(realtime::builder().router(router()).build().unwrap()).await;
    let before = (descriptors(), Handle::current().metrics().num_alive_tasks());
    let head = with(&[]);
    let addr = server.addr;
    churn(500, move |n| {
        let head = head.clone();
        async move {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            // From nothing at all to the whole of it, whose 101 nobody waits for.
            let part = &head[..head.len() * (n % 11) / 10];
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
    let server = Server::alone(realtime::builder().router(router()).build().unwrap()).await;
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
    let builder = realtime::builder()
        .router(router())
        .presence(presence.clone());
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
