//! Who subscribes, and what they get.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use realtime_core::{
    Incarnation, NodeId,
    broker::{Broker, BrokerErrorKind, BrokerEvent, Join, NodeInfo, Published, Topic},
};

use super::{Joined, failed, join, join_as, named, numbered, ok};
use crate::wait::{until, within};

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
