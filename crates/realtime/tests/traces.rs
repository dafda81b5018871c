//! A trace goes on at the other node. Alone in its file, since it listens to the whole process.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::{
    io,
    sync::{Arc, Mutex},
};

use realtime::broker::LocalBroker;
use realtime_testkit::wait::until;
use support::Server;
use tracing_subscriber::fmt::format::FmtSpan;

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn holds(&self, words: &[&str]) -> bool {
        let log = self.0.lock().unwrap();
        let log = String::from_utf8_lossy(&log);
        log.lines()
            .any(|line| words.iter().all(|word| line.contains(word)))
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
async fn a_trace_goes_on_at_the_other_node() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_span_events(FmtSpan::NEW)
        .with_writer(move || writer.clone())
        .init();
    let broker = LocalBroker::new();
    let sender = realtime::builder()
        .broker(broker.clone())
        .traceparent(|| Some(TRACE.to_owned()));
    let receiver = realtime::builder().broker(broker.clone());
    let (a, b) = (sender.build().unwrap(), receiver.build().unwrap());
    a.start().await.unwrap();
    b.start().await.unwrap();
    let (a, b) = (Server::start(a).await, Server::start(b).await);
    b.gateway.broadcast("untraced", ()).await.unwrap();
    a.gateway.broadcast("traced", ()).await.unwrap();
    let source = format!("source={}", a.gateway.node_id());
    until("the span names the trace and its source", async || {
        log.holds(&["realtime::relay", TRACE, &source])
    })
    .await;
    assert!(!log.holds(&["realtime::relay", b.gateway.node_id().as_str()]));
    a.stop().await;
    b.stop().await;
}
