//! Whom a message reaches, and how it arrives.

use bytes::Bytes;
use realtime_core::{
    NodeId,
    broker::{Broker, BrokerErrorKind, Topic},
};

use super::{failed, join, numbered};

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
