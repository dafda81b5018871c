//! The suite for [`Broker`].
//!
//! Each test gets a function that makes another member of one cluster, which no other test uses.

mod close;
mod events;
mod publish;
mod subscribe;
mod topics;

use bytes::Bytes;
use futures::StreamExt;
use realtime_core::{
    Incarnation, NodeId,
    broker::{
        Broker, BrokerErrorKind, BrokerEvent, BrokerEvents, BrokerMessage, Join, NodeInfo,
        Published, Subscription, Topic, TopicName,
    },
};

use crate::wait::within;

pub use self::{close::*, events::*, publish::*, subscribe::*, topics::*};

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

fn named(name: &str) -> TopicName {
    ok("it is the name of a topic", name.parse())
}
