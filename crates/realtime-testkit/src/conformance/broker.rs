//! The suite for [`Broker`].
//!
//! Each test gets a function that makes another member of one cluster, which no other test uses.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use realtime_core::{
    Incarnation, NodeId,
    broker::{
        Broker, BrokerErrorKind, BrokerEvent, BrokerMessage, NodeInfo, Published, Subscription,
        Topic,
    },
};

use crate::wait::{until, within};

/// Declares the tests of the suite. See [`conformance`](crate::conformance).
#[macro_export]
macro_rules! broker_suite {
    ($members:expr) => {
        $crate::broker_suite! { @tests each, broker, $members, }
    };
    ($name:ident, $server:expr, $members:expr) => {
        $crate::broker_suite! { @tests all, broker, $name, $server, $members, }
    };
    (@tests $($how:tt)*) => {
        $crate::__suite! { $($how)*
            nothing_is_connected_under_the_nodes_name_before_subscribe
            what_is_published_after_subscribe_has_returned_is_delivered
            what_one_source_publishes_is_delivered_in_its_order_across_topics
            own_messages_are_not_delivered
            a_second_subscription_of_the_same_member_fails
            a_node_id_under_which_another_incarnation_is_alive_fails
            dropping_the_subscription_leaves_the_cluster
            a_message_for_a_node_that_is_not_there_has_no_route
            a_targeted_message_reaches_its_node_and_no_other
            the_bytes_arrive_as_they_were_given
            publishing_fails_before_subscribe
            many_publish_at_once_and_nothing_is_lost
            every_caller_gets_a_stream_of_events_of_its_own
            a_stream_of_events_that_is_not_read_holds_nobody_up
            streams_of_events_end_after_close
            closing_is_idempotent
            subscriptions_end_after_close
            everything_fails_after_close
        }
    };
}

/// A member that has joined.
struct Joined<B> {
    broker: B,
    id: NodeId,
    inbox: Subscription,
}

async fn join<B: Broker>(broker: B) -> Joined<B> {
    join_as(broker, NodeId::random()).await
}

async fn join_as<B: Broker>(broker: B, id: NodeId) -> Joined<B> {
    let node = NodeInfo::new(id.clone(), Incarnation::random());
    let topics = [Topic::All, Topic::Node(id.clone())];
    let inbox = within("joining", broker.subscribe(node, &topics)).await;
    let inbox = ok("a member can join", inbox);
    Joined { broker, id, inbox }
}

#[allow(clippy::panic, reason = "a test fails by a panic")]
fn ok<T, E: std::fmt::Debug>(what: &str, result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("expected that {what}; got {error:?}"),
    }
}

fn failed<T>(result: Result<T, realtime_core::broker::BrokerError>) -> Option<BrokerErrorKind> {
    result.err().map(|error| error.kind())
}

impl<B: Broker> Joined<B> {
    fn own(&self) -> Topic {
        Topic::Node(self.id.clone())
    }

    async fn say(&self, topic: &Topic, data: impl Into<Bytes>) {
        let published = within("publishing", self.broker.publish(topic, data.into())).await;
        assert_eq!(ok("it is published", published), Published::Routed);
    }

    #[allow(clippy::panic, reason = "a test fails by a panic")]
    async fn receive(&mut self) -> BrokerMessage {
        match within("a message", self.inbox.next()).await {
            Some(message) => message,
            None => panic!("the subscription ended; a message was expected"),
        }
    }
}

fn numbered(n: u32) -> Bytes {
    Bytes::copy_from_slice(&n.to_be_bytes())
}

/// Nothing is connected under the node's name before this is called.
pub async fn nothing_is_connected_under_the_nodes_name_before_subscribe<B: Broker>(
    mut member: impl FnMut() -> B,
) {
    let (one, _idle) = (join(member()).await, member());
    let nobody = Topic::Node(NodeId::random());
    let published = one.broker.publish(&nobody, Bytes::new()).await;
    assert_eq!(ok("it is accepted", published), Published::NoRoute);
}

/// What is published on a subscribed topic after this has returned is delivered.
pub async fn what_is_published_after_subscribe_has_returned_is_delivered<B: Broker>(
    mut member: impl FnMut() -> B,
) {
    let one = join(member()).await;
    for n in 0..5 {
        let mut late = join(member()).await;
        one.say(&Topic::All, numbered(n)).await;
        let message = late.receive().await;
        assert_eq!(message.data, numbered(n));
        assert_eq!(
            (message.source, message.topic),
            (one.id.clone(), Topic::All)
        );
    }
}

