//! What a socket has accepted in part counts with what it has yet to accept.

use realtime::{Backpressure, Builder, Payload, Router, error::SendErrorKind};
use realtime_testkit::wait::until;
use realtime_websocket::{Kind as FrameKind, frame};
use serde_json::Value;

use crate::host::{ByName, Host, Kind};

const LARGE: usize = 3_000_000;
const QUEUE: usize = 1 << 20;
const REPLIES: usize = 64 * 1024;

fn large() -> Payload {
    Payload::from(format!("\"{}\"", "x".repeat(LARGE)))
}

fn builder() -> Builder {
    let router = Router::new().route("large", async || large());
    let builder = realtime::builder().router(router).authenticator(ByName);
    builder.heartbeat(None).write_timeout(None)
}

/// Five requests for 3 MB each.
#[tokio::test]
async fn of_the_replies_to_a_peer_that_reads_nothing_one_waits() {
    for kind in [Kind::Plain, Kind::Hyper, Kind::Secured] {
        let host = Host::start(kind, builder().build().unwrap()).await;
        let (mut client, _) = host.connect("deaf").await;
        for n in 0..5 {
            let request = format!(r#"{{"id":"{n}","route":"large"}}"#);
            client.send_text(&request).await.unwrap();
        }
        let stats = || host.gateway.stats();
        until("its socket is full", async || stats().queued_bytes > 0).await;
        // A session that goes on does so within a few turns.
        for _ in 0..1_000 {
            let queued = stats().queued_bytes as usize;
            assert!(queued <= REPLIES + LARGE + 100, "{kind:?}: {queued} wait");
            tokio::task::yield_now().await;
        }
        // It gets all of them as soon as it reads.
        for n in 0..5 {
            let reply = client.recv_json().await.unwrap();
            assert_eq!(reply["id"], n.to_string());
        }
        assert_eq!(stats().received, 5);
    }
}

#[tokio::test]
async fn under_every_policy_the_bound_and_one_message_is_the_most() {
    for kind in [Kind::Plain, Kind::Hyper, Kind::Secured] {
        for policy in [
            Backpressure::Close,
            Backpressure::DropNewest,
            Backpressure::DropOldest,
        ] {
            let gateway = builder().backpressure(policy).queue_bytes(QUEUE);
            let host = Host::start(kind, gateway.build().unwrap()).await;
            let (_client, _) = host.connect("deaf").await;
            let session = host.session("deaf").await;
            let large = large();
            let mut refused = 0;
            for _ in 0..10 {
                let sent = session.send("n", &large);
                if let Err(error) = sent {
                    let kind = error.kind();
                    let expected = [SendErrorKind::Backpressure, SendErrorKind::SessionClosed];
                    assert!(expected.contains(&kind), "{error:?}");
                    refused += 1;
                }
                let queued = host.gateway.stats().queued_bytes as usize;
                assert!(queued <= LARGE + 100, "{kind:?} {policy:?}: {queued} wait");
            }
            assert!(refused > 0);
        }
    }
}

/// What is counted as waiting is what was sent and not written.
#[tokio::test]
async fn what_is_unwritten_is_what_is_said_to_wait() {
    let host = Host::start(Kind::Hyper, builder().build().unwrap()).await;
    let (mut client, trap) = host.connect("deaf").await;
    let session = host.session("deaf").await;
    let before = trap.written();
    session.send("n", large()).unwrap();
    let frame = format!(r#"{{"route":"n","data":"{}"}}"#, "x".repeat(LARGE)).len() + 10;
    let unwritten = || frame - (trap.written() - before);
    until("its pipe is full", async || trap.written() > before).await;
    assert_eq!(host.gateway.stats().queued_bytes as usize, unwritten());
    assert!(unwritten() > LARGE / 2);
    // Beside what was begun there is no room for another.
    let error = session.send_wait("n", Payload::from("1"));
    let waited = tokio::time::timeout(std::time::Duration::ZERO, error).await;
    assert!(waited.is_err(), "it waits");
    let message = client.recv_json().await.unwrap();
    assert_eq!(message["route"], "n");
    assert_eq!(unwritten(), 0);
    until("nothing waits", async || {
        host.gateway.stats().queued_bytes == 0
    })
    .await;
    session.send("n", Payload::from("1")).unwrap();
    assert_ne!(client.recv_json().await.unwrap(), Value::Null);
}

/// The memory of this process, in bytes.
fn memory() -> i64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let resident: i64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
    resident * 4096
}

/// Tiny requests without end, of clients that read no answer.
#[tokio::test]
async fn the_memory_of_tiny_replies_is_in_the_accounts() {
    const SESSIONS: usize = 50;
    let router = Router::new().route("n", async || ());
    let builder = realtime::builder().router(router).authenticator(ByName);
    let builder = builder.heartbeat(None).write_timeout(None);
    let host = Host::start(Kind::Hyper, builder.build().unwrap()).await;
    let mut clients = Vec::new();
    for _ in 0..SESSIONS {
        clients.push(host.connect("deaf").await.0);
    }
    host.until_open(SESSIONS as u64).await;
    let request = br#"{"id":"1","route":"n"}"#;
    let request = frame::client_frame(true, FrameKind::Text, request, [1, 2, 3, 4]);
    let before = memory();
    let floods = clients.iter_mut().map(async |client| {
        loop {
            client.send_raw(&request).await.unwrap();
        }
    });
    let stats = || host.gateway.stats();
    let full = until("no more is answered", async || {
        stats().queued_bytes as usize >= SESSIONS * REPLIES
            && stats().assembling_bytes as usize >= SESSIONS * REPLIES
    });
    tokio::select! {
        _never = futures::future::join_all(floods) => {}
        () = full => {}
    }
    let taken = memory() - before;
    // Replies are tiny, and what they take counts as well.
    let queued = stats().queued_bytes as usize;
    assert!(queued <= SESSIONS * (REPLIES + 1024), "{queued}");
    let held = stats().assembling_bytes as usize + queued;
    // Both pipes of each are full.
    let most = held as i64 * 5 / 4 + (SESSIONS * 160 * 1024) as i64;
    println!("{taken} bytes taken, {held} accounted");
    assert!(taken <= most, "{taken} bytes are taken where {held} count");
}
