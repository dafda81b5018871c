//! The suite for [`Broker`].
//!
//! Each test gets a function that makes another member of one cluster, which no other test uses.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use realtime_core::{
    Incarnation, NodeId,
    broker::{
        Broker, BrokerErrorKind, BrokerEvent, BrokerEvents, BrokerMessage, Join, NodeInfo,
        Published, Subscription, Topic, TopicName,
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
            what_one_source_publishes_for_all_and_for_this_node_is_delivered_in_its_order
            what_it_publishes_on_a_named_topic_is_delivered_in_its_order_there
            a_topic_is_received_after_joining_it_and_not_after_leaving
            a_topic_can_be_received_from_the_beginning
            joining_and_leaving_again_changes_nothing
            joining_fails_before_subscribe
            a_message_on_a_named_topic_reaches_those_who_joined_it
            own_messages_are_not_delivered
            a_second_subscription_of_the_same_member_fails
            a_node_id_under_which_another_incarnation_is_alive_fails
            a_subscription_that_fails_or_is_given_up_leaves_nothing_behind
            dropping_the_subscription_leaves_the_cluster
            after_that_the_member_may_subscribe_again
            a_message_for_a_node_that_is_not_there_has_no_route
            what_is_said_of_one_message_is_not_said_of_another
            a_targeted_message_reaches_its_node_and_no_other
            the_bytes_arrive_as_they_were_given
            a_message_over_the_limit_fails_and_no_other_with_it
            publishing_fails_before_subscribe
            many_publish_at_once_and_nothing_is_lost
            every_caller_gets_a_stream_of_events_of_its_own
            another_nodes_coming_and_going_is_told
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
    node: NodeInfo,
    inbox: Subscription,
    events: BrokerEvents,
}

async fn join<B: Broker>(broker: B) -> Joined<B> {
    join_as(broker, NodeId::random()).await
}

async fn join_as<B: Broker>(broker: B, id: NodeId) -> Joined<B> {
    let node = NodeInfo::new(id, Incarnation::random());
    let events = broker.events();
    let inbox = within("joining", broker.subscribe(Join::new(node.clone()))).await;
    let inbox = ok("a member can join", inbox);
    Joined {
        broker,
        node,
        inbox,
        events,
    }
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
        self.node.topic()
    }

    /// Publishes to somebody who is there.
    async fn say(&self, topic: &Topic, data: impl Into<Bytes>) {
        let published = within("publishing", self.broker.publish(topic, data.into())).await;
        let expected = if self.broker.limits().knows_absence {
            Published::Routed
        } else {
            Published::Accepted
        };
        assert_eq!(ok("it is published", published), expected);
    }

    /// Publishes to a node that isn't there.
    async fn say_to_nobody(&self, topic: &Topic) {
        let published = within("publishing", self.broker.publish(topic, Bytes::new())).await;
        let expected = if self.broker.limits().knows_absence {
            Published::NoRoute
        } else {
            Published::Accepted
        };
        assert_eq!(ok("it is accepted", published), expected);
    }

    /// Publishes on a topic that perhaps nobody has joined.
    async fn say_on(&self, topic: &Topic, data: impl Into<Bytes>) {
        let published = within("publishing", self.broker.publish(topic, data.into())).await;
        let _whoever_listens = ok("it is published", published);
    }

    async fn joins(&self, topic: &TopicName) {
        let joined = within("joining a topic", self.broker.join(topic)).await;
        ok("a topic can be joined", joined);
    }

    async fn leaves(&self, topic: &TopicName) {
        let left = within("leaving a topic", self.broker.leave(topic)).await;
        ok("a topic can be left", left);
    }

    #[allow(clippy::panic, reason = "a test fails by a panic")]
    async fn is_told(&mut self, what: &str, is_it: impl Fn(&BrokerEvent) -> bool) {
        let told = async {
            while let Some(event) = self.events.next().await {
                if is_it(&event) {
                    return;
                }
            }
            panic!("the events ended; {what} was expected");
        };
        within(what, told).await;
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
    one.say_to_nobody(&Topic::Node(NodeId::random())).await;
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
            (one.node.id.clone(), Topic::All)
        );
    }
}

/// What one source publishes for all and for one node is delivered in its order, across the two.
pub async fn what_one_source_publishes_for_all_and_for_this_node_is_delivered_in_its_order<
    B: Broker,
