//! Joining while others talk, and what of their talk gets into the log.
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
    broker::{Broker, BrokerErrorKind, Join, NodeInfo, Published, Subscription, Topic},
};
use realtime_testkit::{
    proxy::{Fault, Proxy},
    servers::RabbitMq,
    wait::within,
};

/// A broker, the topic of its node, and what it receives.
async fn join(url: &str, prefetch: u16) -> (Arc<AmqpBroker>, Topic, Subscription) {
    let config = AmqpConfig::builder(url).namespace("busy");
    let broker = AmqpBroker::new(config.prefetch(prefetch).build().unwrap());
    let node = NodeInfo::new(NodeId::random(), Incarnation::random());
    let own = Topic::Node(node.id.clone());
    let joined = broker.subscribe(Join::new(node)).await;
    (Arc::new(broker), own, joined.unwrap())
}

#[tokio::test]
async fn a_node_joins_though_others_talk_all_the_time_and_little_is_sent_ahead() {
    let server = RabbitMq::start().await.unwrap();
    let (talker, _own, _inbox) = join(&server.url(), 512).await;
    let talk = tokio::spawn(async move {
        loop {
            let said = talker.publish(&Topic::All, Bytes::from_static(b"talk"));
            assert_eq!(said.await.unwrap(), Published::Routed);
        }
    });
    for prefetch in [1, 2, 512] {
        let (_broker, _own, mut inbox) = within("joining", join(&server.url(), prefetch)).await;
        let heard = within("the talk", inbox.next()).await.unwrap();
        assert_eq!(heard.data, "talk");
    }
    talk.abort();
}

/// Starts a node under an id, with short heartbeats.
async fn start(url: &str, id: &NodeId) -> Result<(AmqpBroker, Subscription), BrokerErrorKind> {
    let config = AmqpConfig::builder(url).namespace("busy");
    let config = config.heartbeat(Duration::from_secs(1));
    let broker = AmqpBroker::new(config.build().unwrap());
    let node = NodeInfo::new(id.clone(), Incarnation::random());
    let joined = within("an answer", broker.subscribe(Join::new(node))).await;
    let inbox = joined.map_err(|error| error.kind())?;
    Ok((broker, inbox))
}

#[tokio::test]
async fn a_node_that_lags_behind_keeps_its_name() {
    let server = RabbitMq::start().await.unwrap();
    let id = NodeId::random();
    let lagging = start(&server.url(), &id).await.unwrap();
    let (talker, _own, _inbox) = join(&server.url(), 512).await;
    // More than it is sent ahead: a question has to wait behind the rest.
    for _ in 0..3_000 {
        let said = talker.publish(&Topic::All, Bytes::from_static(b"talk"));
        assert_eq!(said.await.unwrap(), Published::Routed);
    }
    let double = start(&server.url(), &id).await;
    assert_eq!(double.err(), Some(BrokerErrorKind::DuplicateNode));
    drop(lagging);
    assert!(start(&server.url(), &id).await.is_ok());
}

#[tokio::test]
async fn a_node_that_was_cut_off_can_be_started_elsewhere() {
    let server = RabbitMq::start().await.unwrap();
    let proxy = Proxy::start(server.port()).await;
    let (direct, through) = (server.port().to_string(), proxy.port().to_string());
    let id = NodeId::random();
    let _cut_off = start(&server.url().replace(&direct, &through), &id)
        .await
        .unwrap();
    proxy.set(Fault::Blackhole);
    // RabbitMQ needs some heartbeats to give the old connection up.
    assert!(start(&server.url(), &id).await.is_ok());
}

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

/// The client library warns of what is returned to it, data and all: that is not for the program's
/// log.
#[tokio::test]
async fn what_nobody_is_there_to_get_does_not_get_into_the_log() {
    const SECRET: &[u8] = b"s3cret";
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone());
    // Of the whole process: the library has threads of its own.
    subscriber.init();
    let server = RabbitMq::start().await.unwrap();
    let (here, _own, _inbox) = join(&server.url(), 512).await;
    let (there, away, mut inbox) = join(&server.url(), 512).await;
    let said = async |to: &Topic| here.publish(to, Bytes::from_static(SECRET)).await.unwrap();
    assert_eq!(said(&away).await, Published::Routed);
    assert_eq!(within("it", inbox.next()).await.unwrap().data, SECRET);
    drop(inbox);
    there.close().await;
    within("nobody there", async {
        while said(&away).await != Published::NoRoute {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let log = log.0.lock().unwrap().clone();
    let text = String::from_utf8_lossy(&log);
    assert!(text.contains("lapin::"), "its tasks are heard: {text}");
    assert!(!text.contains("returned"), "{text}");
    let bytes = format!("{SECRET:?}");
    let bytes = bytes.trim_matches(['[', ']']);
    assert!(!text.contains("s3cret") && !text.contains(bytes), "{text}");
}
