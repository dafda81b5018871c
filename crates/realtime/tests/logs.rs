//! What the log says, and how often, at which level.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod support;

use std::{
    io,
    sync::{Arc, Mutex},
};

use realtime_testkit::client::Request;
use support::Server;
use tracing::subscriber::DefaultGuard;

/// What this test's thread logs, from a level on. The runtime of each test is its own thread's.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn at(level: tracing::Level) -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(level)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn lines(&self) -> Vec<String> {
        let log = self.0.lock().unwrap();
        let log = String::from_utf8_lossy(&log);
        log.lines().map(ToOwned::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_refused_origin_is_said_once_with_its_host_and_the_setting() {
    let (log, _guard) = Log::at(tracing::Level::INFO);
    let server = Server::start(realtime::builder().build().unwrap()).await;
    let page = Request::new("/ws").header("Origin", "https://app.example.com");
    for _ in 0..50 {
        assert_eq!(page.refused(server.addr).await.status, 403);
    }
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    for word in [
        "WARN",
        "realtime::admission",
        "https://app.example.com",
        "gateway.test",
        "origin_patterns",
    ] {
        assert!(lines[0].contains(word), "{word} in {}", lines[0]);
    }
    let stats = server.gateway.stats();
    assert_eq!((stats.refused, stats.refused_origins), (50, 50));
    server.stop().await;
}

#[tokio::test]
async fn a_refused_origin_is_escaped_and_cut() {
    let (log, _guard) = Log::at(tracing::Level::INFO);
    let server = Server::start(realtime::builder().build().unwrap()).await;
    let origin = format!("https://\u{202e}\u{1b}{}", "x".repeat(4_000)).replace('\u{1b}', "\t");
    let page = Request::new("/ws").header("Origin", &origin);
    assert_eq!(page.refused(server.addr).await.status, 403);
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(!lines[0].chars().any(|c| c.is_control() || c == '\u{202e}'));
    assert!(lines[0].len() < 700, "{}", lines[0]);
    server.stop().await;
}
