//! What is told of the link and of other nodes.

use futures::StreamExt;
use realtime_core::broker::{Broker, BrokerEvent, Topic};

use super::{join, numbered};
use crate::wait::within;

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
