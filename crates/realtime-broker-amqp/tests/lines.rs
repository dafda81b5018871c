//! What the client library says in the program's log, over a real RabbitMQ.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt;
use realtime_broker_amqp::{AmqpBroker, AmqpConfig};
use realtime_core::{
    Incarnation, NodeId,
    broker::{Broker, BrokerEvent, BrokerEvents, Join, NodeInfo, Published, Topic},
};
use realtime_testkit::servers::RabbitMq;
use tokio::time::{sleep, timeout};
use tracing::Level;

/// One for messages out, and one for those in.
const CONNECTIONS: usize = 2;
/// How long RabbitMQ is away: long enough for some attempts to connect.
const OUTAGE: Duration = Duration::from_secs(4);

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// All that the program says from here on, on whichever thread.
    fn of_the_program() -> Self {
        let log = Self::default();
        let writer = log.clone();
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(Level::WARN)
            .with_writer(move || writer.clone())
            .init();
        log
    }

    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

async fn until_event(events: &mut BrokerEvents, is_it: impl Fn(&BrokerEvent) -> bool) {
    let waited = timeout(Duration::from_secs(20), async {
        while !is_it(&events.next().await.expect("the events go on")) {}
    });
    waited.await.expect("an event within 20 s");
}

/// One for each connection that is lost, however long the outage is, and none for what is returned: that is how this crate asks
/// who is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_a_line_for_each_connection_and_what_is_returned_is_none() {
    let log = Log::of_the_program();
    let mut server = RabbitMq::start().await.unwrap();
    let config = AmqpConfig::builder(server.url()).namespace("lines");
    let broker = AmqpBroker::new(config.build().unwrap());
    let mut events = broker.events();
    let node = NodeInfo::new(NodeId::random(), Incarnation::random());
    let _inbox = broker.subscribe(Join::new(node)).await.unwrap();
    let up = |event: &BrokerEvent| *event == BrokerEvent::Up;
    until_event(&mut events, up).await;

    let to_nobody = async || {
        let nobody = Topic::Node(NodeId::random());
        let sent = broker.publish(&nobody, Bytes::from_static(b"x")).await;
        assert_eq!(sent.unwrap(), Published::NoRoute);
    };
    to_nobody().await;
    assert_eq!(log.lines(), Vec::<String>::new());

    for outages in 1..=2 {
        server.kill().unwrap();
        let down = |event: &BrokerEvent| matches!(event, BrokerEvent::Down { .. });
        until_event(&mut events, down).await;
        sleep(OUTAGE).await;
        server.restart().await.unwrap();
        until_event(&mut events, up).await;
        to_nobody().await;
        let lines = log.lines();
        assert!(lines.len() <= CONNECTIONS * outages, "{lines:#?}");
        assert!(
            lines.iter().all(|line| line.contains("lapin")),
            "{lines:#?}"
        );
    }
}