/// What one source publishes is delivered in its order, across topics too.
pub async fn what_one_source_publishes_is_delivered_in_its_order_across_topics<B: Broker>(
    mut member: impl FnMut() -> B,
) {
    let (one, mut other) = (join(member()).await, join(member()).await);
    let to_other = other.own();
    for n in 0..400 {
        let topic = if n % 3 == 0 { &to_other } else { &Topic::All };
        one.say(topic, numbered(n)).await;
    }
    let mut last = (0, 0);
    for n in 0..400 {
        let message = other.receive().await;
        assert_eq!(message.data, numbered(n));
        let last = if message.topic == Topic::All {
            &mut last.0
        } else {
            &mut last.1
        };
        assert_eq!(message.seq, *last + 1, "numbers of a topic have no hole");
        *last = message.seq;
    }
}

/// Own messages are not delivered.
pub async fn own_messages_are_not_delivered<B: Broker>(mut member: impl FnMut() -> B) {
    let (mut one, other) = (join(member()).await, join(member()).await);
    one.say(&Topic::All, "mine").await;
    other.say(&Topic::All, "theirs").await;
    assert_eq!(one.receive().await.data, "theirs");
}

/// A second subscription of the same member fails with kind `Config`.
pub async fn a_second_subscription_of_the_same_member_fails<B: Broker>(
    mut member: impl FnMut() -> B,
) {
    let one = join(member()).await;
    let node = NodeInfo::new(NodeId::random(), Incarnation::random());
    let second = one.broker.subscribe(node, &[Topic::All]).await;
    assert_eq!(failed(second), Some(BrokerErrorKind::Config));
}

/// A node id under which another incarnation is alive fails with kind `DuplicateNode`, and is
/// free again when that one has left.
pub async fn a_node_id_under_which_another_incarnation_is_alive_fails<B: Broker>(
    mut member: impl FnMut() -> B,
) {
    let mut one = join(member()).await;
    let twin = NodeInfo::new(one.id.clone(), Incarnation::random());
    let second = member();
    let topics = [Topic::All, one.own()];
    let refused = within("the refusal", second.subscribe(twin, &topics)).await;
    assert_eq!(failed(refused), Some(BrokerErrorKind::DuplicateNode));
    let other = join(member()).await;
    other.say(&one.own(), "still here").await;
    assert_eq!(one.receive().await.data, "still here");
    one.broker.close().await;
    drop(join_as(member(), one.id).await);
}

/// Dropping the subscription leaves the cluster.
pub async fn dropping_the_subscription_leaves_the_cluster<B: Broker>(
    mut member: impl FnMut() -> B,
) {
    let (one, other) = (join(member()).await, join(member()).await);
    let gone = other.own();
    drop(other.inbox);
    until("the node has no route", async || {
        let published = one.broker.publish(&gone, Bytes::new()).await;
        ok("it is accepted", published) == Published::NoRoute
    })
    .await;
}

/// A targeted message for a node that is not there is reported as `NoRoute`.
pub async fn a_message_for_a_node_that_is_not_there_has_no_route<B: Broker>(
    mut member: impl FnMut() -> B,
) {
    let (one, mut other) = (join(member()).await, join(member()).await);
    for _ in 0..3 {
        let nobody = Topic::Node(NodeId::random());
        let published = one.broker.publish(&nobody, Bytes::new()).await;
        assert_eq!(ok("it is accepted", published), Published::NoRoute);
    }
    one.say(&Topic::All, "goes on").await;
    assert_eq!(other.receive().await.data, "goes on");
}

/// A targeted message reaches its node and no other.
pub async fn a_targeted_message_reaches_its_node_and_no_other<B: Broker>(
    mut member: impl FnMut() -> B,
) {
    let one = join(member()).await;
    let (mut two, mut three) = (join(member()).await, join(member()).await);
    one.say(&two.own(), "for two").await;
    one.say(&Topic::All, "for all").await;
    assert_eq!(two.receive().await.data, "for two");
    assert_eq!(two.receive().await.data, "for all");
    assert_eq!(three.receive().await.data, "for all");
}

/// The bytes arrive as they were given, also empty ones and large ones.
pub async fn the_bytes_arrive_as_they_were_given<B: Broker>(mut member: impl FnMut() -> B) {
    let (one, mut other) = (join(member()).await, join(member()).await);
    let every_byte: Vec<u8> = (0..=255).collect();
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    for data in [Vec::new(), every_byte, large] {
        one.say(&Topic::All, data.clone()).await;
        let message = other.receive().await;
        assert!(message.data == data, "{} bytes differ", data.len());
    }
}

