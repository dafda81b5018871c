//! `PubSubBroker` over a server in this process: held to the suite, and over one that fails.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{
            AtomicUsize,
            Ordering::{AcqRel, Acquire, Relaxed},
        },
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::join_all, stream};
use realtime_core::{
    BoxError, Incarnation, NodeId,
    broker::{
        Broker, BrokerErrorKind, BrokerEvent, BrokerEvents, Join, NodeInfo, Published,
        Subscription, Topic, TopicName,
        pubsub::{PubSub, PubSubBroker, PubSubConnection},
    },
};
use realtime_testkit::wait::{until, within};
use tokio::sync::{broadcast, watch};

realtime_testkit::broker_suite!({
    let bus = Bus::default();
    move || PubSubBroker::new(bus.clone())
});

/// A server in this process: everybody hears everything, and picks out what is for them.
#[derive(Debug, Clone, Default)]
struct Bus(Arc<Server>);

#[derive(Debug)]
struct Server {
    all: broadcast::Sender<(Topic, Bytes)>,
    faults: Mutex<Faults>,
    connected: AtomicUsize,
    published: AtomicUsize,
    /// One after the other, each connection is lost whose number is not above this.
    lost: watch::Sender<usize>,
    /// Subscriptions that were asked for before the last change have ended.
    ended: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Faults {
    /// How often each topic is refused.
    refused: HashMap<Topic, usize>,
    /// How long it takes to hand a message on a named topic over, but not a number of a round trip.
    handing_over: Duration,
    /// And what a node says of itself.
    are_all_slow: bool,
    /// Nothing is published, though it is taken.
    is_deaf: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            all: broadcast::Sender::new(8_192),
            faults: Mutex::default(),
            connected: AtomicUsize::new(0),
            published: AtomicUsize::new(0),
            lost: watch::Sender::new(0),
            ended: watch::Sender::new(0),
        }
    }
}

impl Bus {
    fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.0.faults.lock().unwrap());
    }

    fn refuse(&self, name: &TopicName, times: usize) {
        let topic = Topic::Named(name.clone());
        self.set(|faults| {
            faults.refused.insert(topic, times);
        });
    }

    fn connected(&self) -> usize {
        self.0.connected.load(Acquire)
    }
}

#[derive(Debug)]
struct Connection {
    server: Arc<Server>,
    number: usize,
}

impl PubSub for Bus {
    type Connection = Connection;

    async fn connect(&self, _: &NodeInfo) -> Result<Connection, BoxError> {
        Ok(Connection {
            server: Arc::clone(&self.0),
            number: self.0.connected.fetch_add(1, AcqRel) + 1,
        })
    }
}

type Messages = stream::BoxStream<'static, Bytes>;

