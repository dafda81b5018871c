//! What is a node's own at RabbitMQ is lost: its queue, a binding, what the queue has no room for.

use futures::{FutureExt, StreamExt};
use realtime_broker_amqp::{AmqpBroker, AmqpConfig};
use realtime_core::{
    Incarnation, NodeId,
    broker::{Broker, BrokerEvent, Join, NodeInfo, Published},
};
use realtime_testkit::{servers::RabbitMq, wait::within};

use crate::member::{Member, NOTICED, held, no_more_than, rounds, talk};

#[tokio::test]
async fn its_queue_deleted() {
    let server = RabbitMq::start().await.unwrap();
    let mut a = Member::join(&server.url()).await;
    let mut b = Member::join(&server.url()).await;
    talk(&mut a, &mut b).await;
    let before = held();
    for _ in 0..rounds(1).min(5) {
        let queues = server.queues().await.unwrap();
        let own = queues.iter().find(|q| q.contains(b.id.as_str())).unwrap();
        server.delete_queue(own).await.unwrap();
        b.until_down().await;
        b.until_up().await;
        talk(&mut a, &mut b).await;
    }
    no_more_than(before).await;
}

/// Beacons go on, on `all`, and say nothing of it.
#[tokio::test]
async fn the_binding_of_a_nodes_own_topic_lost() {
    let server = RabbitMq::start().await.unwrap();
    let mut a = Member::join(&server.url()).await;
    let mut b = Member::join(&server.url()).await;
    talk(&mut a, &mut b).await;
    for lost in ["all".to_owned(), format!("n.{}", b.id)] {
        let words = ["list_queues", "--no-table-headers", "name"];
        let queues = server.ctl(&words).await.unwrap();
        let own = format!("rt.faults.{}.", b.id);
        let queue = queues.lines().find(|name| name.starts_with(&own)).unwrap();
        server
            .delete_binding("rt.faults", &lost, queue)
            .await
            .unwrap();
        b.until_down().await;
        b.until_up().await;
        talk(&mut a, &mut b).await;
    }
}

#[tokio::test]
async fn what_overflows_a_queue_is_reported_as_a_gap() {
    let server = RabbitMq::start().await.unwrap();
    let mut a = Member::join(&server.url()).await;
    let small = AmqpConfig::builder(server.url())
        .namespace("faults")
        .prefetch(1)
        .max_message(64 << 10)
        .queue_limits(10, 1 << 20);
    let b = AmqpBroker::new(small.build().unwrap());
    let mut events = b.events();
    let node = NodeInfo::new(NodeId::random(), Incarnation::random());
    let mut inbox = b.subscribe(Join::new(node)).await.unwrap();
    // From here on it knows the other's numbers.
    assert_eq!(a.say("first").await, Ok(Published::Routed));
    assert_eq!(
        within("the first", inbox.next()).await.unwrap().data,
        "first"
    );
    // More than the inbox, the prefetch and the queue hold.
    let sent = 3_000;
    for n in 0..sent {
        assert_eq!(a.say(&n.to_string()).await, Ok(Published::Routed));
    }
    let mut last = None;
    let mut received = 0;
    let mut missed = 0;
    while received + missed < sent {
        tokio::select! {
            message = inbox.next() => {
                let n: u64 = std::str::from_utf8(&message.unwrap().data).unwrap().parse().unwrap();
                assert!(last < Some(n), "in order");
                last = Some(n);
                received += 1;
            }
            event = events.next() => if let Some(BrokerEvent::Gap { missed: more, .. }) = event {
                missed += more;
            },
            () = tokio::time::sleep(NOTICED) => panic!("{received} received, {missed} missed"),
        }
    }
    assert_eq!(received + missed, sent);
    assert!(missed > 0, "the queue is small");
    assert_eq!(a.say("goes on").await, Ok(Published::Routed));
    assert!(a.inbox.next().now_or_never().is_none());
}
