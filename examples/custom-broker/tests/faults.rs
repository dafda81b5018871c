//! NATS is killed and started again, hangs, cuts one node off, and refuses subjects; and a gateway
//! reads too slowly.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::time::Duration;

use bytes::Bytes;
use custom_broker::Nats;
use futures::{StreamExt, future::join_all};
use realtime_core::{
    Incarnation, NodeId,
    broker::{
        Broker, BrokerErrorKind, BrokerEvent, BrokerEvents, Join, NodeInfo, Published,
        Subscription, Topic, TopicName, pubsub::PubSubBroker,
    },
};
use realtime_testkit::{
    proxy::{Fault, Proxy},
    servers,
    wait::within,
};
use tokio::time::timeout;

/// Well above what a publication may take, and below what it would take to wait for the link.
const AT_ONCE: Duration = Duration::from_millis(900);

/// Above three probes, for which beacons alone may need to find out, with the time until the first.
const NOTICED: Duration = Duration::from_secs(25);

struct Member {
    broker: PubSubBroker<Nats>,
    node: NodeInfo,
    inbox: Subscription,
    events: BrokerEvents,
}

impl Member {
    async fn join(port: u16) -> Self {
        Self::join_at(&format!("nats://127.0.0.1:{port}")).await
    }

    async fn join_at(url: &str) -> Self {
        let nats = Nats::new(url).unwrap();
        let broker = PubSubBroker::new(nats);
        let events = broker.events();
        let node = NodeInfo::new(NodeId::random(), Incarnation::random());
        let join = Join::new(node.clone()).with_topics([room()]);
        let inbox = broker.subscribe(join).await.unwrap();
        let mut member = Self {
            broker,
            node,
            inbox,
            events,
        };
        member.until_event(is_up).await;
        member
    }

    async fn until_event(&mut self, mut is_it: impl FnMut(&BrokerEvent) -> bool) {
        let waited = async { while !is_it(&self.events.next().await.expect("events go on")) {} };
        timeout(NOTICED, waited).await.expect("an event in time");
    }

    async fn say(&self, topic: &Topic) -> Result<Published, BrokerErrorKind> {
        self.says(topic, "something else").await
    }

    async fn says(&self, topic: &Topic, data: &str) -> Result<Published, BrokerErrorKind> {
        let said = self.broker.publish(topic, Bytes::from(data.to_owned()));
        said.await.map_err(|error| error.kind())
    }

    async fn hears_from(&mut self, other: &Self) {
        for topic in [Topic::All, self.node.topic(), Topic::Named(room())] {
            let hello = Incarnation::random().as_u64().to_string();
            let said = other.says(&topic, &hello).await;
            assert_eq!(said, Ok(Published::Accepted));
            let heard = async {
                while let Some(heard) = self.inbox.next().await {
                    if heard.topic == topic && heard.data == hello {
                        return;
                    }
                }
                panic!("the subscription ended");
            };
            within(&format!("a message on {topic}"), heard).await;
        }
    }

    /// It was down for this reason, and is up again.
    async fn is_down_for(&mut self, why: &str) {
        self.until_event(|event| match event {
            BrokerEvent::Down { cause, .. } => {
                assert!(cause.contains(why), "{cause}");
                true
            }
            _ => false,
        })
        .await;
        self.until_event(is_up).await;
    }

    /// It is down, and says so at once.
    async fn is_down(&mut self) {
        self.until_event(|event| matches!(event, BrokerEvent::Down { .. }))
            .await;
        let said = timeout(AT_ONCE, self.say(&Topic::All)).await;
        let said = said.expect("a publication fails at once");
        assert_eq!(said, Err(BrokerErrorKind::Unavailable));
        let joined = timeout(AT_ONCE, self.broker.join(&room())).await;
        let joined = joined.expect("joining fails at once");
        assert_eq!(joined.unwrap_err().kind(), BrokerErrorKind::Unavailable);
    }
}

fn room() -> TopicName {
    "room *.>".parse().unwrap()
}

fn is_up(event: &BrokerEvent) -> bool {
    *event == BrokerEvent::Up
}

/// Both are down; then NATS is back, and so are they.
async fn down_and_up_again(one: &mut Member, two: &mut Member, bring_back: impl AsyncFnOnce()) {
    one.is_down().await;
    two.is_down().await;
    bring_back().await;
    one.until_event(is_up).await;
    two.until_event(is_up).await;
    one.hears_from(two).await;
    two.hears_from(one).await;
}

#[tokio::test]
async fn a_killed_nats_is_noticed_and_a_restarted_one_is_joined_again() {
    let mut server = servers::Nats::start().await.unwrap();
    let (mut one, mut two) = (
        Member::join(server.port()).await,
        Member::join(server.port()).await,
    );
    one.hears_from(&two).await;
    server.kill().unwrap();
    down_and_up_again(&mut one, &mut two, async || server.restart().await.unwrap()).await;
}

#[tokio::test]
async fn a_nats_that_hangs_is_noticed_by_beacons_alone() {
    let mut server = servers::Nats::start().await.unwrap();
    let (mut one, mut two) = (
        Member::join(server.port()).await,
        Member::join(server.port()).await,
    );
    two.hears_from(&one).await;
    server.stop().unwrap();
    down_and_up_again(&mut one, &mut two, async || server.resume().unwrap()).await;
}

