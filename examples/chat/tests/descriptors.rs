//! Out of descriptors: connections wait, and the log says so in a few lines.
#![cfg(target_os = "linux")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use realtime_testkit::client::raw_http;
use tokio::net::TcpStream;

/// How many descriptors the chat has.
const DESCRIPTORS: usize = 48;
/// How long it has too few of them.
const SHORTAGE: Duration = Duration::from_secs(2);

/// Killed when the test ends.
struct Chat(Child);

impl Drop for Chat {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_shortage_of_descriptors_is_two_lines_with_a_count() {
    let limited = format!("ulimit -n {DESCRIPTORS} && exec \"$0\" --listen 127.0.0.1:0");
    let child = Command::new("sh")
        .args(["-c", &limited, env!("CARGO_BIN_EXE_chat")])
        .env("NO_COLOR", "1")
        .env("RUST_LOG", "realtime=debug")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut chat = Chat(child);
    let mut line = String::new();
    let mut stdout = BufReader::new(chat.0.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let addr = line.trim().trim_start_matches("listening on http://");
    let addr: SocketAddr = addr.parse().unwrap();
    let mut log = BufReader::new(chat.0.stderr.take().unwrap()).lines();
    let mut next = |what: &str| {
        let mut serve = log.by_ref().map(Result::unwrap);
        let line = serve.find(|line| line.contains(" WARN realtime::serve"));
        let line = line.unwrap();
        assert!(line.contains(what), "{line}");
        line
    };

    let mut idle = Vec::new();
    for _ in 0..2 * DESCRIPTORS {
        idle.push(TcpStream::connect(addr).await.unwrap());
    }
    let begins = next("can't be accepted, and wait");
    assert!(begins.contains("os error 24"), "{begins}");
    let begun = Instant::now();
    // For this long it tries 20 times a second. Nothing else is waited for.
    tokio::time::sleep(SHORTAGE).await;
    drop(idle);
    let request = b"GET /livez HTTP/1.1\r\nHost: gateway.test\r\n\r\n";
    assert_eq!(raw_http(addr, request).await.unwrap().status, 200);
    let over = next("accepted again");
    assert!(begun.elapsed() > SHORTAGE);
    let errors = over.split("errors=").nth(1).unwrap();
    let errors: u32 = errors.split(' ').next().unwrap().parse().unwrap();
    assert!(errors > 5, "{over}");
}
