//! What takes its time, by a clock that the test moves: the same gateway under hyper, over a pipe
//! in memory instead of a socket.
//!
//! The limits are the documented defaults, and no test waits for them.

use std::{sync::Mutex, time::Duration};

use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use realtime::{Backpressure, Gateway, Json, Serve};
use realtime_testkit::client::{Client, Request};
use realtime_websocket::Event;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};

use crate::{
    log,
    support::{Ends, anonymous, router},
};

const SECOND: Duration = Duration::from_secs(1);

/// A connection to the gateway through a pipe that holds so many bytes.
fn pipe(gateway: &Gateway, holds: usize) -> DuplexStream {
    log::capture();
    let (ours, theirs) = tokio::io::duplex(holds);
    let service = TowerToHyperService::new(gateway.clone());
    let connection = http1::Builder::new().serve_connection(TokioIo::new(theirs), service);
    tokio::spawn(connection.with_upgrades());
    ours
}

async fn connect(gateway: &Gateway, holds: usize) -> Client<DuplexStream> {
    Request::new("/ws")
        .over(pipe(gateway, holds))
        .await
        .unwrap()
}

async fn is_answered(bystander: &mut Client<DuplexStream>) {
    let answer = bystander.request("echo", json!(1)).await.unwrap();
    assert_eq!(answer["data"], 1);
}

fn seconds(range: std::ops::Range<u64>) -> std::ops::Range<Duration> {
    Duration::from_secs(range.start)..Duration::from_secs(range.end)
}

#[tokio::test(start_paused = true)]
async fn a_message_that_never_finishes_is_given_up_after_30_seconds() {
    for drips in [false, true] {
        let builder = realtime::builder().router(router()).heartbeat(None);
        let gateway = builder.build().unwrap();
        let mut bystander = connect(&gateway, 65_536).await;
        let mut client = connect(&gateway, 65_536).await;
        let begun = Instant::now();
        let piece = realtime_websocket::frame::fragment(1, drips, &[b' '; 1000], Some([0; 4]));
        let mut bytes = piece.iter();
        if !drips {
            client.send_raw(&piece).await.unwrap();
        }
        while gateway.stats().violations == 0 {
            if drips {
                // Single bytes of a frame, of which it has more than it has time for.
                client.send_raw(&[*bytes.next().unwrap()]).await.unwrap();
            } else {
                // Pings between fragments: whole frames, but of another message.
                client.send_frame(9, true, b"").await.unwrap();
                client.send_frame(0, false, b" ").await.unwrap();
                assert_eq!(client.recv().await.unwrap(), Event::Pong("".into()));
            }
            is_answered(&mut bystander).await;
            sleep(SECOND / 2).await;
        }
        assert!(seconds(30..32).contains(&begun.elapsed()));
        let reason = "the message came too slowly".to_owned();
        assert_eq!(client.closed().await, Some((1008, reason)));
        gateway.shutdown().await;
        assert_eq!(
            (gateway.stats().open, gateway.stats().assembling_bytes),
            (0, 0)
        );
        log::check();
    }
}

#[tokio::test(start_paused = true)]
async fn a_101_that_leads_to_no_websocket_is_given_up_after_10_seconds() {
    let builder = realtime::builder()
        .router(router())
        .max_connections(Some(2));
    let gateway = builder.build().unwrap();
    let mut bystander = connect(&gateway, 65_536).await;
    // Too small for the head of the response, which nobody reads.
    let mut stuck = pipe(&gateway, 16);
    let begun = Instant::now();
    let head = "GET /ws HTTP/1.1\r\nHost: gateway.test\r\nUpgrade: websocket\r\n\
                Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stuck.write_all(head.as_bytes()).await.unwrap();
    // This clock moves only when nobody has anything left to do.
    sleep(SECOND / 100).await;
    while gateway.stats().upgrades_failed == 0 {
        let full = Request::new("/ws").over(pipe(&gateway, 65_536)).await;
        assert!(full.is_err(), "its place is taken");
        is_answered(&mut bystander).await;
        sleep(SECOND).await;
    }
    assert!(seconds(10..12).contains(&begun.elapsed()));
    let mut next = connect(&gateway, 65_536).await;
    is_answered(&mut next).await;
    drop(stuck);
    gateway.shutdown().await;
    assert_eq!((gateway.stats().open, gateway.stats().opened), (0, 2));
    log::check();
}

