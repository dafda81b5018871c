//! Messages that RabbitMQ or this node can't take.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use lapin::{BasicProperties, Connection, ConnectionProperties, options::BasicPublishOptions};
use realtime_core::{
    Incarnation, NodeId,
    broker::{Broker, BrokerErrorKind, BrokerEvent, NodeInfo, Published, Topic, stream},
};
use realtime_testkit::{
    proxy::{Fault, Proxy},
    servers::RabbitMq,
    wait::{DEADLINE, until, within},
};
use tokio::time::timeout;

use crate::member::{Member, NOTICED, talk, through};

/// One that is too large for RabbitMQ fails for good, and takes none of the others along.
#[tokio::test]
async fn a_message_larger_than_rabbitmq_takes() {
    const LIMIT: usize = 300_000;
    let server = RabbitMq::start().await.unwrap();
    let limit = format!("application:set_env(rabbit, max_message_size, {LIMIT}).");
    server.ctl(&["eval", &limit]).await.unwrap();
    let mut a = Member::join(&server.url()).await;
    let mut b = Member::join(&server.url()).await;
    talk(&mut a, &mut b).await;
    let large = Bytes::from(vec![7; LIMIT + 1]);
    let publish = |n: usize| {
        let (a, large) = (&a, &large);
        async move {
            match n % 20 {
                0 => {
                    let refused = a.broker.publish(&Topic::All, large.clone()).await;
                    let refused = refused.unwrap_err();
                    assert_eq!(refused.kind(), BrokerErrorKind::TooLarge);
                    assert!(
                        refused.to_string().contains(&LIMIT.to_string()),
                        "{refused}"
                    );
                }
                1 => {
                    // Larger than is asked about for the smaller one.
                    let size = if n < 200 { 250_000 } else { 100_000 };
                    let said = a.broker.publish(&Topic::All, large.slice(..size)).await;
                    assert_eq!(said.unwrap(), Published::Routed);
                }
                _ => assert_eq!(a.say("small").await, Ok(Published::Routed)),
            }
        }
    };
    let receive = async {
        for _ in 0..1_900 {
            within("a message", b.inbox.next()).await.unwrap();
        }
    };
    futures::join!(futures::future::join_all((0..2_000).map(publish)), receive);
    assert!(a.broker.limits().max_message.unwrap() < LIMIT);
    assert!(
        a.events.next().now_or_never().is_none(),
        "nothing happened to the link"
    );
    assert!(
        b.events.next().now_or_never().is_none(),
        "nothing was missed"
    );
    talk(&mut a, &mut b).await;
}

/// What the client library says first has the connection's name in it.
const PUBLISHES: &str = " publish";

/// Whether RabbitMQ takes a message that is larger than any before it is asked first, which takes some
/// round trips.
#[tokio::test]
async fn a_slow_answer_about_a_large_message_holds_no_small_one_up() {
    let server = RabbitMq::start().await.unwrap();
    let proxy = Proxy::start(server.port()).await;
    let mut slow = Member::join(&through(&server, &proxy)).await;
    let mut other = Member::join(&server.url()).await;
    talk(&mut slow, &mut other).await;

    proxy.set_where(PUBLISHES, Fault::Delay(Duration::from_millis(100)));
    let large = Bytes::from(vec![7; 100_000]);
    let mut said = slow.broker.publish(&Topic::All, large).boxed();
    assert!(said.as_mut().now_or_never().is_none());
    tokio::select! {
        biased;
        said = &mut said => panic!("it came first: {said:?}"),
        small = slow.say("small") => assert_eq!(small, Ok(Published::Routed)),
    }
    assert_eq!(
        within("the outcome", said).await.unwrap(),
        Published::Routed
    );
    assert_eq!(other.hear().await, "small");
    assert_eq!(other.hear().await.len(), 100_000);

    // Longer than it may take. The message fails, and neither the link nor others with it, nor one
    // about whose size is to be asked behind it, and is answered in time.
    proxy.set_where(PUBLISHES, Fault::Delay(Duration::from_secs(1)));
    let large = Bytes::from(vec![7; 1_000_000]);
    let first = async {
        let said = slow.broker.publish(&Topic::All, large.clone());
        let said = within("the outcome", said).await;
        proxy.set(Fault::None);
        said
    };
    let behind = slow.broker.publish(&Topic::All, large.slice(..250_000));
    let (said, behind, small) =
        futures::join!(first, timeout(2 * DEADLINE, behind), slow.say("small"));
    assert_eq!(said.unwrap_err().kind(), BrokerErrorKind::Unavailable);
    assert_eq!(behind.unwrap().unwrap(), Published::Routed);
    assert_eq!(small, Ok(Published::Routed));
    assert_eq!(other.hear().await, "small");
    assert_eq!(other.hear().await.len(), 250_000);
    let said = within("the outcome", slow.broker.publish(&Topic::All, large)).await;
    assert_eq!(said.unwrap(), Published::Routed);
    assert_eq!(other.hear().await.len(), 1_000_000);
    talk(&mut slow, &mut other).await;
    assert_eq!(slow.events.next().now_or_never(), None);
}

#[tokio::test]
async fn poison_is_dropped_and_reported_and_the_consumer_goes_on() {
    let server = RabbitMq::start().await.unwrap();
    let mut a = Member::join(&server.url()).await;
    let mut b = Member::join(&server.url()).await;
    let stranger = Connection::connect(&server.url(), ConnectionProperties::default()).await;
    let stranger = stranger.unwrap().create_channel().await.unwrap();
    let large = vec![1; 10_000_000];
    let another = NodeInfo::new(NodeId::random(), Incarnation::random());
    let (mut another, _) = stream::pair(another, Arc::default());
    let over_the_limit = another.message(&Topic::All, &large);
    let poison: [&[u8]; 7] = [
        b"",
        b"garbage",
        b"\x01",
        b"\x02\0\0\0",
        &[0; 64],
        &large,
        &over_the_limit,
    ];
    for bytes in poison {
        let published = stranger.basic_publish(
            "rt.faults".into(),
            "all".into(),
            BasicPublishOptions::default(),
            bytes,
            BasicProperties::default(),
        );
        published.await.unwrap().await.unwrap();
        for member in [&mut a, &mut b] {
            let told = |event: &BrokerEvent| matches!(event, BrokerEvent::InvalidMessage { .. });
            let before = member.until_event("being told", NOTICED, told).await;
            assert_eq!(before, [], "nothing else happens");
        }
        talk(&mut a, &mut b).await;
    }
    until("all of it is acknowledged", async || {
        let counts = server.ctl(&["list_queues", "--no-table-headers", "messages"]);
        counts.await.unwrap().lines().all(|count| count == "0")
    })
    .await;
    assert!(a.events.next().now_or_never().is_none(), "never requeued");
}
