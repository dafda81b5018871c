//! The way there: slow, cut off, and its connections closed.

use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt};
use realtime_core::broker::{Broker, BrokerEvent, Published, Topic, TopicName};
use realtime_testkit::{
    proxy::{Fault, Proxy},
    servers::RabbitMq,
    wait::until,
};
use tokio::time::{sleep, timeout};

use crate::member::{
    Member, NOTICED, SLACK, fails_at_once, held, no_more_than, rounds, talk, through,
};

/// What is slow isn't down: no link is given up, and everything comes.
#[tokio::test]
async fn a_slow_way_is_one() {
    let server = RabbitMq::start().await.unwrap();
    let proxy = Proxy::start(server.port()).await;
    let through = through(&server, &proxy);
    let mut a = Member::join(&through).await;
    let mut b = Member::join(&server.url()).await;
    for fault in [
        Fault::Delay(Duration::from_millis(300)),
        Fault::Rate(32 << 10),
    ] {
        proxy.set(fault);
        // Longer than a heartbeat and the time after which beacons are missed.
        let end = Instant::now() + NOTICED;
        while Instant::now() < end {
            talk(&mut a, &mut b).await;
        }
        let large = "x".repeat(50_000);
        assert_eq!(a.say(&large).await, Ok(Published::Routed));
        assert_eq!(b.hear().await, large);
        assert_eq!(b.say(&large).await, Ok(Published::Routed));
        assert_eq!(a.hear().await, large);
    }
    for member in [&mut a, &mut b] {
        let event = member.events.next().now_or_never();
        assert!(event.is_none(), "{event:?}");
    }
}

#[tokio::test]
async fn cut_off_by_the_network() {
    let server = RabbitMq::start().await.unwrap();
    let proxy = Proxy::start(server.port()).await;
    let through = through(&server, &proxy);
    let mut a = Member::join(&through).await;
    let mut b = Member::join(&server.url()).await;
    talk(&mut a, &mut b).await;
    let before = held();
    let faults = [Fault::Blackhole, Fault::StallAnswers, Fault::StallRequests];
    for fault in faults.repeat(rounds(1).min(5)) {
        proxy.set(fault);
        a.until_down().await;
        fails_at_once(&a).await;
        // The other one goes on, and what it says meanwhile is missed, not lost in silence.
        assert_eq!(b.say("missed").await, Ok(Published::Routed));
        proxy.set(Fault::None);
        a.until_up().await;
        // A queue whose connection has lived through it has kept the message. Else it is told by
        // the next message or beacon of the other node.
        let gap =
            |event: &BrokerEvent| *event == BrokerEvent::gap(b.id.clone(), Some(Topic::All), 1);
        let silence = Duration::from_secs(3);
        let heard = timeout(silence + SLACK, async {
            tokio::select! {
                message = a.inbox.next() => assert_eq!(message.unwrap().data, "missed"),
                () = async { while !gap(&a.events.next().await.unwrap()) {} } => {}
            }
        });
        assert!(heard.await.is_ok(), "lost in silence");
        talk(&mut a, &mut b).await;
    }
    // New connections are refused while old ones go on: nothing happens until they break.
    proxy.set(Fault::Refuse);
    talk(&mut a, &mut b).await;
    proxy.reset();
    a.until_down().await;
    proxy.set(Fault::None);
    a.until_up().await;
    talk(&mut a, &mut b).await;
    no_more_than(before).await;
}

#[tokio::test]
async fn every_connection_closed_again_and_again_leaves_nothing_behind() {
    let server = RabbitMq::start().await.unwrap();
    let proxy = Proxy::start(server.port()).await;
    let through = through(&server, &proxy);
    let mut a = Member::join(&through).await;
    let mut b = Member::join(&server.url()).await;
    let mut before = None;
    for round in 0..rounds(6) {
        if round % 2 == 0 {
            proxy.reset();
            a.until_down().await;
            a.until_up().await;
        } else {
            server.close_connections().await.unwrap();
            futures::join!(a.until_down(), b.until_down());
            futures::join!(a.until_up(), b.until_up());
        }
        talk(&mut a, &mut b).await;
        // After the first round of each, everything that is made once is there.
        if round == 1 {
            before = Some(held());
        }
    }
    no_more_than(before.unwrap()).await;
}

#[tokio::test]
async fn a_server_that_cuts_every_link_is_asked_ever_more_rarely() {
    let server = RabbitMq::start().await.unwrap();
    let proxy = Proxy::start(server.port()).await;
    let through = through(&server, &proxy);
    let mut a = Member::join(&through).await;
    let begun = Instant::now();
    for _ in 0..14 {
        proxy.reset();
        a.until_down().await;
        a.until_up().await;
    }
    // Of pauses that didn't grow, it would be a tenth.
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(4_500), "{took:?}");
}

#[tokio::test]
async fn what_is_left_while_the_link_is_made_is_left_at_rabbitmq() {
    let server = RabbitMq::start().await.unwrap();
    let proxy = Proxy::start(server.port()).await;
    let through = through(&server, &proxy);
    let mut a = Member::join(&through).await;
    let rooms = (0..60).map(|n| format!("room {n}").parse().unwrap());
    let rooms: Vec<TopicName> = rooms.collect();
    for room in &rooms {
        a.broker.join(room).await.unwrap();
    }
    // Making it takes longer than this is for some of the rooms.
    proxy.set(Fault::Delay(Duration::from_millis(50)));
    proxy.reset();
    a.until_down().await;
    for room in &rooms {
        a.broker.leave(room).await.unwrap();
        sleep(Duration::from_millis(50)).await;
    }
    a.until_up().await;
    until("none is bound", async || {
        let words = ["list_bindings", "--no-table-headers", "routing_key"];
        let bound = server.ctl(&words).await.unwrap();
        !bound.contains("t.room")
    })
    .await;
}
