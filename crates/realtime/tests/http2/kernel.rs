//! What the kernel keeps of connections whose peers are silent: nothing, for long; and that it asks those
//! who say nothing.
#![cfg(target_os = "linux")]

use std::time::Duration;

use realtime_testkit::wait::{DEADLINE, until, within};
use tokio::time::{sleep, timeout};

use super::{
    raw::{HEADERS, Raw},
    router, server,
    support::kernel::{asks_in, knows},
};

/// Whatever its session was sent, it answers nothing, not even the end of the connection.
#[tokio::test]
async fn a_peer_that_is_silent_leaves_nothing_in_the_kernel() {
    let short = Some(Duration::from_millis(500));
    let builder = realtime::builder().router(router());
    let gateway = builder.heartbeat(short).pong_timeout(short).build();
    let server = server(gateway.unwrap()).await;
    let mut raw = Raw::connect(server.addr, &[]).await;
    let peer = raw.local_addr();
    raw.open(1, &[]).await;
    let (_, stream, _) = within("an answer", raw.until(HEADERS)).await.unwrap();
    assert_eq!(stream, 1);
    assert!(knows(server.addr, peer));
    until("its session has ended", async || {
        server.gateway.stats().pong_timeouts == 1
    })
    .await;
    // What is left of its stream is waited for, for 5 s.
    let forgotten = async {
        while knows(server.addr, peer) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let forgotten = timeout(3 * DEADLINE, forgotten).await;
    assert!(forgotten.is_ok(), "the kernel still has it");
    drop(raw);
    server.stop().await;
}

/// By the kernel, whose clock doesn't stand still while the process does.
#[tokio::test]
async fn who_says_nothing_is_asked_whether_it_is_there() {
    let gateway = realtime::builder().router(router()).heartbeat(None).build();
    let server = server(gateway.unwrap()).await;
    let mut raw = Raw::connect(server.addr, &[]).await;
    raw.open(1, &[]).await;
    let (_, stream, _) = within("an answer", raw.until(HEADERS)).await.unwrap();
    assert_eq!(stream, 1);
    // Once all that was sent is acknowledged.
    until("it is about to be asked", async || {
        let within = asks_in(server.addr, raw.local_addr());
        within.is_some_and(|within| within <= Duration::from_secs(30))
    })
    .await;
    server.stop().await;
}
