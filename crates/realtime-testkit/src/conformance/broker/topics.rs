//! Named topics: who joins, and who leaves.

use bytes::Bytes;
use futures::StreamExt;
use realtime_core::{
    Incarnation, NodeId,
    broker::{Broker, BrokerErrorKind, Join, NodeInfo, Topic, TopicName},
};

use super::{failed, join, named, numbered, ok};
use crate::wait::within;

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
