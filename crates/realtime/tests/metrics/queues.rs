//! What waits for clients, is dropped, or reaches them.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use realtime::{Backpressure, Json};
use realtime_testkit::{
    client::{Client, Request},
    wait::until,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};

use super::{builder, named, scrape::Metrics, start};

#[tokio::test]
async fn a_broadcast_is_measured_until_it_has_left() {
    let (server, metrics) = start(builder()).await;
    let mut ann = named(&server, "ann").await;
    server.until_open(1).await;
    for n in 0..3 {
        server.gateway.broadcast("n", Json(n)).await.unwrap();
        ann.recv_json().await.unwrap();
    }
    metrics
        .is("realtime_broadcast_duration_seconds", &[], 3.)
        .await;
    metrics
        .at_least("realtime_dispatcher_lag_seconds", &[], 1.)
        .await;
    metrics.is("realtime_messages_sent_total", &[], 3.).await;
    server.stop().await;
}

#[tokio::test]
async fn what_waits_for_a_slow_reader_and_what_is_dropped_is_seen() {
    let builder = builder()
        .backpressure(Backpressure::DropOldest)
        .queue_messages(16)
        .write_timeout(None);
    let (server, metrics) = start(builder).await;
    let mut ann = named(&server, "ann").await;
    server.until_open(1).await;
    let session = server.gateway.local_sessions().remove(0);
    let large = "x".repeat(100_000);
    let dropped = [("policy", "drop-oldest")];
    let is_full = async || {
        session.send("n", Json(&large)).unwrap();
        server.gateway.stats().dropped > 0
    };
    until("something is dropped", is_full).await;
    metrics
        .at_least("realtime_messages_dropped_total", &dropped, 1.)
        .await;
    metrics
        .moves(
            "realtime_messages_dropped_total",
            "policy",
            &["drop-oldest"],
        )
        .await;
    metrics
        .moves("realtime_dropped_bytes_total", "policy", &["drop-oldest"])
        .await;
    let of_one = metrics.value("realtime_messages_dropped_total", &dropped) * 100_000.;
    metrics
        .at_least("realtime_dropped_bytes_total", &dropped, of_one)
        .await;
    metrics.at_least("realtime_queued_messages", &[], 1.).await;
    metrics
        .at_least("realtime_queued_bytes", &[], 100_000.)
        .await;
    assert!(metrics.value("realtime_queued_messages", &[]) <= 17.);
    // Who reads gets what waits.
    let reads = async {
        loop {
            ann.recv().await.unwrap();
        }
    };
    tokio::select! {
        () = reads => {}
        () = metrics.is("realtime_queued_messages", &[], 0.) => {}
    }
    metrics.is("realtime_queued_bytes", &[], 0.).await;
    drop(ann);
    server.stop().await;
}

#[tokio::test]
async fn what_finds_no_room_is_counted_by_the_policy() {
    let builder = builder()
        .backpressure(Backpressure::DropNewest)
        .queue_messages(4)
        .write_timeout(None);
    let (server, metrics) = start(builder).await;
    let ann = named(&server, "ann").await;
    server.until_open(1).await;
    let session = server.gateway.local_sessions().remove(0);
    let large = "x".repeat(100_000);
    until("there is no room", async || {
        session.send("n", Json(&large)).is_err()
    })
    .await;
    metrics
        .moves(
            "realtime_messages_dropped_total",
            "policy",
            &["drop-newest"],
        )
        .await;
    metrics
        .moves("realtime_dropped_bytes_total", "policy", &["drop-newest"])
        .await;
    drop(ann);
    server.stop().await;
}

#[tokio::test]
async fn what_waited_for_one_that_has_gone_waits_no_more() {
    let builder = builder().queue_messages(1_000).queue_bytes(100_000_000);
    let (server, metrics) = start(builder).await;
    let ann = named(&server, "ann").await;
    server.until_open(1).await;
    let session = server.gateway.local_sessions().remove(0);
    let large = "x".repeat(100_000);
    for _ in 0..200 {
        session.send("n", Json(&large)).unwrap();
    }
    metrics.at_least("realtime_queued_messages", &[], 10.).await;
    let waited = metrics.value("realtime_queued_messages", &[]);
    metrics.is("realtime_messages_unsent_total", &[], 0.).await;
    drop(ann);
    metrics.is("realtime_sessions", &[], 0.).await;
    metrics.is("realtime_queued_messages", &[], 0.).await;
    // With the one of which its socket had taken a part.
    let unsent = metrics.value("realtime_messages_unsent_total", &[]);
    assert!(
        (waited..=waited + 1.).contains(&unsent),
        "{unsent} of {waited}"
    );
    let bytes = metrics.value("realtime_unsent_bytes_total", &[]);
    assert!(bytes >= waited * 100_000., "{bytes}");
    assert_eq!(metrics.value("realtime_messages_dropped_total", &[]), 0.);
    server.stop().await;
}

/// A connection of the host's own that blocks its thread in a write, from some time on and until
/// another one.
struct Blocking {
    stream: TcpStream,
    from: Arc<AtomicBool>,
    until: Arc<OnceLock<()>>,
}

impl AsyncRead for Blocking {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, out)
    }
}

impl AsyncWrite for Blocking {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.from.load(SeqCst) {
            self.until.wait();
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Lets go of what blocks, also where the test fails: its runtime waits for the thread.
struct Release(Arc<OnceLock<()>>);

impl Drop for Release {
    fn drop(&mut self) {
        let _first = self.0.set(());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_dispatcher_that_hangs_is_seen_while_it_does() {
    let gateway = builder().build().unwrap();
    let metrics = Metrics::of(&gateway);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (from, until) = (Arc::<AtomicBool>::default(), Arc::<OnceLock<()>>::default());
    let blocking = {
        let (from, until) = (Arc::clone(&from), Arc::clone(&until));
        move |stream| Blocking {
            stream,
            from,
            until,
        }
    };
    let service = TowerToHyperService::new(gateway.clone());
    let host = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let connection =
            http1::Builder::new().serve_connection(TokioIo::new(blocking(stream)), service);
        connection.with_upgrades().await.unwrap();
    });
    let mut ann: Client = Request::new("/ws?ann").connect(addr).await.unwrap();
    metrics.is("realtime_sessions", &[], 1.).await;
    let release = Release(until);
    from.store(true, SeqCst);
    gateway.broadcast("n", Json(1)).await.unwrap();
    for least in [0.1, 0.3] {
        metrics
            .at_least("realtime_dispatcher_oldest_seconds", &[], least)
            .await;
    }
    drop(release);
    assert_eq!(ann.recv_json().await.unwrap()["data"], 1);
    metrics
        .is("realtime_dispatcher_oldest_seconds", &[], 0.)
        .await;
    gateway.shutdown().await;
    host.abort();
}
