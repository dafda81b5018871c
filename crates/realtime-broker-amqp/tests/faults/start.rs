//! What is wrong from the start, and other URLs to try.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use lapin::{
    Connection, ConnectionProperties, ExchangeKind, options::ExchangeDeclareOptions,
    types::FieldTable,
};
use realtime_broker_amqp::{AmqpBroker, AmqpConfig};
use realtime_core::{
    Incarnation, NodeId,
    broker::{Broker, BrokerErrorKind, BrokerEvent, Join, NodeInfo, Published, Topic},
};
use realtime_testkit::{
    proxy::{Fault, Proxy},
    servers::RabbitMq,
    wait::{until, within},
};

use crate::member::through;

#[tokio::test]
async fn what_can_not_be_healed_fails_at_the_start() {
    let server = RabbitMq::start().await.unwrap();
    let join = async |url: String, namespace: &str| {
        let config = AmqpConfig::builder(url).namespace(namespace);
        let broker = AmqpBroker::new(config.build().unwrap());
        let node = NodeInfo::new(NodeId::random(), Incarnation::random());
        let joined = within("joining", broker.subscribe(Join::new(node))).await;
        joined.map(drop).map_err(|error| error.kind())
    };
    let wrong = server.url().replace("guest:guest", "guest:wrong");
    assert_eq!(join(wrong, "x").await, Err(BrokerErrorKind::Config));

    let other = Connection::connect(&server.url(), ConnectionProperties::default()).await;
    let other = other.unwrap();
    let channel = other.create_channel().await.unwrap();
    let fanout = channel.exchange_declare(
        "rt.taken".into(),
        ExchangeKind::Fanout,
        ExchangeDeclareOptions::default(),
        FieldTable::default(),
    );
    fanout.await.unwrap();
    let taken = join(server.url(), "taken").await;
    assert_eq!(taken, Err(BrokerErrorKind::Config), "another kind");

    let nobody = format!(
        "amqp://127.0.0.1:{}",
        realtime_testkit::servers::free_port().unwrap()
    );
    assert_eq!(join(nobody, "x").await, Err(BrokerErrorKind::Unavailable));

    // A locked-down user: the exchange must be there.
    let config = AmqpConfig::builder(server.url()).declares(false);
    let passive = |namespace: &str| {
        let config = config.clone().namespace(namespace);
        AmqpBroker::new(config.build().unwrap())
    };
    let node = || NodeInfo::new(NodeId::random(), Incarnation::random());
    let missing = passive("missing").subscribe(Join::new(node())).await;
    assert_eq!(
        missing.err().map(|e| e.kind()),
        Some(BrokerErrorKind::Config)
    );
    assert_eq!(join(server.url(), "there").await, Ok(()));
    assert!(passive("there").subscribe(Join::new(node())).await.is_ok());
}

#[tokio::test]
async fn the_next_url_is_tried_when_one_refuses() {
    let server = RabbitMq::start().await.unwrap();
    let wrong = server.url().replace("guest:guest", "guest:wrong");
    let nobody = server.url().replace("guest:guest", "nobody:wrong");
    let refused = AmqpConfig::builder(&wrong).url(&nobody).build().unwrap();
    let node = || NodeInfo::new(NodeId::random(), Incarnation::random());
    let error = AmqpBroker::new(refused).subscribe(Join::new(node())).await;
    assert_eq!(error.err().map(|e| e.kind()), Some(BrokerErrorKind::Config));
    let config = AmqpConfig::builder(wrong).url(nobody).url(server.url());
    let broker = AmqpBroker::new(config.build().unwrap());
    let _inbox = broker.subscribe(Join::new(node())).await.unwrap();
    let said = broker.publish(&Topic::All, Bytes::new()).await;
    assert_eq!(said.unwrap(), Published::Routed);
}

#[tokio::test]
async fn the_next_url_is_tried_when_one_does_not_answer() {
    let server = RabbitMq::start().await.unwrap();
    let free = realtime_testkit::servers::free_port().unwrap().to_string();
    let nobody = server.url().replace(&server.port().to_string(), &free);
    let config = AmqpConfig::builder(nobody).url(server.url());
    let broker = AmqpBroker::new(config.build().unwrap());
    let node = NodeInfo::new(NodeId::random(), Incarnation::random());
    let _inbox = broker.subscribe(Join::new(node)).await.unwrap();
    server.close_connections().await.unwrap();
    until("it is back", async || {
        broker.publish(&Topic::All, Bytes::new()).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn who_is_closed_while_it_joins_leaves_with_a_word() {
    let server = RabbitMq::start().await.unwrap();
    let proxy = Proxy::start(server.port()).await;
    let through = through(&server, &proxy);
    let member = |url: &str| {
        let config = AmqpConfig::builder(url).namespace("closed");
        AmqpBroker::new(config.build().unwrap())
    };
    let (one, other) = (member(&through), member(&server.url()));
    let node = || NodeInfo::new(NodeId::random(), Incarnation::random());
    let mut events = other.events();
    let _inbox = other.subscribe(Join::new(node())).await.unwrap();
    // What one says is heard before its queue has it.
    proxy.set_where(" consume", Fault::Delay(Duration::from_millis(150)));
    let own = node();
    let closing = async {
        let mut is_next = async |event: BrokerEvent| {
            while events.next().await.expect("events go on") != event {}
        };
        within("the node", is_next(BrokerEvent::node_up(own.clone()))).await;
        one.close().await;
        // Without a word it would be missed after three beacons.
        let soon = Duration::from_secs(2);
        let gone = tokio::time::timeout(soon, is_next(BrokerEvent::node_down(own.clone()))).await;
        gone.expect("it has said so");
    };
    let (joined, ()) = tokio::join!(one.subscribe(Join::new(own.clone())), closing);
    let refused = joined.err().map(|error| error.kind());
    assert_eq!(refused, Some(BrokerErrorKind::Closed));
}