/// Publishing fails before `subscribe`, with kind `Unavailable`.
pub async fn publishing_fails_before_subscribe<B: Broker>(mut member: impl FnMut() -> B) {
    let published = member().publish(&Topic::All, Bytes::new()).await;
    assert_eq!(failed(published), Some(BrokerErrorKind::Unavailable));
}

/// Publishing concurrently is fine: each message arrives once, and numbers arrive in order.
pub async fn many_publish_at_once_and_nothing_is_lost<B: Broker>(mut member: impl FnMut() -> B) {
    let (one, mut other) = (join(member()).await, join(member()).await);
    let publish = async {
        let all = (0..300).map(|n| one.say(&Topic::All, numbered(n)));
        futures::future::join_all(all).await;
    };
    let receive = async {
        let mut seen = Vec::new();
        for n in 1..=300 {
            let message = other.receive().await;
            assert_eq!(message.seq, n);
            seen.push(message.data);
        }
        seen.sort();
        assert_eq!(seen, (0..300).map(numbered).collect::<Vec<_>>());
    };
    futures::join!(publish, receive);
}

/// Every caller gets a stream of its own, and learns that the link is up.
pub async fn every_caller_gets_a_stream_of_events_of_its_own<B: Broker>(
    mut member: impl FnMut() -> B,
) {
    let broker = member();
    let streams = [broker.events(), broker.events()];
    let joined = join(broker).await;
    for mut events in streams {
        let up = async {
            while let Some(event) = events.next().await {
                if event == BrokerEvent::Up {
                    return true;
                }
            }
            false
        };
        assert!(within("the event `Up`", up).await, "the stream ended");
    }
    drop(joined);
}

/// A stream that isn't read delays no other.
pub async fn a_stream_of_events_that_is_not_read_holds_nobody_up<B: Broker>(
    mut member: impl FnMut() -> B,
) {
    let broker = member();
    let _unread = broker.events();
    let one = join(broker).await;
    let mut other = join(member()).await;
    for n in 0..200 {
        one.say(&Topic::All, numbered(n)).await;
        assert_eq!(other.receive().await.data, numbered(n));
    }
}

/// The stream ends after `close`, also one that is asked for afterwards.
pub async fn streams_of_events_end_after_close<B: Broker>(mut member: impl FnMut() -> B) {
    let broker = member();
    let before = broker.events();
    let one = join(broker).await;
    one.broker.close().await;
    for mut events in [before, one.broker.events()] {
        within("the end of the events", async {
            while events.next().await.is_some() {}
        })
        .await;
    }
}

/// Closing is idempotent, and fine before `subscribe`.
pub async fn closing_is_idempotent<B: Broker>(mut member: impl FnMut() -> B) {
    let (idle, one) = (member(), join(member()).await);
    for _ in 0..2 {
        within("closing", idle.close()).await;
        within("closing", one.broker.close()).await;
    }
}

/// Subscriptions end after `close`, and the node has left the cluster.
pub async fn subscriptions_end_after_close<B: Broker>(mut member: impl FnMut() -> B) {
    let (one, mut other) = (join(member()).await, join(member()).await);
    other.broker.close().await;
    within("the end of the subscription", async {
        while other.inbox.next().await.is_some() {}
    })
    .await;
    let gone = other.own();
    until("the node has no route", async || {
        let published = one.broker.publish(&gone, Bytes::new()).await;
        ok("it is accepted", published) == Published::NoRoute
    })
    .await;
}

/// Publishing and subscribing after `close` fail with kind `Closed`, at once.
pub async fn everything_fails_after_close<B: Broker>(mut member: impl FnMut() -> B) {
    let (idle, one) = (member(), join(member()).await);
    for broker in [&idle, &one.broker] {
        broker.close().await;
        let published = broker.publish(&Topic::All, Bytes::new());
        let published = tokio::time::timeout(Duration::from_secs(2), published).await;
        let published = ok("publishing fails at once", published);
        assert_eq!(failed(published), Some(BrokerErrorKind::Closed));
        let node = NodeInfo::new(NodeId::random(), Incarnation::random());
        let joined = broker.subscribe(node, &[Topic::All]).await;
        assert_eq!(failed(joined), Some(BrokerErrorKind::Closed));
    }
}
