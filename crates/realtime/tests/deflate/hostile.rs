//! Bombs, garbage, and what wasn't agreed on.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
    time::Duration,
};

use realtime::{Builder, CloseCode, Json, config::Compression};
use realtime_testkit::wait::until;
use realtime_websocket::{
    Event, Kind,
    deflate::{Compressor, Level},
};
use serde_json::{Value, json};
use tokio::{sync::Notify, task::JoinHandle};

use crate::{
    OFFER, builder, long,
    peer::{Peer, fragment, request},
    prose, router, start,
    support::{Ends, Server},
};

/// What is compressed of these bytes.
fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(Level::Small).with_floor(1);
    let frame = compressor.smaller_server_frame(Kind::Text, bytes).unwrap();
    let header = match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    frame[header..].to_vec()
}

/// A piece of a bomb: 60 KiB of the same byte. No compressor of ours makes two of them.
fn bomb() -> Vec<u8> {
    let mut bytes = deflated(&vec![b'a'; 60 * 1024]);
    bytes.extend_from_slice(&[0, 0, 0xff, 0xff]);
    bytes
}

#[tokio::test]
async fn what_is_too_large_or_no_deflate_ends_its_session_alone() {
    let ends = Ends::default();
    let server = start(ends.hear(builder().read_limit(200 * 1024))).await;
    let mut bystander = Peer::connect(server.addr, "by", Some(OFFER)).await;
    let too_large = prose(300_000);
    let bombs = bomb().repeat(2);
    assert!(bombs.len() < 500);
    let text = "so much ado ".repeat(20);
    let rows: Vec<(&str, Vec<Vec<u8>>, u16)> = vec![
        (
            "over the limit",
            vec![fragment(0xc1, &deflated(too_large.as_bytes()))],
            1009,
        ),
        ("a bomb", vec![fragment(0xc1, &bombs)], 1008),
        ("no DEFLATE", vec![fragment(0xc1, &[0xff; 64])], 1007),
        (
            "cut off",
            vec![fragment(0xc1, &deflated(text.as_bytes())[..4])],
            1007,
        ),
        (
            "no UTF-8",
            vec![fragment(0xc1, &deflated(&[0xff; 100]))],
            1007,
        ),
        ("a ping", vec![fragment(0xc9, b"x")], 1002),
        ("another bit", vec![fragment(0xa1, b"x")], 1002),
        (
            "in the middle",
            vec![
                fragment(0x41, &deflated(text.as_bytes())),
                fragment(0xc0, b"x"),
            ],
            1002,
        ),
    ];
    for (what, frames, code) in rows {
        let mut peer = Peer::connect(server.addr, "ann", Some(OFFER)).await;
        for frame in frames {
            peer.raw(&frame).await;
        }
        assert_eq!(peer.closed().await, Some(code), "{what}");
        drop(peer);
        server.until_open(1).await;
        let held = async || server.gateway.stats().assembling_bytes == 0;
        until("nothing is held", held).await;
        assert_eq!(
            bystander.ask("echo", json!(what)).await.json()["data"],
            what
        );
    }
    assert_eq!(server.gateway.stats().violations, 8);
    drop(bystander);
    server.stop().await;
}

#[tokio::test]
async fn who_has_agreed_to_nothing_may_compress_nothing() {
    let server = start(builder()).await;
    let mut peer = Peer::connect(server.addr, "ann", None).await;
    let text = request("echo", json!(long()));
    peer.raw(&fragment(0xc1, &deflated(text.as_bytes()))).await;
    assert_eq!(peer.closed().await, Some(1002));
    server.stop().await;
}

