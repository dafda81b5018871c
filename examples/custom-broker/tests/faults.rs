//! Redis is killed and started again, hangs, and cuts one node off.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::time::Duration;

use bytes::Bytes;
use custom_broker::PubSub;
use futures::StreamExt;
use realtime_core::broker::{
    Broker, BrokerErrorKind, BrokerEvent, BrokerEvents, NodeInfo, Published, Subscription, Topic,
};
use realtime_core::{Incarnation, NodeId};
use realtime_testkit::{servers::Redis, wait::within};
use tokio::time::timeout;

/// Well above what a publication may take, and below what it would take to wait for the link.
const AT_ONCE: Duration = Duration::from_millis(900);

struct Member {
    broker: PubSub,
    own: Topic,
    inbox: Subscription,
    events: BrokerEvents,
}

impl Member {
    async fn join(server: &Redis) -> Self {
        Self::join_as("default", server).await
    }

    async fn join_as(user: &str, server: &Redis) -> Self {
        let url = format!("redis://{user}:x@127.0.0.1:{}", server.port());
        let broker = PubSub::new(&url).unwrap();
        let events = broker.events();
        let id = NodeId::random();
        let own = Topic::Node(id.clone());
        let node = NodeInfo::new(id, Incarnation::random());
        let inbox = broker.subscribe(node, &[Topic::All, own.clone()]).await;
        let mut member = Self {
            broker,
            own,
            inbox: inbox.unwrap(),
            events,
        };
        member.until_event(|event| *event == BrokerEvent::Up).await;
        member
    }

    async fn until_event(&mut self, is_it: impl Fn(&BrokerEvent) -> bool) {
        let waited = async { while !is_it(&self.events.next().await.expect("events go on")) {} };
        within("an event", waited).await;
    }

    async fn say(&self, topic: &Topic) -> Result<Published, BrokerErrorKind> {
        let said = self.broker.publish(topic, Bytes::from_static(b"hello"));
        said.await.map_err(|error| error.kind())
    }

    async fn hears_from(&mut self, other: &Self) {
        for topic in [&Topic::All, &self.own.clone()] {
            assert_eq!(other.say(topic).await, Ok(Published::Routed));
            let heard = within("a message", self.inbox.next()).await.unwrap();
            assert_eq!((&heard.topic, &heard.data[..]), (topic, &b"hello"[..]));
        }
    }
}

fn is_down(event: &BrokerEvent) -> bool {
    matches!(event, BrokerEvent::Down { .. })
}

/// Both are down and say so at once; then Redis is back, and so are they.
async fn down_and_up_again(one: &mut Member, two: &mut Member, bring_back: impl AsyncFnOnce()) {
    for member in [&mut *one, &mut *two] {
        member.until_event(is_down).await;
        let said = timeout(AT_ONCE, member.say(&Topic::All)).await;
        assert_eq!(
            said.expect("a publication fails at once"),
            Err(BrokerErrorKind::Unavailable)
        );
    }
    bring_back().await;
    for member in [&mut *one, &mut *two] {
        member.until_event(|event| *event == BrokerEvent::Up).await;
    }
    one.hears_from(two).await;
    two.hears_from(one).await;
}

#[tokio::test]
async fn a_killed_redis_is_noticed_and_a_restarted_one_is_joined_again() {
    let mut server = Redis::start().await.unwrap();
    let (mut one, mut two) = (Member::join(&server).await, Member::join(&server).await);
    one.hears_from(&two).await;
    server.kill().unwrap();
    down_and_up_again(&mut one, &mut two, async || server.restart().await.unwrap()).await;
}

#[tokio::test]
async fn a_redis_that_hangs_is_noticed_by_beacons_alone() {
    let mut server = Redis::start().await.unwrap();
    let (mut one, mut two) = (Member::join(&server).await, Member::join(&server).await);
    two.hears_from(&one).await;
    server.stop().unwrap();
    down_and_up_again(&mut one, &mut two, async || server.resume().unwrap()).await;
}

#[tokio::test]
async fn the_loss_of_the_last_message_is_reported() {
    let server = Redis::start().await.unwrap();
    server
        .command(&["ACL", "SETUSER", "one", "on", "nopass", "+@all", "&*"])
        .await
        .unwrap();
    let (mut one, two) = (
        Member::join_as("one", &server).await,
        Member::join(&server).await,
    );
    one.hears_from(&two).await;
    // It loses its connection, and gets no other for now.
    server
        .command(&["ACL", "SETUSER", "one", "off"])
        .await
        .unwrap();
    server
        .command(&["CLIENT", "KILL", "USER", "one"])
        .await
        .unwrap();
    assert_eq!(two.say(&one.own).await, Ok(Published::NoRoute));
    assert_eq!(two.say(&Topic::All).await, Ok(Published::Routed));
    one.until_event(is_down).await;
    server
        .command(&["ACL", "SETUSER", "one", "on"])
        .await
        .unwrap();
    // What was returned counts, too: the node can't know that its sender was told.
    let is_gap = |event: &BrokerEvent| matches!(event, BrokerEvent::Gap { missed: 2, .. });
    one.until_event(is_gap).await;
    one.hears_from(&two).await;
}