/// A reader of 60 kB a second, behind 3 MB that the way to it has taken at once.
#[tokio::test(start_paused = true)]
async fn a_ping_behind_a_large_answer_may_be_answered_late() {
    let builder = realtime::builder().router(router());
    let gateway = builder.build().unwrap();
    let mut client = connect(&gateway, 8 << 20).await;
    let answer = client.request("echo", json!(1)).await.unwrap();
    assert_eq!(answer["data"], 1);
    gateway
        .broadcast("m", Json(&"x".repeat(3 << 20)))
        .await
        .unwrap();
    let mut piece = vec![0; 60_000];
    for _ in 0..(3 << 20) / piece.len() {
        client.stream.read_exact(&mut piece).await.unwrap();
        sleep(SECOND).await;
        assert_eq!(gateway.stats().pong_timeouts, 0);
    }
    drop(client);
    gateway.shutdown().await;
    log::check();
}

/// A slow reader is slow, not gone.
#[tokio::test(start_paused = true)]
async fn a_peer_that_accepts_a_byte_per_write_timeout_stays_and_is_notified_of_what_it_missed() {
    for policy in [Backpressure::DropNewest, Backpressure::DropOldest] {
        let builder = realtime::builder().router(router()).heartbeat(None);
        let builder = builder.backpressure(policy).queue_messages(4);
        let gateway = builder.build().unwrap();
        let mut slow = connect(&gateway, 256).await;
        let before = gateway.stats();
        let (mut sent, mut early) = (0, Vec::new());
        for _ in 0..30 {
            for _ in 0..3 {
                let _dropped = gateway
                    .broadcast("m", Json(&json!([sent, "x".repeat(300)])))
                    .await;
                sent += 1;
            }
            let mut byte = [0];
            slow.stream.read_exact(&mut byte).await.unwrap();
            early.push(byte[0]);
            sleep(9 * SECOND).await;
        }
        let dropped = gateway.stats().dropped - before.dropped;
        assert!(dropped > 0 && gateway.stats().write_timeouts == 0);
        // What was read byte by byte goes before the rest.
        let mut rest = std::io::Cursor::new(early).chain(slow.stream);
        let mut decoder = realtime_websocket::Decoder::new(
            realtime_websocket::Role::Client,
            realtime_websocket::Limits::default(),
        );
        let (mut received, mut told, mut buffer) = (Vec::new(), 0, vec![0; 4096]);
        while (received.len() as u64) < sent - dropped || told < dropped {
            let read = rest.read(&mut buffer).await.unwrap();
            let mut input = &buffer[..read];
            while let Some(event) = decoder.decode(&mut input).unwrap() {
                let Event::Text(text) = event else {
                    panic!("expected a text message; got {event:?}");
                };
                let message: serde_json::Value = serde_json::from_str(&text).unwrap();
                match message["route"].as_str() {
                    Some("gap") => told += message["data"]["missed"].as_u64().unwrap(),
                    _ => received.push(message["data"][0].as_u64().unwrap()),
                }
            }
        }
        assert_eq!((received.len() as u64, told), (sent - dropped, dropped));
        assert!(received.is_sorted_by(|a, b| a < b), "order is kept");
        drop(rest);
        gateway.shutdown().await;
        assert_eq!(gateway.stats().open, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_accepts_no_byte_for_10_seconds_is_gone_under_every_policy() {
    let policies = [
        Backpressure::Close,
        Backpressure::DropNewest,
        Backpressure::DropOldest,
    ];
    for policy in policies {
        let ends = Ends::default();
        let builder = realtime::builder().router(router()).heartbeat(None);
        let gateway = ends.hear(builder.backpressure(policy)).build().unwrap();
        let mut bystander = connect(&gateway, 65_536).await;
        is_answered(&mut bystander).await;
        let _stuck = connect(&gateway, 256).await;
        while gateway.stats().open < 2 {
            sleep(SECOND / 100).await;
        }
        let begun = Instant::now();
        let data = "x".repeat(1000);
        gateway.broadcast("m", Json(&data)).await.unwrap();
        while gateway.stats().write_timeouts == 0 {
            is_answered(&mut bystander).await;
            sleep(SECOND / 2).await;
        }
        assert!(seconds(10..12).contains(&begun.elapsed()));
        while gateway.stats().open > 1 {
            sleep(SECOND / 10).await;
        }
        assert_eq!(gateway.sessions_of(&anonymous()).await.unwrap().len(), 1);
        let info = ends.one().await;
        assert_eq!((info.code, &*info.reason), (None, "write timeout"));
        gateway.shutdown().await;
        assert_eq!(gateway.stats().open, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_hangs_is_waited_for_5_seconds() {
    let ends = Ends::default();
    let hangs = async || std::future::pending::<()>().await;
    let gateway = realtime::builder().on_connect(hangs).build().unwrap();
    let begun = Instant::now();
    let mut client = connect(&gateway, 65_536).await;
    assert_eq!(client.closed().await.unwrap().0, 1011);
    assert!(seconds(5..7).contains(&begun.elapsed()));
    drop(client);
    gateway.shutdown().await;
    let stats = gateway.stats();
    assert_eq!((stats.hooks_abandoned, stats.connects_refused), (1, 1));

    let builder = ends.hear(realtime::builder().on_disconnect(hangs));
    let gateway = builder.build().unwrap();
    let mut client = connect(&gateway, 65_536).await;
    let begun = Instant::now();
    client.close(1000, "").await.unwrap();
    assert_eq!(client.closed().await.unwrap().0, 1000);
    client.eof().await;
    assert!(
        seconds(0..3).contains(&begun.elapsed()),
        "the hook keeps no connection"
    );
    drop(client);
    ends.one().await;
    assert!(seconds(5..7).contains(&begun.elapsed()));
    gateway.shutdown().await;
    assert_eq!(
        (gateway.stats().hooks_abandoned, gateway.stats().open),
        (1, 0)
    );
}

/// A connection through a pipe under `serve`, which thinks that it is a secured one.
async fn secured(gateway: &Gateway) -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(4096);
    let theirs = Mutex::new(Some(theirs));
    let secure = move |_tcp| {
        let pipe = theirs.lock().unwrap().take();
        std::future::ready(pipe.ok_or_else(|| std::io::Error::other("only one")))
    };
    served(gateway, |server| server.secure(secure)).await;
    ours
}

/// A connection to a server.
async fn served(
    gateway: &Gateway,
    with: impl FnOnce(Serve<Gateway>) -> Serve<Gateway>,
) -> TcpStream {
    log::capture();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = realtime::serve(listener, gateway.clone(), gateway.clone());
    tokio::spawn(with(server).into_future());
    TcpStream::connect(addr).await.unwrap()
}

/// Asks again and again, and reads no response. Returns when it was given up.
async fn asks_and_never_reads(mut client: impl AsyncRead + AsyncWrite + Unpin) -> Duration {
    let no_upgrade = b"GET /ws HTTP/1.1\r\nHost: gateway.test\r\n\r\n".repeat(100);
    client.write_all(&no_upgrade).await.unwrap();
    client.read_exact(&mut [0; 12]).await.unwrap();
    let begun = Instant::now();
    while client.write_all(&no_upgrade).await.is_ok() {}
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_no_response_is_given_up_after_30_seconds() {
    let gateway = realtime::builder().build().unwrap();
    let plain = served(&gateway, |server| server).await;
    assert!(seconds(30..32).contains(&asks_and_never_reads(plain).await));
    let secured = secured(&gateway).await;
    assert!(seconds(30..32).contains(&asks_and_never_reads(secured).await));
    log::check();
}

/// The limit for HTTP ends with HTTP.
#[tokio::test(start_paused = true)]
async fn a_session_has_a_write_timeout_of_its_own() {
    let minute = Some(60 * SECOND);
    let builder = realtime::builder().write_timeout(minute).heartbeat(None);
    let gateway = builder.build().unwrap();
    let client = Request::new("/ws").over(secured(&gateway).await).await;
    let session = gateway.local_sessions().pop().unwrap();
    let begun = Instant::now();
    let long = "x".repeat(10_000);
    session.send("long", Json(&long)).unwrap();
    session.closed().await;
    assert!(seconds(60..62).contains(&begun.elapsed()));
    assert_eq!(gateway.stats().write_timeouts, 1);
    drop(client);
    log::check();
}
