//! A broker that loses one message and delivers another twice, and tells nobody.

use axum::body::Bytes;
use futures::{StreamExt, stream};
use realtime::{
    Builder,
    broker::{
        AnyBroker, Broker, BrokerError, BrokerEvents, BrokerLimits, BrokerMessage, Join, NodeInfo,
        Published, Subscription, Topic, TopicName,
    },
    connect,
};

use super::{Load, Run, check::NODES};
use crate::cluster::Cluster;

#[derive(Debug, Clone, Copy)]
enum Mistake {
    Drops,
    Doubles,
}

/// Makes a mistake with the hundredth message.
#[derive(Debug)]
struct Lossy(AnyBroker, Mistake);

impl Broker for Lossy {
    async fn subscribe(&self, join: Join) -> Result<Subscription, BrokerError> {
        let (joined, mistake) = (self.0.subscribe(join).await?, self.1);
        let received = joined.enumerate().flat_map(move |(n, message)| {
            let copies = match (n, mistake) {
                (100, Mistake::Drops) => 0,
                (100, Mistake::Doubles) => 2,
                _ => 1,
            };
            let copy = move |_| {
                let from = NodeInfo::new(message.source.clone(), message.incarnation);
                let (topic, data) = (message.topic.clone(), message.data.clone());
                BrokerMessage::new(topic, data, from, message.seq)
            };
            stream::iter((0..copies).map(copy))
        });
        Ok(Subscription::new(received))
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<Published, BrokerError> {
        self.0.publish(topic, data).await
    }

    fn events(&self) -> BrokerEvents {
        self.0.events()
    }

    async fn close(&self) {
        self.0.close().await;
    }

    async fn join(&self, topic: &TopicName) -> Result<(), BrokerError> {
        self.0.join(topic).await
    }

    async fn leave(&self, topic: &TopicName) -> Result<(), BrokerError> {
        self.0.leave(topic).await
    }

    fn limits(&self) -> BrokerLimits {
        self.0.limits()
    }
}

pub(crate) async fn one_message_dropped_and_one_doubled_are_found() {
    let cluster = Cluster::start().await;
    let over = |mistake| {
        let broker = connect::broker(&cluster.rabbitmq.url()).unwrap();
        move |builder: Builder| builder.broker(Lossy(broker, mistake))
    };
    let mut run = Run::default();
    run.add(cluster.node_with(over(Mistake::Drops)).await);
    run.add(cluster.node_with(over(Mistake::Doubles)).await);
    run.add(cluster.node().await);
    run.join().await;
    let sent = run.send(&Load {
        count: 500,
        ..Load::default()
    });
    let sent = run.until_sent(sent).await;
    let got = run.end().await;
    let audits: Vec<_> = (0..NODES)
        .map(|node| run.audit(node, &sent, &got))
        .collect();
    let dropped = audits[0].as_ref().unwrap_err();
    assert!(dropped.contains("1 are missing, 0 reported"), "{dropped}");
    let doubled = audits[1].as_ref().unwrap_err();
    assert!(doubled.contains("after"), "{doubled}");
    assert_eq!(audits[2], Ok(0), "and nothing else is wrong");
    run.stop().await;
}
