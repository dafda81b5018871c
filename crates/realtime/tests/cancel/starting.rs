//! `start`.

use futures::{StreamExt, poll};
use realtime::{
    Gateway, Json,
    broker::{Broker, Join, LocalBroker, NodeInfo, Published, Topic},
    error::StartErrorKind,
    node::Incarnation,
    presence::MemoryPresence,
    report::{Link, Remote},
};
use realtime_testkit::wait::within;

use crate::{
    drops::{dropped_after, tasks, until_tasks},
    slow::{PAUSES, SlowBroker, SlowPresence},
    support::Server,
};

fn slow_gateway(bus: &LocalBroker) -> Gateway {
    crate::support::builder()
        .broker(SlowBroker(bus.clone()))
        .presence(SlowPresence(MemoryPresence::new()))
        .node_id("here".parse().unwrap())
        .build()
        .unwrap()
}

#[tokio::test]
async fn dropped_anywhere_start_has_done_nothing_and_can_be_tried_again() {
    let before = tasks();
    let mut points = 0;
    let mut completed = false;
    while !completed {
        let bus = LocalBroker::new();
        let other = crate::support::builder()
            .broker(bus.clone())
            .build()
            .unwrap();
        other.start().await.unwrap();
        let (probe, info) = (bus.clone(), "probe".parse().unwrap());
        let info = NodeInfo::new(info, Incarnation::random());
        let mut heard = probe.subscribe(Join::new(info)).await.unwrap();

        let server = Server::under_axum(slow_gateway(&bus)).await;
        let gateway = &server.gateway;
        let mut client = server.connect().await;
        server.until_open(1).await;
        match dropped_after(points, gateway.start()).await {
            Some(started) => {
                started.unwrap();
                completed = true;
            }
            None => {
                assert_eq!(gateway.health().broker, Link::NotStarted);
                let topic = Topic::Node("here".parse().unwrap());
                let reached = probe.publish(&topic, "".into()).await.unwrap();
                assert_eq!(reached, Published::NoRoute, "it is not on the bus");
                let alone = gateway.broadcast("m", Json("alone")).await.unwrap();
                assert_eq!((alone.local, alone.remote), (1, Remote::NotStarted));
                assert_eq!(client.recv_json().await.unwrap()["data"], "alone");
                gateway.start().await.unwrap();
                points += 1;
            }
        }
        let again = gateway.start().await.unwrap_err();
        assert_eq!(again.kind(), StartErrorKind::AlreadyStarted);
        assert_eq!(gateway.health().broker, Link::Up);

        // Messages come from the bus and go to it, each once.
        for n in [1, 2] {
            other.broadcast("m", Json(&n)).await.unwrap();
            assert_eq!(client.recv_json().await.unwrap()["data"], n);
            let heard = within("what the other says", heard.next()).await;
            assert_eq!(&heard.unwrap().source, other.node_id());
        }
        for _ in 0..2 {
            let sent = gateway.broadcast("m", Json("all")).await.unwrap();
            assert_eq!((sent.local, sent.remote), (1, Remote::Published));
            assert_eq!(client.recv_json().await.unwrap()["data"], "all");
            let heard = within("what it says", heard.next()).await;
            assert_eq!(heard.unwrap().source.as_str(), "here");
        }
        drop(client);
        server.stop().await;
        other.shutdown().await;
        until_tasks(before).await;
    }
    // Before and after presence is asked, and before the bus is joined.
    assert_eq!(points, 3 * PAUSES + 1);
}

#[tokio::test]
async fn while_it_starts_a_gateway_works_alone() {
    let bus = LocalBroker::new();
    let server = Server::under_axum(slow_gateway(&bus)).await;
    let mut client = server.connect().await;
    server.until_open(1).await;
    let mut starting = Box::pin(server.gateway.start());
    let mut pending = 0;
    while poll!(&mut starting).is_pending() {
        let again = server.gateway.start().await.unwrap_err();
        assert_eq!(again.kind(), StartErrorKind::AlreadyStarted);
        let alone = server.gateway.broadcast("m", Json(&pending)).await.unwrap();
        assert_eq!((alone.local, alone.remote), (1, Remote::NotStarted));
        assert_eq!(client.recv_json().await.unwrap()["data"], pending);
        pending += 1;
    }
    assert_eq!(pending, 3 * PAUSES);
    drop(starting);
    server.stop().await;
}

#[tokio::test]
async fn a_start_that_a_shutdown_overtakes_fails_and_joins_nothing() {
    let bus = LocalBroker::new();
    for points in 1..=3 * PAUSES {
        let gateway = slow_gateway(&bus);
        let mut starting = Box::pin(gateway.start());
        for _ in 0..points {
            assert!(poll!(&mut starting).is_pending());
        }
        within("the shutdown", gateway.shutdown()).await;
        let failed = within("the start", starting).await.unwrap_err();
        assert!(matches!(
            failed.kind(),
            StartErrorKind::Broker | StartErrorKind::Closed
        ));
        assert_eq!(gateway.health().broker, Link::NotStarted);
        // Its name is free.
        let next = slow_gateway(&bus);
        next.start().await.unwrap();
        next.shutdown().await;
    }
}

#[tokio::test]
async fn a_start_that_ends_while_the_gateway_shuts_down_fails() {
    let gateway = slow_gateway(&LocalBroker::new());
    let mut starting = Box::pin(gateway.start());
    for _ in 0..3 * PAUSES {
        assert!(poll!(&mut starting).is_pending());
    }
    let mut stopping = Box::pin(gateway.shutdown());
    assert!(poll!(&mut stopping).is_pending());
    let failed = within("the start", starting).await.unwrap_err();
    assert_eq!(failed.kind(), StartErrorKind::Closed);
    assert_eq!(gateway.health().broker, Link::NotStarted);
    within("the shutdown", stopping).await;
}
