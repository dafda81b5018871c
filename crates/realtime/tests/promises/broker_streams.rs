//! A broker's streams that end or panic: nobody is cut off in silence.

use axum::body::Bytes;
use futures::{StreamExt, stream};
use realtime::{
    Gateway, Json,
    broker::{
        Broker, BrokerError, BrokerEvents, LocalBroker, NodeInfo, Published, Subscription, Topic,
    },
    report::Link,
};
use realtime_testkit::{
    client::Client,
    wait::{until, within},
};

use crate::support::Server;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    AskingForEventsPanics,
    EventsEnd,
    EventsPanic,
    MessagesEnd,
    MessagesPanic,
}

#[derive(Debug)]
struct Faulty(LocalBroker, Fault);

impl Broker for Faulty {
    async fn subscribe(
        &self,
        node: NodeInfo,
        topics: &[Topic],
    ) -> Result<Subscription, BrokerError> {
        let messages = self.0.subscribe(node, topics).await?;
        let breaks = stream::once(async { panic!("on purpose: messages that panic") });
        Ok(match self.1 {
            Fault::MessagesEnd => Subscription::new(messages.take(1)),
            Fault::MessagesPanic => Subscription::new(messages.take(1).chain(breaks)),
            _ => messages,
        })
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<Published, BrokerError> {
        self.0.publish(topic, data).await
    }

    fn events(&self) -> BrokerEvents {
        match self.1 {
            Fault::AskingForEventsPanics => panic!("on purpose: a broker that panics"),
            // Asked again after its end, it panics.
            Fault::EventsEnd => BrokerEvents::new(stream::unfold((), async |()| None)),
            Fault::EventsPanic => {
                let breaks = async { panic!("on purpose: events that panic") };
                BrokerEvents::new(stream::once(breaks))
            }
            _ => self.0.events(),
        }
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

/// A gateway with a client, and another node.
async fn cluster(fault: Fault) -> (Server, Client, Gateway) {
    let bus = LocalBroker::default();
    let there = realtime::builder().broker(bus.clone()).build().unwrap();
    let here = realtime::builder().broker(Faulty(bus, fault));
    there.start().await.unwrap();
    let server = Server::start(here.build().unwrap()).await;
    let is_up = async || server.gateway.health().broker == Link::Up;
    until("it is started", is_up).await;
    let client = server.connect().await;
    server.until_open(1).await;
    (server, client, there)
}

#[tokio::test]
async fn where_events_end_or_panic_messages_go_on() {
    for fault in [
        Fault::AskingForEventsPanics,
        Fault::EventsEnd,
        Fault::EventsPanic,
    ] {
        let (server, mut client, there) = cluster(fault).await;
        for n in 0..5 {
            there.broadcast("n", Json(&n)).await.unwrap();
            let message = within("a message", client.recv_json()).await;
            assert_eq!(message.unwrap()["data"], n, "{fault:?}");
        }
        let restarts = server.gateway.stats().background_restarts;
        assert_eq!(restarts, u64::from(fault == Fault::EventsPanic));
    }
}

#[tokio::test]
async fn where_messages_end_the_link_is_down() {
    for fault in [Fault::MessagesEnd, Fault::MessagesPanic] {
        let (server, mut client, there) = cluster(fault).await;
        there.broadcast("n", ()).await.unwrap();
        within("a message", client.recv_json()).await.unwrap();
        let gateway = &server.gateway;
        let is_down = async || matches!(gateway.health().broker, Link::Down { .. });
        until("the link is down", is_down).await;
        assert_eq!(gateway.stats().broker_outages, 1, "{fault:?}");
    }
}