#[tokio::test]
async fn fragments_and_pings_among_compressed_messages_are_understood() {
    let server = start(builder()).await;
    let mut peer = Peer::connect(server.addr, "ann", Some(OFFER)).await;
    let text = request("echo", json!(long()));
    let deflated = deflated(text.as_bytes());
    let (one, two) = deflated.split_at(deflated.len() / 2);
    let mut all = fragment(0x41, one);
    all.extend(fragment(0x89, b"there?"));
    all.extend(fragment(0x80, two));
    all.extend(peer.compressed(&text));
    all.extend(fragment(0x81, request("echo", json!("plain")).as_bytes()));
    for byte in all {
        peer.raw(&[byte]).await;
    }
    let pong = peer.frame().await;
    assert_eq!(pong.event, Event::Pong(b"there?".to_vec().into()));
    for data in [long(), long(), "plain".to_owned()] {
        assert_eq!(peer.frame().await.json()["data"], data);
    }
    drop(peer);
    server.stop().await;
}

/// One whose handler waits, and who has sent more behind that than is read ahead of it.
async fn busy(server: &Server, behind: &[u8]) -> Peer {
    let mut peer = Peer::connect(server.addr, "ann", Some(OFFER)).await;
    let mut all = fragment(0x81, request("hold", json!(null)).as_bytes());
    // 4.8 KB each when it is inflated, of which 64 KiB are read.
    for _ in 0..MANY {
        all.extend(peer.compressed(&request("echo", json!(long()))));
    }
    all.extend_from_slice(behind);
    assert!(all.len() < 16 * 1024, "it comes in one read");
    peer.raw(&all).await;
    peer
}

const MANY: usize = 30;

fn held(gate: &Arc<Notify>) -> Builder {
    let gate = Arc::clone(gate);
    let hold = move || {
        let gate = Arc::clone(&gate);
        async move { gate.notified().await }
    };
    builder().router(router().route("hold", hold))
}

#[tokio::test]
async fn a_ping_does_not_wait_behind_compressed_messages() {
    let gate = Arc::default();
    let server = start(held(&gate)).await;
    let text = request("echo", json!("the last"));
    let mut behind = fragment(0x89, b"there?");
    behind.extend(fragment(0xc1, &deflated(text.as_bytes())));
    let mut peer = busy(&server, &behind).await;
    // The handler waits until it has come.
    let pong = peer.frame().await;
    assert_eq!(pong.event, Event::Pong(b"there?".to_vec().into()));
    gate.notify_one();
    assert_eq!(peer.frame().await.json()["route"], "hold");
    for _ in 0..MANY {
        assert_eq!(peer.frame().await.json()["data"], long());
    }
    assert_eq!(peer.frame().await.json()["data"], "the last");
    drop(peer);
    server.stop().await;
}

#[tokio::test]
async fn what_is_given_up_is_not_inflated() {
    let gate = Arc::default();
    let server = start(held(&gate)).await;
    // Who inflates it finds out what it is.
    let garbage = fragment(0xc1, &[0xff; 64]);
    let mut peer = busy(&server, &garbage).await;
    until("its handler waits", async || {
        server.gateway.stats().received == 1
    })
    .await;
    server.gateway.local_sessions()[0].close(CloseCode::NORMAL, "enough");
    gate.notify_one();
    assert_eq!(peer.closed().await, Some(1000));
    drop(peer);
    server.until_open(0).await;
    until("all are counted", async || {
        server.gateway.stats().unhandled == MANY as u64 + 1
    })
    .await;
    assert_eq!(server.gateway.stats().violations, 0);
    server.stop().await;
}

