//! What waits in a node's queue, and for how long its beacons may wait behind it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use lapin::{
    Connection, ConnectionProperties, Consumer,
    options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions},
    types::{FieldTable, ShortString},
};
use realtime_broker_amqp::{AmqpBroker, AmqpConfig, AmqpConfigBuilder};
use realtime_core::{
    Incarnation, NodeId,
    broker::{Broker, BrokerEvent, BrokerEvents, Join, NodeInfo, Published, Subscription, Topic},
};
use realtime_testkit::{
    proxy::{Fault, Proxy},
    servers::RabbitMq,
    wait::within,
};

async fn join(config: AmqpConfigBuilder) -> (AmqpBroker, Subscription, BrokerEvents) {
    let broker = AmqpBroker::new(config.namespace("backlog").build().unwrap());
    let is_node = |event: &BrokerEvent| {
        matches!(
            event,
            BrokerEvent::NodeUp { .. } | BrokerEvent::NodeDown { .. }
        )
    };
    let events = broker.events();
    let events = events.filter(move |event| std::future::ready(!is_node(event)));
    let mut events = BrokerEvents::new(events);
    let node = NodeInfo::new(NodeId::random(), Incarnation::random());
    let inbox = broker.subscribe(Join::new(node)).await.unwrap();
    assert_eq!(events.next().await, Some(BrokerEvent::Up));
    (broker, inbox, events)
}

/// On a slow way its own beacons stand behind all the rest.
#[tokio::test]
async fn a_long_backlog_is_worked_off_and_not_thrown_away() {
    const MESSAGES: u32 = 120;
    const RATE: u32 = 32 << 10;
    let server = RabbitMq::start().await.unwrap();
    let proxy = Proxy::start(server.port()).await;
    let (direct, through) = (server.port().to_string(), proxy.port().to_string());
    let (talker, _talk, _) = join(AmqpConfig::builder(server.url())).await;
    let slow = AmqpConfig::builder(server.url().replace(&direct, &through));
    let (_slow, mut inbox, mut events) = join(slow).await;
    proxy.set(Fault::Rate(RATE));
    // Longer than three beacons are apart, at this rate.
    let (size, start) = (RATE / 8, Instant::now());
    for _ in 0..MESSAGES {
        let said = talker.publish(&Topic::All, Bytes::from(vec![b'x'; size as usize]));
        assert_eq!(said.await.unwrap(), Published::Routed);
    }
    for _ in 0..MESSAGES {
        let heard = within("the next message", inbox.next()).await.unwrap();
        assert_eq!(heard.data.len(), size as usize);
    }
    assert!(
        start.elapsed() > Duration::from_secs(10),
        "it was a backlog"
    );
    assert_eq!(events.next().now_or_never(), None, "nothing happened");
}

async fn say(broker: &AmqpBroker, to: &Topic, data: &'static str) {
    let said = broker.publish(to, Bytes::from_static(data.as_bytes()));
    assert_eq!(said.await.unwrap(), Published::Routed);
}

/// Sees everything that is published to everyone.
async fn tap(url: &str) -> (Connection, Consumer) {
    let connection = Connection::connect(url, ConnectionProperties::default()).await;
    let connection = connection.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let (queue, all) = (ShortString::from("tap"), ShortString::from("all"));
    let exclusive = QueueDeclareOptions {
        exclusive: true,
        ..QueueDeclareOptions::default()
    };
    let declared = channel.queue_declare(queue.clone(), exclusive, FieldTable::default());
    declared.await.unwrap();
    let bound = channel.queue_bind(
        queue.clone(),
        "rt.backlog".into(),
        all,
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    bound.await.unwrap();
    let no_acks = BasicConsumeOptions {
        no_ack: true,
        ..BasicConsumeOptions::default()
    };
    let consumer = channel.basic_consume(queue, "tap".into(), no_acks, FieldTable::default());
    (connection, consumer.await.unwrap())
}

/// A beacon may be larger than any message.
#[tokio::test]
async fn a_limit_on_messages_is_none_on_beacons() {
    let server = RabbitMq::start().await.unwrap();
    let small = || AmqpConfig::builder(server.url()).max_message(8);
    let (talker, mut own, mut own_events) = join(small().confirms(false)).await;
    let (listener, mut inbox, mut events) = join(small()).await;
    let (_connection, mut tapped) = tap(&server.url()).await;
    within("a beacon", async {
        while tapped.next().await.unwrap().unwrap().data.len() <= 8 {}
    })
    .await;
    say(&talker, &Topic::All, "after").await;
    assert_eq!(within("it", inbox.next()).await.unwrap().data, "after");
    say(&listener, &Topic::All, "too").await;
    assert_eq!(within("it", own.next()).await.unwrap().data, "too");
    assert_eq!(events.next().now_or_never(), None);
    assert_eq!(own_events.next().now_or_never(), None);
}
