//! RabbitMQ is short of memory, and blocks who publishes.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use realtime_broker_amqp::AmqpBroker;
use realtime_core::{
    Incarnation, NodeId,
    broker::{Broker, BrokerErrorKind, BrokerEvent, Join, NodeInfo, Published, Topic, TopicName},
};
use realtime_testkit::{
    servers::RabbitMq,
    wait::{until, within},
};

use crate::member::{Member, NOTICED, ONCE, held, no_more_than, rounds, talk};

#[tokio::test]
async fn short_of_memory() {
    let server = RabbitMq::start().await.unwrap();
    let mut a = Member::join(&server.url()).await;
    let mut b = Member::join(&server.url()).await;
    talk(&mut a, &mut b).await;
    let before = held();
    for round in 0..rounds(1).min(5) {
        server.block(true).await.unwrap();
        // RabbitMQ says so to who publishes.
        let first = a.say("first").await;
        let blocked = |event: &BrokerEvent| *event == BrokerEvent::Blocked;
        a.until_event("being blocked", NOTICED, blocked).await;
        let start = Instant::now();
        let second = a.say("second").await;
        assert!(start.elapsed() < Duration::from_secs(3));
        assert_eq!(first, Err(BrokerErrorKind::Unknown), "not confirmed");
        assert_eq!(second, Err(BrokerErrorKind::Blocked));
        server.block(false).await.unwrap();
        let unblocked = |event: &BrokerEvent| *event == BrokerEvent::Unblocked;
        a.until_event("being unblocked", NOTICED, unblocked).await;
        // What was on its way may come late; what is said now comes, too.
        let now = format!("now {round}");
        until("the link takes messages", async || {
            a.say(&now).await == Ok(Published::Routed)
        })
        .await;
        until("it has come", async || b.hear().await == now).await;
    }
    no_more_than(before).await;
}

#[tokio::test]
async fn topics_are_joined_and_left_while_memory_is_short() {
    let server = RabbitMq::start().await.unwrap();
    let mut a = Member::join(&server.url()).await;
    let (before, meanwhile): (TopicName, TopicName) =
        ("before".parse().unwrap(), "meanwhile".parse().unwrap());
    a.broker.join(&before).await.unwrap();
    server.block(true).await.unwrap();
    // RabbitMQ says so to who publishes.
    let _not_confirmed = a.say("first").await;
    let blocked = |event: &BrokerEvent| *event == BrokerEvent::Blocked;
    a.until_event("being blocked", NOTICED, blocked).await;
    a.broker.leave(&before).await.unwrap();
    a.broker.join(&meanwhile).await.unwrap();
    let words = ["list_bindings", "--no-table-headers", "routing_key"];
    let bound = server.ctl(&words).await.unwrap();
    assert!(!bound.contains("t.before"), "{bound}");
    assert!(bound.contains("t.meanwhile"), "{bound}");
}

#[tokio::test]
async fn a_large_message_while_memory_is_short_costs_no_link() {
    let server = RabbitMq::start().await.unwrap();
    let mut a = Member::join(&server.url()).await;
    server.block(true).await.unwrap();
    let large = Bytes::from(vec![7; 100_000]);
    let said = a.broker.publish(&Topic::All, large.clone()).await;
    assert_eq!(said.unwrap_err().kind(), BrokerErrorKind::Blocked);
    server.block(false).await.unwrap();
    let unblocked = |event: &BrokerEvent| *event == BrokerEvent::Unblocked;
    let before = a.until_event("being unblocked", NOTICED, unblocked).await;
    assert_eq!(before, [BrokerEvent::Blocked]);
    until("the link takes large messages", async || {
        a.broker.publish(&Topic::All, large.clone()).await.is_ok()
    })
    .await;
    assert!(a.events.next().now_or_never().is_none(), "no other link");
}

#[tokio::test]
async fn a_link_that_is_made_anew_while_memory_is_short_waits_for_it() {
    let server = RabbitMq::start().await.unwrap();
    let mut a = Member::join(&server.url()).await;
    let mut b = Member::join(&server.url()).await;
    talk(&mut a, &mut b).await;
    let before = held();
    for _ in 0..rounds(1).min(5) {
        server.block(true).await.unwrap();
        server.close_connections().await.unwrap();
        let blocked = |event: &BrokerEvent| *event == BrokerEvent::Blocked;
        for member in [&mut a, &mut b] {
            member.until_down().await;
            member.until_event("being blocked", NOTICED, blocked).await;
            assert_eq!(member.say("lost").await, Err(BrokerErrorKind::Blocked));
        }
        // A node that starts now is told why it can't.
        let starting = AmqpBroker::from_url(server.url()).unwrap();
        let node = NodeInfo::new(NodeId::random(), Incarnation::random());
        let started = within("starting", starting.subscribe(Join::new(node))).await;
        let refused = started.err().map(|error| error.kind());
        assert_eq!(refused, Some(BrokerErrorKind::Blocked));
        drop(starting);
        no_more_than(before).await;
        // Longer than an attempt may last: it is still the same one.
        let end = Instant::now() + Duration::from_secs(7);
        while Instant::now() < end {
            let now = held();
            let most = (before.0 + ONCE.0, before.1 + ONCE.1);
            assert!(now.0 <= most.0 && now.1 <= most.1, "{now:?}, {before:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        until("RabbitMQ has no more of them either", async || {
            let words = ["list_connections", "--no-table-headers", "name"];
            let connections = server.ctl(&words).await.unwrap();
            connections.lines().count() <= 4
        })
        .await;
        server.block(false).await.unwrap();
        futures::join!(a.until_up(), b.until_up());
        talk(&mut a, &mut b).await;
    }
    no_more_than(before).await;
}
