//! A broker's streams that end or panic: nobody is cut off in silence.

use axum::body::Bytes;
use futures::{StreamExt, stream};
use realtime::{
    Gateway, Json,
    broker::{
        Broker, BrokerError, BrokerEvents, BrokerLimits, Join, LocalBroker, Published,
        Subscription, Topic, TopicName,
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
    async fn subscribe(&self, join: Join) -> Result<Subscription, BrokerError> {
        let messages = self.0.subscribe(join).await?;
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

/// A gateway with a client, and another node.
async fn cluster(fault: Fault) -> (Server, Client, Gateway) {
    let bus = LocalBroker::default();
    let there = crate::support::builder()
        .broker(bus.clone())
        .build()
        .unwrap();
    let here = crate::support::builder().broker(Faulty(bus, fault));
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
async fn where_messages_end_the_link_is_down_and_the_broker_joined_again() {
    for fault in [Fault::MessagesEnd, Fault::MessagesPanic] {
        let (server, mut client, there) = cluster(fault).await;
        let gateway = &server.gateway;
        for turn in 1..=2 {
            there.broadcast("n", Json(&turn)).await.unwrap();
            let message = within("a message", client.recv_json()).await;
            assert_eq!(message.unwrap()["data"], turn, "{fault:?}");
            let was_down = async || gateway.stats().broker_outages == turn;
            until("the link is down", was_down).await;
            let is_up = async || gateway.health().broker == Link::Up;
            until("the broker is joined again", is_up).await;
            // How much was lost meanwhile, nobody knows.
            let gap = within("the gap", client.recv_json()).await.unwrap();
            assert_eq!(gap["route"], "gap", "{fault:?}");
        }
    }
}