impl Connection {
    fn hear(&self, is_for_us: impl Fn(&Topic) -> bool + Send + 'static) -> Messages {
        let heard = stream::unfold(self.server.all.subscribe(), async |mut all| {
            loop {
                match all.recv().await {
                    Ok(heard) => return Some((heard, all)),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        });
        let ours = heard.filter_map(move |(topic, data)| {
            let data = is_for_us(&topic).then_some(data);
            async { data }
        });
        ours.boxed()
    }
}

fn is_echo(topic: &Topic) -> bool {
    topic.to_string().contains("echo ")
}

impl PubSubConnection for Connection {
    type Messages = Messages;

    async fn subscribe(&self, topic: &Topic) -> Result<Messages, BoxError> {
        if let Some(times) = self.server.faults.lock().unwrap().refused.get_mut(topic)
            && *times > 0
        {
            *times -= 1;
            return Err("not for you".into());
        }
        let named = topic.clone();
        let messages = self.hear(move |heard| *heard == named);
        if is_echo(topic) {
            return Ok(messages);
        }
        let mut ended = self.server.ended.subscribe();
        let end = async move { drop(ended.changed().await) };
        Ok(messages.take_until(end).boxed())
    }

    async fn subscribe_node(&self, node: &NodeId) -> Result<Messages, BoxError> {
        let own = Topic::Node(node.clone());
        Ok(self.hear(move |heard| *heard == Topic::All || *heard == own))
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<(), BoxError> {
        let (handing_over, is_deaf) = {
            let faults = self.server.faults.lock().unwrap();
            let is_slow = faults.are_all_slow || matches!(topic, Topic::Named(_));
            let handing_over = faults.handing_over * u32::from(is_slow);
            (handing_over, faults.is_deaf)
        };
        if !is_echo(topic) {
            tokio::time::sleep(handing_over).await;
            self.server.published.fetch_add(1, Relaxed);
        }
        if !is_deaf {
            self.server.all.send((topic.clone(), data))?;
        }
        Ok(())
    }

    async fn lost(&self) -> BoxError {
        let mut lost = self.server.lost.subscribe();
        let _kept = lost.wait_for(|lost| *lost >= self.number).await;
        "it was cut".into()
    }
}

struct Member {
    broker: PubSubBroker<Bus>,
    inbox: Subscription,
    events: BrokerEvents,
}

impl Member {
    async fn join(bus: &Bus, topics: &[&TopicName]) -> Self {
        let broker = PubSubBroker::new(bus.clone());
        let mut events = broker.events();
        let node = NodeInfo::new(NodeId::random(), Incarnation::random());
        let join = Join::new(node).with_topics(topics.iter().copied().cloned());
        let inbox = broker.subscribe(join).await.unwrap();
        assert_eq!(events.next().await, Some(BrokerEvent::Up));
        Self {
            broker,
            inbox,
            events,
        }
    }

    /// Down, for this reason, and up again.
    async fn is_down_for(&mut self, why: &str) {
        let told = async {
            loop {
                let event = self.events.next().await.expect("events go on");
                if let BrokerEvent::Down { cause, .. } = event {
                    return cause;
                }
            }
        };
        let cause = within("an outage", told).await;
        assert!(cause.contains(why), "{cause}");
        let up = async { while self.events.next().await != Some(BrokerEvent::Up) {} };
        within("the link", up).await;
    }

    async fn hears(&mut self, other: &Self, topic: &Topic, data: &'static str) {
        let said = other.broker.publish(topic, data.into()).await;
        assert_eq!(said.unwrap(), Published::Accepted);
        let heard = within("a message", self.inbox.next()).await.unwrap();
        assert_eq!((&heard.topic, &heard.data[..]), (topic, data.as_bytes()));
    }

    fn is_up(&mut self) -> bool {
        let events = std::iter::from_fn(|| self.events.next().now_or_never().flatten());
        events
            .filter(|event| matches!(event, BrokerEvent::Down { .. }))
            .count()
            == 0
    }
}

fn name(name: &str) -> TopicName {
    name.parse().unwrap()
}

#[tokio::test]
async fn a_subscription_that_ends_is_an_outage() {
    let (bus, a) = (Bus::default(), name("a"));
    let (mut one, other) = (
        Member::join(&bus, &[&a]).await,
        Member::join(&bus, &[]).await,
    );
    one.hears(&other, &Topic::Named(a.clone()), "before").await;
    bus.0.ended.send_modify(|ended| *ended += 1);
    one.is_down_for("a subscription has ended").await;
    one.hears(&other, &Topic::Named(a), "after").await;
}

#[tokio::test]
async fn a_topic_that_is_refused_costs_no_other_and_not_the_link() {
    let (bus, a, b) = (Bus::default(), name("a"), name("b"));
    let (mut one, other) = (
        Member::join(&bus, &[&a]).await,
        Member::join(&bus, &[]).await,
    );
    bus.refuse(&b, 1);
    let refused = one.broker.join(&b).await.unwrap_err();
    assert_eq!(refused.kind(), BrokerErrorKind::Unavailable);
    one.hears(&other, &Topic::Named(a), "still here").await;
    assert!(one.is_up());
    one.broker.join(&b).await.unwrap();
    one.hears(&other, &Topic::Named(b), "joined").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_on_a_new_link_is_left_out_until_it_is_taken() {
    let (bus, a, b) = (Bus::default(), name("a"), name("b"));
    let (mut one, other) = (
        Member::join(&bus, &[&a, &b]).await,
        Member::join(&bus, &[]).await,
    );
    bus.refuse(&b, 2);
    bus.0.lost.send_replace(1);
    one.is_down_for("it was cut").await;
    one.hears(&other, &Topic::Named(a), "still here").await;
    let asked = one.broker.join(&b).await;
    assert!(asked.is_err(), "who asks again hears that it is refused");
    one.is_down_for("has refused topics").await;
    one.hears(&other, &Topic::Named(b), "taken again").await;
}

#[tokio::test]
async fn joining_again_without_success_changes_nothing() {
    let (bus, a) = (Bus::default(), name("a"));
    let (mut one, other) = (Member::join(&bus, &[]).await, Member::join(&bus, &[]).await);
    one.broker.join(&a).await.unwrap();
    for _ in 0..3 {
        drop(one.broker.join(&a).now_or_never());
    }
    one.hears(&other, &Topic::Named(a.clone()), "once").await;
    // And who gives up isn't in it.
    let b = name("b");
    let mut given_up = Box::pin(one.broker.join(&b));
    assert!(given_up.as_mut().now_or_never().is_none());
    drop(given_up);
    let said = other.broker.publish(&Topic::Named(b), Bytes::new()).await;
    assert_eq!(said.unwrap(), Published::Accepted);
    one.hears(&other, &Topic::Named(a), "nothing before it")
        .await;
}

#[tokio::test]
async fn what_is_on_its_way_as_the_link_breaks_is_unknown() {
    let bus = Bus::default();
    let mut one = Member::join(&bus, &[]).await;
    bus.set(|faults| faults.is_deaf = true);
    let before = bus.0.published.load(Relaxed);
    let publishing = one.broker.publish(&Topic::All, Bytes::new());
    let breaks = async {
        until("it is sent", async || {
            bus.0.published.load(Relaxed) > before
        })
        .await;
        bus.set(|faults| faults.is_deaf = false);
        bus.0.lost.send_replace(bus.connected());
    };
    let (published, ()) = tokio::join!(publishing, breaks);
    assert_eq!(published.unwrap_err().kind(), BrokerErrorKind::Unknown);
    one.is_down_for("it was cut").await;
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_long_before_a_slow_server() {
    let bus = Bus::default();
    let one = Member::join(&bus, &[]).await;
    bus.set(|faults| {
        faults.handing_over = Duration::from_millis(1_900);
        faults.are_all_slow = true;
    });
    let begun = tokio::time::Instant::now();
    let published = join_all((0..100).map(|_| one.broker.publish(&Topic::All, Bytes::new()))).await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    let kinds = published.into_iter().map(|p| p.map_err(|e| e.kind()));
    let refused = kinds.filter(|kind| *kind == Err(BrokerErrorKind::Unavailable));
    assert!(refused.count() > 90);
}

#[tokio::test(start_paused = true)]
async fn what_is_being_sent_as_the_broker_is_closed_is_unknown() {
    let bus = Bus::default();
    let one = Member::join(&bus, &[]).await;
    bus.set(|faults| faults.handing_over = Duration::from_millis(1_000));
    let topic = Topic::Named(name("a"));
    let publishing = one.broker.publish(&topic, Bytes::new());
    let closing = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        one.broker.close().await;
    };
    let (published, ()) = tokio::join!(publishing, closing);
    assert_eq!(published.unwrap_err().kind(), BrokerErrorKind::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_cuts_every_link_is_asked_ever_more_rarely() {
    let bus = Bus::default();
    let one = Member::join(&bus, &[]).await;
    let cuts = async {
        let mut connected = 1;
        loop {
            bus.0.lost.send_replace(connected);
            until("there is another", async || bus.connected() > connected).await;
            connected = bus.connected();
        }
    };
    let minute = Duration::from_secs(60);
    let _cut_all_the_time = tokio::time::timeout(minute, cuts).await;
    assert!(bus.connected() < 120, "{}", bus.connected());
    drop(one);
}