>(
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

fn named(name: &str) -> TopicName {
    ok("it is the name of a topic", name.parse())
}

/// A name with everything that a backend may have to encode, as long as they come.
fn odd_name() -> TopicName {
    let odd = "order:42 *.>#{}/\\\"\n\u{0}\u{20ac}";
    named(&format!("{odd}{}", "x".repeat(TopicName::MAX - odd.len())))
}

/// What one source publishes on a named topic is delivered in its order there.
pub async fn what_it_publishes_on_a_named_topic_is_delivered_in_its_order_there<B: Broker>(
    mut member: impl FnMut() -> B,
) {
    let (one, mut other) = (join(member()).await, join(member()).await);
    let names = ["a", "b", "c"].map(named);
    for name in &names {
        other.joins(name).await;
    }
    for n in 0..300 {
        let topic = Topic::Named(names[n as usize % names.len()].clone());
        one.say(&topic, numbered(n)).await;
    }
    let mut last = [const { None }; 3];
    for _ in 0..300 {
        let message = other.receive().await;
        let at = names
            .iter()
            .position(|name| message.topic == Topic::Named(name.clone()));
        let last = &mut last[ok("it is one of the topics", at.ok_or("another"))];
        let follows = |(n, seq): &(Bytes, u64)| *n < message.data && seq + 1 == message.seq;
        assert!(last.as_ref().is_none_or(follows));
        *last = Some((message.data, message.seq));
    }
}

/// What is published on a topic after `join` has returned is delivered, and nothing after `leave`.
pub async fn a_topic_is_received_after_joining_it_and_not_after_leaving<B: Broker>(
    mut member: impl FnMut() -> B,
) {
    let (one, mut other) = (join(member()).await, join(member()).await);
    for name in [named("order:42"), odd_name()] {
        let topic = Topic::Named(name.clone());
        for turn in 0..3 {
            one.say_on(&topic, "too early").await;
            other.joins(&name).await;
            one.say(&topic, numbered(turn)).await;
            let message = other.receive().await;
            assert_eq!((message.data, &message.topic), (numbered(turn), &topic));
            other.leaves(&name).await;
            one.say_on(&topic, "too late").await;
        }
    }
    one.say(&Topic::All, "the end").await;
    assert_eq!(other.receive().await.data, "the end");
}

/// A topic that is named when a member subscribes is received from the beginning.
pub async fn a_topic_can_be_received_from_the_beginning<B: Broker>(mut member: impl FnMut() -> B) {
    let (one, other) = (join(member()).await, member());
    let node = NodeInfo::new(NodeId::random(), Incarnation::random());
    let asked = Join::new(node).with_topics([odd_name()]);
    let mut inbox = ok("a member can join", other.subscribe(asked).await);
    one.say(&Topic::Named(odd_name()), "hello").await;
    let message = within("a message", inbox.next()).await;
    assert_eq!(message.map(|message| message.data), Some("hello".into()));
}

/// Joining a topic again changes nothing, and neither does leaving what wasn't joined.
pub async fn joining_and_leaving_again_changes_nothing<B: Broker>(mut member: impl FnMut() -> B) {
    let (one, mut other) = (join(member()).await, join(member()).await);
    let (name, never) = (named("a"), named("never joined"));
    other.leaves(&never).await;
    other.joins(&name).await;
    other.joins(&name).await;
    for n in 0..3 {
        one.say(&Topic::Named(name.clone()), numbered(n)).await;
        let message = other.receive().await;
        assert_eq!((message.data, message.seq), (numbered(n), u64::from(n) + 1));
    }
    other.leaves(&name).await;
    other.leaves(&name).await;
    // Two ask for it at the same time, and the first gives up.
    let both = named("both");
    let mut first = Box::pin(other.broker.join(&both));
    let _begun = futures::poll!(&mut first);
    other.joins(&both).await;
    drop(first);
    one.say(&Topic::Named(both), "twice joined").await;
    assert_eq!(other.receive().await.data, "twice joined");
    one.say_on(&Topic::Named(name), "too late").await;
    one.say(&Topic::All, "the end").await;
    assert_eq!(other.receive().await.data, "the end");
}

/// Joining fails before `subscribe`, with kind `Unavailable`.
pub async fn joining_fails_before_subscribe<B: Broker>(mut member: impl FnMut() -> B) {
    let joined = member().join(&named("a")).await;
    assert_eq!(failed(joined), Some(BrokerErrorKind::Unavailable));
    let left = member().leave(&named("a")).await;
    assert_eq!(failed(left), Some(BrokerErrorKind::Unavailable));
}

/// A message on a named topic reaches those who have joined it, and no other; the one who publishes
/// needn't be among them, and gets nothing where it is.
pub async fn a_message_on_a_named_topic_reaches_those_who_joined_it<B: Broker>(
    mut member: impl FnMut() -> B,
) {
    let mut one = join(member()).await;
    let (mut two, mut three) = (join(member()).await, join(member()).await);
    let (name, topic) = (named("a"), Topic::Named(named("a")));
    two.joins(&name).await;
    one.say(&topic, "from outside").await;
    assert_eq!(two.receive().await.data, "from outside");
    one.joins(&name).await;
    one.say(&topic, "from inside").await;
    assert_eq!(two.receive().await.data, "from inside");
    two.say(&topic, "to the other").await;
    assert_eq!(one.receive().await.data, "to the other");
    two.say(&Topic::All, "for all").await;
    assert_eq!(three.receive().await.data, "for all");
    assert_eq!(one.receive().await.data, "for all");
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
    let second = one.broker.subscribe(Join::new(node)).await;
    assert_eq!(failed(second), Some(BrokerErrorKind::Config));
}

/// A node id under which another incarnation is alive fails with kind `DuplicateNode`, and is
/// free again when that one has left.
pub async fn a_node_id_under_which_another_incarnation_is_alive_fails<B: Broker>(
    mut member: impl FnMut() -> B,
) {
    let mut one = join(member()).await;
    let twin = NodeInfo::new(one.node.id.clone(), Incarnation::random());
    let second = member();
    let refused = within("the refusal", second.subscribe(Join::new(twin))).await;
    assert_eq!(failed(refused), Some(BrokerErrorKind::DuplicateNode));
    let other = join(member()).await;
    other.say(&one.own(), "still here").await;
    assert_eq!(one.receive().await.data, "still here");
    one.broker.close().await;
    drop(join_as(member(), one.node.id).await);
}

/// A subscription that fails, or is given up before it is there, leaves nothing behind: the member may
/// try again, and so may another under that name.
pub async fn a_subscription_that_fails_or_is_given_up_leaves_nothing_behind<B: Broker>(
    mut member: impl FnMut() -> B,
) {
    let one = join(member()).await;
    let refused = member();
    let twin = NodeInfo::new(one.node.id.clone(), Incarnation::random());
    let failure = within("the refusal", refused.subscribe(Join::new(twin))).await;
    assert_eq!(failed(failure), Some(BrokerErrorKind::DuplicateNode));
    let other = join(refused).await;
    let mut given_up = Vec::new();
    for wait in [0, 2, 10, 50, 250] {
        let (broker, node) = (
            member(),
            NodeInfo::new(NodeId::random(), Incarnation::random()),
        );
        let joining = broker.subscribe(Join::new(node.clone()));
        drop(tokio::time::timeout(Duration::from_millis(wait), joining).await);
        given_up.push((broker, node));
    }
    for (broker, node) in given_up {
        if one.broker.limits().knows_absence {
            until("the node has no route", async || {
                let published = other.broker.publish(&node.topic(), Bytes::new()).await;
                ok("it is accepted", published) == Published::NoRoute
            })
            .await;
        }
        let mut successor = None;
        until("another joins under its name", async || {
            let next = NodeInfo::new(node.id.clone(), Incarnation::random());
            let member = member();
            let joined = member.subscribe(Join::new(next)).await.ok();
            successor = joined.map(|inbox| (member, inbox));
            successor.is_some()
        })
        .await;
        drop(successor);
        let mut again = None;
        until("the member itself joins again", async || {
            again = broker.subscribe(Join::new(node.clone())).await.ok();
            again.is_some()
        })
        .await;
    }
}

/// Dropping the subscription leaves the cluster.
pub async fn dropping_the_subscription_leaves_the_cluster<B: Broker>(
    mut member: impl FnMut() -> B,
) {
    let (mut one, other) = (join(member()).await, join(member()).await);
    let (gone, node) = (other.own(), other.node.clone());
    drop(other.inbox);
    if one.broker.limits().knows_absence {
        until("the node has no route", async || {
            let published = one.broker.publish(&gone, Bytes::new()).await;
            ok("it is accepted", published) == Published::NoRoute
        })
        .await;
    }
    let is_down = |event: &BrokerEvent| *event == BrokerEvent::node_down(node.clone());
    one.is_told("the node's end", is_down).await;
}

/// After its subscription was dropped, a member may subscribe again.
pub async fn after_that_the_member_may_subscribe_again<B: Broker>(mut member: impl FnMut() -> B) {
    let mut one = join(member()).await;
    let again = join(member()).await;
    for n in 0..3 {
        again.say(&Topic::All, numbered(n)).await;
        assert_eq!(one.receive().await.data, numbered(n));
    }
    let Joined {
        broker,
        node,
        inbox,
        ..
    } = again;
    ok("a topic can be joined", broker.join(&named("a")).await);
    drop(inbox);
    let mut again = None;
    until("the member joins again", async || {
        again = broker.subscribe(Join::new(node.clone())).await.ok();
        again.is_some()
    })
    .await;
    let mut again = ok("it has joined", again.ok_or("nothing"));
    one.say_on(&Topic::Named(named("a")), "of its former life")
        .await;
    one.say(&node.topic(), "hello again").await;
    let message = within("a message", again.next()).await;
    assert_eq!(
        message.map(|message| message.data),
        Some("hello again".into())
    );
    // Which nobody takes for a repetition of what it said in its former life.
    let published = within("publishing", broker.publish(&Topic::All, "hello".into())).await;
    let _accepted = ok("it is published", published);
    assert_eq!(one.receive().await.data, "hello");
}

/// A targeted message for a node that is not there is reported as `NoRoute`, where that is known.
pub async fn a_message_for_a_node_that_is_not_there_has_no_route<B: Broker>(
    mut member: impl FnMut() -> B,
) {
    let (one, mut other) = (join(member()).await, join(member()).await);
    for _ in 0..3 {
        one.say_to_nobody(&Topic::Node(NodeId::random())).await;
    }
    one.say(&Topic::All, "goes on").await;
    assert_eq!(other.receive().await.data, "goes on");
}

/// Of many messages at once, each that is for nobody has no route, and no other.
pub async fn what_is_said_of_one_message_is_not_said_of_another<B: Broker>(
    mut member: impl FnMut() -> B,
) {
    let (one, mut other) = (join(member()).await, join(member()).await);
    let (there, all) = (other.own(), Topic::All);
    let publish = |n: u32| {
        let (one, there, all) = (&one, &there, &all);
        async move {
            match n % 4 {
                0 => one.say_to_nobody(&Topic::Node(NodeId::random())).await,
                1 => one.say(all, numbered(n)).await,
                _ => one.say(there, numbered(n)).await,
            }
        }
    };
    futures::future::join_all((0..400).map(publish)).await;
    for _ in 0..300 {
        other.receive().await;
    }
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

/// The bytes arrive as they were given, also empty ones, and large ones as far as the limit allows.
pub async fn the_bytes_arrive_as_they_were_given<B: Broker>(mut member: impl FnMut() -> B) {
    let (one, mut other) = (join(member()).await, join(member()).await);
    let every_byte: Vec<u8> = (0..=255).collect();
    let limit = one.broker.limits().max_message.unwrap_or(usize::MAX);
    let large: Vec<u8> = (0..limit.min(3_000_000)).map(|n| (n % 251) as u8).collect();
    for data in [Vec::new(), every_byte, large] {
        one.say(&Topic::All, data.clone()).await;
        let message = other.receive().await;
        assert!(message.data == data, "{} bytes differ", data.len());
    }
}

/// A message over the limit fails with kind `TooLarge`, and no other with it. Where there is no
/// limit there is nothing to see.
pub async fn a_message_over_the_limit_fails_and_no_other_with_it<B: Broker>(
    mut member: impl FnMut() -> B,
) {
    let (one, mut other) = (join(member()).await, join(member()).await);
    let Some(limit) = one.broker.limits().max_message else {
        return;
    };
    let large = Bytes::from(vec![7; limit + 1]);
    let publish = |n: u32| {
        let (one, large) = (&one, &large);
        async move {
            one.say(&Topic::All, numbered(n)).await;
            let refused = one.broker.publish(&Topic::All, large.clone()).await;
            assert_eq!(failed(refused), Some(BrokerErrorKind::TooLarge));
        }
    };
    futures::future::join_all((0..20).map(publish)).await;
    one.say(&Topic::All, large.slice(..limit)).await;
    for _ in 0..20 {
        assert_eq!(other.receive().await.data.len(), 4);
    }
    assert_eq!(other.receive().await.data.len(), limit);
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

/// Another node's coming and going is told.
pub async fn another_nodes_coming_and_going_is_told<B: Broker>(mut member: impl FnMut() -> B) {
    let mut one = join(member()).await;
    let mut other = join(member()).await;
    let nodes = [one.node.clone(), other.node.clone()];
    for (member, node) in [(&mut one, &nodes[1]), (&mut other, &nodes[0])] {
        let is_up = |event: &BrokerEvent| *event == BrokerEvent::node_up(node.clone());
        member.is_told("the other node", is_up).await;
    }
    other.broker.close().await;
    let is_down = |event: &BrokerEvent| *event == BrokerEvent::node_down(nodes[1].clone());
    one.is_told("the other node's end", is_down).await;
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
    if one.broker.limits().knows_absence {
        let gone = other.own();
        until("the node has no route", async || {
            let published = one.broker.publish(&gone, Bytes::new()).await;
            ok("it is accepted", published) == Published::NoRoute
        })
        .await;
    }
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
        let joined = broker.subscribe(Join::new(node)).await;
        assert_eq!(failed(joined), Some(BrokerErrorKind::Closed));
    }
}
