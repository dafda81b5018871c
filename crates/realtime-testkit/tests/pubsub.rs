//! `PubSubBroker` over a server in this process: held to the suite, and over one that fails.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::{
    collections::{HashMap, VecDeque},
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
        stream as messages,
    },
};
use realtime_testkit::wait::{DEADLINE, until, within};
use tokio::{
    sync::{broadcast, mpsc, watch},
    time::{Instant, sleep, timeout},
};

/// How many numbers of round trips a client keeps that come faster than they are taken. More are
/// dropped.
const ROOM: usize = 16;

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
    /// Where the numbers of round trips go.
    echoes: Mutex<HashMap<Topic, mpsc::Sender<Bytes>>>,
    faults: Mutex<Faults>,
    connected: AtomicUsize,
    published: AtomicUsize,
    /// How often a named topic was asked for.
    asked: AtomicUsize,
    /// Each subscription to one has a clone.
    subscribed: Arc<()>,
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
    /// Numbers of round trips are lost.
    are_echoes_lost: bool,
    /// This node can't connect; each time it hears another of these causes.
    cut_off: Option<(Incarnation, VecDeque<&'static str>)>,
    /// How long it takes to subscribe to a named topic, or to be refused.
    subscribing: Duration,
    /// Nothing comes on the subscription of this node.
    silent: Option<NodeId>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            all: broadcast::Sender::new(8_192),
            echoes: Mutex::default(),
            faults: Mutex::default(),
            connected: AtomicUsize::new(0),
            published: AtomicUsize::new(0),
            asked: AtomicUsize::new(0),
            subscribed: Arc::default(),
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

    /// Cuts all connections. This node gets no other, for these causes in turn.
    fn cut_off(&self, node: &NodeInfo, causes: [&'static str; 2]) {
        self.set(|faults| faults.cut_off = Some((node.incarnation, causes.into())));
        self.0.lost.send_replace(self.connected());
    }

    /// How many subscriptions to named topics there are.
    fn subscribed(&self) -> usize {
        Arc::strong_count(&self.0.subscribed) - 1
    }
}

#[derive(Debug)]
struct Connection {
    server: Arc<Server>,
    number: usize,
}

impl PubSub for Bus {
    type Connection = Connection;

    async fn connect(&self, node: &NodeInfo) -> Result<Connection, BoxError> {
        if let Some((cut_off, causes)) = &mut self.0.faults.lock().unwrap().cut_off
            && *cut_off == node.incarnation
        {
            causes.rotate_left(1);
            return Err(causes[0].into());
        }
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

/// On this topic something always comes that is for nobody here.
const NOISE: &str = "noise";

fn noise() -> Messages {
    let elsewhere = NodeInfo::new(NodeId::random(), Incarnation::random());
    let (outgoing, _) = messages::pair(elsewhere, Arc::default());
    stream::repeat(outgoing.question().data).boxed()
}

impl PubSubConnection for Connection {
    type Messages = Messages;

    async fn subscribe(&self, topic: &Topic) -> Result<Messages, BoxError> {
        if is_echo(topic) {
            let (echoes, back) = mpsc::channel(ROOM);
            self.server
                .echoes
                .lock()
                .unwrap()
                .insert(topic.clone(), echoes);
            let back = stream::unfold(back, async |mut back| Some((back.recv().await?, back)));
            return Ok(back.boxed());
        }
        if let Topic::Named(name) = topic {
            self.server.asked.fetch_add(1, Relaxed);
            let subscribing = self.server.faults.lock().unwrap().subscribing;
            sleep(subscribing).await;
            if name.as_str() == NOISE {
                return Ok(noise());
            }
        }
        if let Some(times) = self.server.faults.lock().unwrap().refused.get_mut(topic)
            && *times > 0
        {
            *times -= 1;
            return Err("not for you".into());
        }
        let (named, counted) = (topic.clone(), Arc::clone(&self.server.subscribed));
        let counted = matches!(topic, Topic::Named(_)).then_some(counted);
        let messages = self.hear(move |heard| {
            let _counted = &counted;
            *heard == named
        });
        let mut ended = self.server.ended.subscribe();
        let end = async move { drop(ended.changed().await) };
        Ok(messages.take_until(end).boxed())
    }

    async fn subscribe_node(&self, node: &NodeId) -> Result<Messages, BoxError> {
        let (node, server) = (node.clone(), Arc::clone(&self.server));
        let own = Topic::Node(node.clone());
        Ok(self.hear(move |heard| {
            let is_silent = server.faults.lock().unwrap().silent.as_ref() == Some(&node);
            !is_silent && (*heard == Topic::All || *heard == own)
        }))
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<(), BoxError> {
        let (handing_over, is_deaf, are_echoes_lost) = {
            let faults = self.server.faults.lock().unwrap();
            let is_slow = faults.are_all_slow || matches!(topic, Topic::Named(_));
            let handing_over = faults.handing_over * u32::from(is_slow);
            (handing_over, faults.is_deaf, faults.are_echoes_lost)
        };
        if is_echo(topic) {
            let echoes = self.server.echoes.lock().unwrap();
            if !is_deaf && !are_echoes_lost {
                let _dropped_where_full = echoes[topic].try_send(data);
            }
            return Ok(());
        }
        sleep(handing_over).await;
        self.server.published.fetch_add(1, Relaxed);
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
    node: NodeInfo,
    inbox: Subscription,
    events: BrokerEvents,
}

impl Member {
    async fn join(bus: &Bus, topics: &[&TopicName]) -> Self {
        let broker = PubSubBroker::new(bus.clone());
        let mut events = broker.events();
        let node = NodeInfo::new(NodeId::random(), Incarnation::random());
        let join = Join::new(node.clone()).with_topics(topics.iter().copied().cloned());
        let inbox = broker.subscribe(join).await.unwrap();
        assert_eq!(events.next().await, Some(BrokerEvent::Up));
        Self {
            broker,
            node,
            inbox,
            events,
        }
    }

    async fn cause(&mut self) -> String {
        loop {
            let event = self.events.next().await.expect("events go on");
            if let BrokerEvent::Down { cause, .. } = event {
                return cause;
            }
        }
    }

    /// Down, for this reason.
    async fn goes_down_for(&mut self, why: &str) {
        let cause = within("an outage", self.cause()).await;
        assert!(cause.contains(why), "{cause}");
    }

    async fn is_up_again(&mut self) {
        let up = async { while self.events.next().await != Some(BrokerEvent::Up) {} };
        within("the link", up).await;
    }

    /// Down, for this reason, and up again.
    async fn is_down_for(&mut self, why: &str) {
        self.goes_down_for(why).await;
        self.is_up_again().await;
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
    // What was lost until now is told, and that this isn't over.
    one.goes_down_for("refuses 1 of this node's topics, first \"b\"")
        .await;
    one.hears(&other, &Topic::Named(a), "still here").await;
    let said = one.broker.publish(&Topic::All, Bytes::new()).await;
    assert_eq!(said.unwrap(), Published::Accepted);
    let asked = one.broker.join(&b).await;
    assert!(asked.is_err(), "who asks again hears that it is refused");
    one.is_up_again().await;
    one.hears(&other, &Topic::Named(b), "taken again").await;
    assert!(one.is_up());
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_an_outage_until_it_is_left() {
    let (bus, a, b) = (Bus::default(), name("a"), name("b"));
    let mut one = Member::join(&bus, &[&a, &b]).await;
    bus.refuse(&a, usize::MAX);
    bus.refuse(&b, 1);
    bus.0.lost.send_replace(1);
    one.is_down_for("it was cut").await;
    one.goes_down_for("refuses 2 of this node's topics, first \"a\"")
        .await;
    // What was lost on the other one is told as soon as it is taken.
    one.is_up_again().await;
    one.goes_down_for("refuses 1 of this node's topics, first \"a\"")
        .await;
    one.broker.leave(&a).await.unwrap();
    one.is_up_again().await;
    sleep(Duration::from_secs(60)).await;
    assert!(one.is_up());
}

#[tokio::test(start_paused = true)]
async fn many_topics_that_are_refused_starve_nobody() {
    let bus = Bus::default();
    let topics: Vec<_> = (0..50).map(|n| name(&n.to_string())).collect();
    let mut one = Member::join(&bus, &topics.iter().collect::<Vec<_>>()).await;
    for topic in &topics {
        bus.refuse(topic, usize::MAX);
    }
    bus.set(|faults| faults.subscribing = Duration::from_millis(1_500));
    bus.0.lost.send_replace(1);
    one.is_down_for("it was cut").await;
    one.goes_down_for("refuses 50").await;
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        let said = one.broker.publish(&Topic::All, Bytes::new()).await;
        assert_eq!(said.unwrap(), Published::Accepted);
        sleep(Duration::from_millis(100)).await;
    }
    assert!(one.is_up());
}

#[tokio::test(start_paused = true)]
async fn what_is_left_while_the_link_is_made_is_left_at_the_server() {
    let (bus, a) = (Bus::default(), name("a"));
    let mut one = Member::join(&bus, &[&a]).await;
    assert_eq!(bus.subscribed(), 1);
    bus.set(|faults| faults.subscribing = Duration::from_secs(1));
    let before = bus.0.asked.load(Relaxed);
    bus.0.lost.send_replace(1);
    until("it is asked for again", async || {
        bus.0.asked.load(Relaxed) > before
    })
    .await;
    one.broker.leave(&a).await.unwrap();
    one.is_up_again().await;
    until("it is left", async || bus.subscribed() == 0).await;
}

/// Nothing comes on the node's own subscription, while a room is as busy as this makes it.
async fn a_deaf_node_is_found_while(room_is_busy: impl AsyncFn(&PubSubBroker<Bus>, &Topic)) {
    let (bus, a) = (Bus::default(), name("a"));
    let (mut one, other) = (
        Member::join(&bus, &[&a]).await,
        Member::join(&bus, &[]).await,
    );
    let room = Topic::Named(a);
    bus.set(|faults| faults.silent = Some(one.node.id.clone()));
    let found = timeout(Duration::from_secs(13), one.cause());
    let cause = tokio::select! {
        cause = found => cause.expect("it is found in time"),
        () = async { loop { room_is_busy(&other.broker, &room).await } } => unreachable!(),
    };
    assert!(cause.contains("doesn't come back"), "{cause}");
}

#[tokio::test(start_paused = true)]
async fn a_room_does_not_hide_that_a_node_hears_nothing_else() {
    a_deaf_node_is_found_while(async |other, room| {
        let said = other.publish(room, Bytes::new()).await;
        assert_eq!(said.unwrap(), Published::Accepted);
        sleep(Duration::from_millis(100)).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_room_whose_messages_wait_does_not_hide_it_either() {
    // More than there is room for.
    a_deaf_node_is_found_while(async |other, room| {
        let said = join_all((0..100).map(|_| other.publish(room, Bytes::new()))).await;
        assert!(said.iter().all(Result::is_ok));
        sleep(Duration::from_millis(100)).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_to_find_its_name_taken_stays_away() {
    let bus = Bus::default();
    let mut one = Member::join(&bus, &[]).await;
    bus.cut_off(&one.node, ["no way", "no way"]);
    one.goes_down_for("it was cut").await;
    let anew = NodeInfo::new(one.node.id.clone(), Incarnation::random());
    let another = PubSubBroker::new(bus.clone());
    let inbox = another.subscribe(Join::new(anew)).await.unwrap();
    one.goes_down_for("no way").await;
    bus.set(|faults| faults.cut_off = None);
    one.goes_down_for("another node is alive under this id")
        .await;
    drop(inbox);
    one.is_up_again().await;
}

#[tokio::test(start_paused = true)]
async fn causes_that_come_in_turn_are_told_once() {
    let bus = Bus::default();
    let mut one = Member::join(&bus, &[]).await;
    bus.cut_off(&one.node, ["no way", "nowhere"]);
    sleep(Duration::from_secs(60)).await;
    bus.set(|faults| faults.cut_off = None);
    let mut causes = Vec::new();
    let told = async {
        loop {
            match one.events.next().await {
                Some(BrokerEvent::Down { cause, .. }) => causes.push(cause),
                Some(BrokerEvent::Up) => return,
                other => panic!("{other:?}"),
            }
        }
    };
    within("the link", told).await;
    assert_eq!(causes.len(), 3, "{causes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_publications_is_shown_to_be_read_by_few_round_trips() {
    let bus = Bus::default();
    let one = Member::join(&bus, &[]).await;
    for _ in 0..10 {
        let said = join_all((0..100).map(|_| one.broker.publish(&Topic::All, Bytes::new()))).await;
        let failed: Vec<_> = said.into_iter().filter_map(Result::err).collect();
        assert!(failed.is_empty(), "{}: {:?}", failed.len(), failed[0]);
    }
}

#[test]
fn a_subscription_that_is_always_ready_keeps_nobody_from_running() {
    let (done, is_done) = std::sync::mpsc::channel();
    // Nothing else would end the thread.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            let (bus, a, noise) = (Bus::default(), name("a"), name(NOISE));
            let mut one = Member::join(&bus, &[&a, &noise]).await;
            let other = Member::join(&bus, &[]).await;
            one.hears(&other, &Topic::Named(a), "in spite of it").await;
            one.broker.leave(&noise).await.unwrap();
        });
        done.send(()).unwrap();
    });
    is_done.recv_timeout(DEADLINE).expect("it goes on");
}

#[tokio::test(start_paused = true)]
async fn who_is_closed_while_it_joins_leaves_with_a_word() {
    let bus = Bus::default();
    let mut other = Member::join(&bus, &[]).await;
    let node = NodeInfo::new(NodeId::random(), Incarnation::random());
    let one = PubSubBroker::new(bus.clone());
    let joining = one.subscribe(Join::new(node.clone()));
    let closing = async {
        // By then it has asked whether its name is free.
        sleep(Duration::from_millis(500)).await;
        bus.set(|faults| faults.are_echoes_lost = true);
        let mut is_next = async |event: BrokerEvent| {
            while other.events.next().await.expect("events go on") != event {}
        };
        within("the node", is_next(BrokerEvent::node_up(node.clone()))).await;
        bus.set(|faults| faults.are_echoes_lost = false);
        one.close().await;
        let soon = Duration::from_millis(100);
        let gone = timeout(soon, is_next(BrokerEvent::node_down(node.clone()))).await;
        gone.expect("it has said so by then");
    };
    let (joined, ()) = tokio::join!(joining, closing);
    assert_eq!(
        joined.map(drop).unwrap_err().kind(),
        BrokerErrorKind::Closed
    );
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
