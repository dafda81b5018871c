//! Everything that can happen to RabbitMQ and to the way there, on a real one.
//!
//! `FAULT_ROUNDS` says how often the repeated ones are repeated: `just test-long`.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use lapin::{
    BasicProperties, Connection, ConnectionProperties, ExchangeKind,
    options::{BasicPublishOptions, ExchangeDeclareOptions},
    types::FieldTable,
};
use realtime_broker_amqp::{AmqpBroker, AmqpConfig};
use realtime_core::{
    Incarnation, NodeId,
    broker::{
        Broker, BrokerErrorKind, BrokerEvent, BrokerEvents, Join, NodeInfo, Published,
        Subscription, Topic, stream,
    },
};
use realtime_testkit::{
    proxy::{Fault, Proxy},
    servers::RabbitMq,
    wait::{until, within},
};
use tokio::time::timeout;

/// How soon a fault must be noticed.
const NOTICED: Duration = Duration::from_secs(10);
/// How soon the link must be back once RabbitMQ is.
const BACK: Duration = Duration::from_secs(3);
/// What a busy test machine may add to either.
const SLACK: Duration = Duration::from_secs(3);

fn rounds(default: usize) -> usize {
    let rounds = std::env::var("FAULT_ROUNDS").ok();
    rounds.and_then(|r| r.parse().ok()).unwrap_or(default)
}

struct Member {
    broker: AmqpBroker,
    id: NodeId,
    inbox: Subscription,
    events: BrokerEvents,
}

/// What happens to the link of a broker, without the comings and goings of others.
fn of_the_link(broker: &AmqpBroker) -> BrokerEvents {
    let is_node = |event: &BrokerEvent| {
        matches!(
            event,
            BrokerEvent::NodeUp { .. } | BrokerEvent::NodeDown { .. }
        )
    };
    let events = broker.events();
    BrokerEvents::new(events.filter(move |event| std::future::ready(!is_node(event))))
}

impl Member {
    async fn join(url: &str) -> Self {
        let config = AmqpConfig::builder(url).namespace("faults");
        let broker = AmqpBroker::new(config.build().unwrap());
        let mut events = of_the_link(&broker);
        let id = NodeId::random();
        let node = NodeInfo::new(id.clone(), Incarnation::random());
        let inbox = broker.subscribe(Join::new(node)).await.unwrap();
        assert_eq!(events.next().await, Some(BrokerEvent::Up));
        Self {
            broker,
            id,
            inbox,
            events,
        }
    }

    /// Waits for an event, and returns what came before it.
    async fn until_event(
        &mut self,
        what: &str,
        within: Duration,
        is_it: impl Fn(&BrokerEvent) -> bool,
    ) -> Vec<BrokerEvent> {
        let mut before = Vec::new();
        let waited = timeout(within, async {
            loop {
                let event = self.events.next().await.expect("the events go on");
                if is_it(&event) {
                    return;
                }
                before.push(event);
            }
        });
        let heard = waited.await;
        assert!(
            heard.is_ok(),
            "waited {within:?} for {what}; got {before:?}"
        );
        before
    }

    async fn until_down(&mut self) {
        let down = |event: &BrokerEvent| matches!(event, BrokerEvent::Down { .. });
        self.until_event("the link to be down", NOTICED + SLACK, down)
            .await;
    }

    async fn until_up(&mut self) -> Vec<BrokerEvent> {
        let up = |event: &BrokerEvent| *event == BrokerEvent::Up;
        self.until_event("the link to be up", BACK + SLACK, up)
            .await
    }

    async fn say(&self, data: &str) -> Result<Published, BrokerErrorKind> {
        let data = Bytes::copy_from_slice(data.as_bytes());
        // Never hangs: 2 s for its turn, 2 s to be written, 5 s to be confirmed.
        let said = timeout(
            Duration::from_secs(10),
            self.broker.publish(&Topic::All, data),
        );
        said.await
            .expect("a publication ends")
            .map_err(|e| e.kind())
    }

    async fn hear(&mut self) -> Bytes {
        within("a message", self.inbox.next()).await.unwrap().data
    }
}

/// Both talk to each other.
async fn talk(a: &mut Member, b: &mut Member) {
    assert_eq!(a.say("from a").await, Ok(Published::Routed));
    assert_eq!(b.hear().await, "from a");
    assert_eq!(b.say("from b").await, Ok(Published::Routed));
    assert_eq!(a.hear().await, "from b");
    let to_b = Topic::Node(b.id.clone());
    let said = a.broker.publish(&to_b, Bytes::from_static(b"to b")).await;
    assert_eq!(said.unwrap(), Published::Routed);
    assert_eq!(b.hear().await, "to b");
}