/// A message on this route of few bytes, which are more than a turn may have once they are inflated.
fn much(route: &str) -> Vec<u8> {
    let begin = format!(r#"{{"route":"{route}","data":"{}"#, "a".repeat(1_000));
    let end = format!(r#"{}"}}"#, "a".repeat(1_000));
    let mut one = deflated(begin.as_bytes());
    one.extend_from_slice(&[0, 0, 0xff, 0xff]);
    one.extend(bomb().repeat(4));
    one.extend(deflated(end.as_bytes()));
    fragment(0xc1, &one)
}

/// A task that has a turn whenever a session has had one, since it is woken at once; and how many.
fn ticking() -> (Arc<AtomicUsize>, JoinHandle<()>) {
    let turns = Arc::new(AtomicUsize::new(0));
    let ticking = tokio::spawn({
        let turns = Arc::clone(&turns);
        poll_fn(move |cx| {
            turns.fetch_add(1, SeqCst);
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        })
    });
    (turns, ticking)
}

/// What comes in a few bytes is no reason to keep the thread for long.
#[tokio::test]
async fn others_have_their_turns_while_much_is_inflated() {
    let (turns, ticking) = ticking();
    let seen = Arc::<std::sync::Mutex<Vec<usize>>>::default();
    let look = {
        let seen = Arc::clone(&seen);
        move |Json(_): Json<Value>| {
            seen.lock().unwrap().push(turns.load(SeqCst));
            std::future::ready(())
        }
    };
    let mut compression = Compression::default();
    compression.max_ratio = None;
    let builder = builder().router(router().route("look", look));
    let server = start(builder.compression(compression)).await;
    let mut peer = Peer::connect(server.addr, "ann", Some(OFFER)).await;
    let all = much("look").repeat(16);
    assert!(all.len() < 16 * 1024, "it comes in one read");
    peer.raw(&all).await;
    until("all are handled", async || seen.lock().unwrap().len() == 16).await;
    let mut seen = seen.lock().unwrap().clone();
    seen.dedup();
    // As many turns as messages, since each is more than a turn may have.
    assert_eq!(seen.len(), 16, "{seen:?}");
    ticking.abort();
    drop(peer);
    server.stop().await;
}

/// Nor is what is asked for in a few bytes.
#[tokio::test]
async fn others_have_their_turns_while_much_is_compressed() {
    let (turns, ticking) = ticking();
    let seen = Arc::<std::sync::Mutex<Vec<usize>>>::default();
    let give = {
        let seen = Arc::clone(&seen);
        move || {
            seen.lock().unwrap().push(turns.load(SeqCst));
            std::future::ready(Json(prose(200_000)))
        }
    };
    let server = start(builder().router(router().route("give", give))).await;
    let mut peer = Peer::connect(server.addr, "ann", Some(OFFER)).await;
    let asks = fragment(0x81, request("give", json!(null)).as_bytes());
    peer.raw(&asks.repeat(16)).await;
    for _ in 0..16 {
        let frame = peer.frame().await;
        assert!(frame.is_compressed);
    }
    let mut seen = seen.lock().unwrap().clone();
    seen.dedup();
    assert_eq!(seen.len(), 16, "{seen:?}");
    ticking.abort();
    drop(peer);
    server.stop().await;
}

/// While others have their turns, time passes, and the answer to a ping may lie in the socket.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_has_answered_a_ping_is_not_judged_before_that_is_read() {
    const PONG: Duration = Duration::from_millis(300);
    let looks = Arc::new(AtomicUsize::new(0));
    let look = {
        let looks = Arc::clone(&looks);
        move |Json(_): Json<Value>| {
            // The thread is kept for longer than an answer may take.
            std::thread::sleep(PONG * 2);
            looks.fetch_add(1, SeqCst);
            std::future::ready(())
        }
    };
    let mut compression = Compression::default();
    compression.max_ratio = None;
    let builder = builder()
        .router(router().route("look", look))
        .heartbeat(Some(PONG / 2))
        .pong_timeout(Some(PONG));
    let server = start(builder.compression(compression)).await;
    let mut peer = Peer::connect(server.addr, "ann", Some(OFFER)).await;
    peer.raw(&much("look").repeat(5)).await;
    let answers = tokio::spawn(async move { peer.answer_pings().await });
    until("all are handled", async || looks.load(SeqCst) == 5).await;
    assert_eq!(server.gateway.stats().pong_timeouts, 0);
    assert_eq!(server.gateway.stats().open, 1);
    answers.abort();
    server.stop().await;
}