#[tokio::test]
async fn a_nats_that_hangs_is_noticed_by_the_first_who_publishes() {
    let mut server = servers::Nats::start().await.unwrap();
    let (mut one, mut two) = (
        Member::join(server.port()).await,
        Member::join(server.port()).await,
    );
    server.stop().unwrap();
    // Beacons would take longer.
    let bound = 3 * Duration::from_secs(2);
    for member in [&mut one, &mut two] {
        let noticed = async {
            while member.say(&Topic::All).await.is_ok() {}
            member.is_down().await;
        };
        timeout(bound, noticed).await.expect("an error in time");
    }
    server.resume().unwrap();
    one.until_event(is_up).await;
    two.until_event(is_up).await;
    one.hears_from(&two).await;
}

#[tokio::test]
async fn a_node_that_is_cut_off_knows_and_the_others_go_on() {
    let server = servers::Nats::start().await.unwrap();
    let proxy = Proxy::start(server.port()).await;
    let mut one = Member::join(proxy.port()).await;
    let (mut two, mut three) = (
        Member::join(server.port()).await,
        Member::join(server.port()).await,
    );
    one.hears_from(&two).await;
    proxy.set(Fault::Blackhole);
    one.is_down().await;
    three.hears_from(&two).await;
    let gone = one.node.clone();
    two.until_event(|event| *event == BrokerEvent::node_down(gone.clone()))
        .await;
    proxy.set(Fault::None);
    one.until_event(is_up).await;
    two.until_event(|event| *event == BrokerEvent::node_up(gone.clone()))
        .await;
    one.hears_from(&two).await;
    two.hears_from(&one).await;
}

#[tokio::test]
async fn the_loss_of_the_last_message_is_reported() {
    let server = servers::Nats::start().await.unwrap();
    let proxy = Proxy::start(server.port()).await;
    let (mut one, mut two) = (
        Member::join(proxy.port()).await,
        Member::join(server.port()).await,
    );
    one.hears_from(&two).await;
    proxy.set(Fault::Refuse);
    proxy.reset();
    one.is_down().await;
    let topics = [Topic::All, one.node.topic()];
    for topic in &topics {
        assert_eq!(two.say(topic).await, Ok(Published::Accepted));
    }
    proxy.set(Fault::None);
    let mut missing = topics.to_vec();
    one.until_event(|event| {
        if let BrokerEvent::Gap { topic, missed, .. } = event {
            assert_eq!(*missed, 1);
            missing.retain(|missing| topic.as_ref() != Some(missing));
        }
        missing.is_empty()
    })
    .await;
    one.hears_from(&two).await;
    two.hears_from(&one).await;
}

#[tokio::test]
async fn what_a_slow_gateway_loses_is_counted() {
    const SENT: usize = 4_096;
    let server = servers::Nats::start().await.unwrap();
    let (one, mut two) = (
        Member::join(server.port()).await,
        Member::join(server.port()).await,
    );
    two.hears_from(&one).await;
    for _ in 0..SENT / 64 {
        let said = join_all((0..64).map(|_| one.say(&Topic::All))).await;
        assert!(said.iter().all(|said| *said == Ok(Published::Accepted)));
    }
    let (mut heard, mut missed) = (0, 0);
    let counted = async {
        while heard + missed < SENT {
            tokio::select! {
                message = two.inbox.next() => {
                    message.expect("messages go on");
                    heard += 1;
                }
                event = two.events.next() => {
                    if let Some(BrokerEvent::Gap { missed: more, .. }) = event {
                        missed += more as usize;
                    }
                }
            }
        }
    };
    within("all that was sent", counted).await;
    assert_eq!(heard + missed, SENT);
    assert!(missed > 0, "there was room for all");
    two.hears_from(&one).await;
}

/// The subject of a named topic.
fn subject(name: &TopicName) -> String {
    let name = Topic::Named(name.clone()).to_string();
    format!("realtime.{:x}", Bytes::from(name))
}

#[tokio::test]
async fn what_a_user_may_not_do_is_told_and_costs_no_more_than_the_connection() {
    let (unheard, unsaid): (TopicName, TopicName) =
        ("unheard".parse().unwrap(), "unsaid".parse().unwrap());
    let config = format!(
        "authorization {{ users: [ {{ user: node, password: s3cret, permissions: {{
            subscribe: {{ deny: [\"{}\"] }}, publish: {{ deny: [\"{}\"] }}
        }} }} ] }}",
        subject(&unheard),
        subject(&unsaid),
    );
    let server = servers::Nats::with_config(&config).await.unwrap();
    let url = server.url().replace("nats://", "nats://node:s3cret@");
    let (mut one, mut two) = (Member::join_at(&url).await, Member::join_at(&url).await);
    let refused = one.broker.join(&unheard).await.unwrap_err();
    assert_eq!(refused.kind(), BrokerErrorKind::Unavailable);
    one.is_down_for("Permissions Violation for Subscription")
        .await;
    one.hears_from(&two).await;
    two.hears_from(&one).await;
    let said = one.say(&Topic::Named(unsaid)).await;
    assert_eq!(said, Err(BrokerErrorKind::Unknown));
    one.is_down_for("Permissions Violation for Publish").await;
}