/// While the link is down, nobody waits.
async fn fails_at_once(member: &Member) {
    let start = Instant::now();
    let said = member.say("lost").await;
    assert_eq!(said, Err(BrokerErrorKind::Unavailable));
    assert!(start.elapsed() < Duration::from_secs(1), "it fails at once");
}

#[tokio::test]
async fn killed_and_restarted() {
    let mut server = RabbitMq::start().await.unwrap();
    let mut a = Member::join(&server.url()).await;
    let mut b = Member::join(&server.url()).await;
    talk(&mut a, &mut b).await;
    let before = held();
    for _ in 0..rounds(3).min(3) {
        talk(&mut a, &mut b).await;
        server.kill().unwrap();
        futures::join!(a.until_down(), b.until_down());
        fails_at_once(&a).await;
        server.restart().await.unwrap();
        futures::join!(a.until_up(), b.until_up());
    }
    talk(&mut a, &mut b).await;
    no_more_than(before).await;
}

#[tokio::test]
async fn restarted_empty() {
    let mut server = RabbitMq::start().await.unwrap();
    let mut a = Member::join(&server.url()).await;
    let mut b = Member::join(&server.url()).await;
    talk(&mut a, &mut b).await;
    let before = held();
    server.kill().unwrap();
    futures::join!(a.until_down(), b.until_down());
    server.restart_empty().await.unwrap();
    futures::join!(a.until_up(), b.until_up());
    talk(&mut a, &mut b).await;
    no_more_than(before).await;
}

/// What is slow isn't down: no link is given up, and everything comes.
#[tokio::test]
async fn a_slow_way_is_one() {
    let server = RabbitMq::start().await.unwrap();
    let proxy = Proxy::start(server.port()).await;
    let through = server
        .url()
        .replace(&server.port().to_string(), &proxy.port().to_string());
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
async fn stopped_and_continued() {
    let mut server = RabbitMq::start().await.unwrap();
    let mut a = Member::join(&server.url()).await;
    let mut b = Member::join(&server.url()).await;
    talk(&mut a, &mut b).await;
    let before = held();
    for _ in 0..rounds(1).min(5) {
        server.stop().unwrap();
        futures::join!(a.until_down(), b.until_down());
        fails_at_once(&a).await;
        server.resume().unwrap();
        futures::join!(a.until_up(), b.until_up());
        talk(&mut a, &mut b).await;
    }
    no_more_than(before).await;
}

#[tokio::test]
async fn cut_off_by_the_network() {
    let server = RabbitMq::start().await.unwrap();
    let proxy = Proxy::start(server.port()).await;
    let through = server
        .url()
        .replace(&server.port().to_string(), &proxy.port().to_string());
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
    let through = server
        .url()
        .replace(&server.port().to_string(), &proxy.port().to_string());
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

/// Threads and descriptors of this process.
fn held() -> (usize, usize) {
    let count = |folder: &str| std::fs::read_dir(folder).unwrap().count();
    (count("/proc/self/task"), count("/proc/self/fd"))
}

/// What the client library makes once, when the first of its connections ends: a runtime.
const ONCE: (usize, usize) = (1, 4);

/// A fault leaves no thread and no descriptor behind.
async fn no_more_than(before: (usize, usize)) {
    until("threads and descriptors are what they were", async || {
        let now = held();
        now.0 <= before.0 + ONCE.0 && now.1 <= before.1 + ONCE.1
    })
    .await;
}

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
                1 => drop(
                    a.broker
                        .publish(&Topic::All, large.slice(..100_000))
                        .await
                        .unwrap(),
                ),
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

#[tokio::test]
async fn what_overflows_a_queue_is_reported_as_a_gap() {
    let server = RabbitMq::start().await.unwrap();
    let mut a = Member::join(&server.url()).await;
    let small = AmqpConfig::builder(server.url())
        .namespace("faults")
        .prefetch(1)
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
    let elsewhere = server.url().replace("%2f", "nowhere");
    let refused = AmqpConfig::builder(&wrong).url(&elsewhere).build().unwrap();
    let node = || NodeInfo::new(NodeId::random(), Incarnation::random());
    let error = AmqpBroker::new(refused).subscribe(Join::new(node())).await;
    assert_eq!(error.err().map(|e| e.kind()), Some(BrokerErrorKind::Config));
    let config = AmqpConfig::builder(wrong).url(elsewhere).url(server.url());
    let broker = AmqpBroker::new(config.build().unwrap());
    let _inbox = broker.subscribe(Join::new(node())).await.unwrap();
    let said = broker.publish(&Topic::All, Bytes::new()).await;
    assert_eq!(said.unwrap(), Published::Routed);
}

#[tokio::test]
async fn the_next_url_is_tried_when_one_does_not_answer() {
    let server = RabbitMq::start().await.unwrap();
    let nobody = format!(
        "amqp://127.0.0.1:{}",
        realtime_testkit::servers::free_port().unwrap()
    );
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
