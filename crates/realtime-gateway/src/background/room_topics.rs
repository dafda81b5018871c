//! Joins the topics of this node's rooms, and leaves those that no room needs any more.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use realtime_core::broker::Broker;
use tokio::time::Instant;

use crate::{escape::Chain, node::Node, room_topics::RoomTopic};

/// For how long no room must have needed a topic before it is left: pages that are loaded again
/// are to find it there.
const GRACE: Duration = Duration::from_secs(30);
/// How often it is looked whether there is something to do, where nobody asks.
const LOOK: Duration = Duration::from_secs(5);
/// How soon a topic that could not be joined is tried again, though nobody asks.
const AGAIN: Duration = Duration::from_secs(1);
/// How many are joined at the same time.
const AT_ONCE: usize = 8;

/// Joins and leaves until the gateway ends.
pub(super) async fn run(node: Arc<Node>) {
    let mut look = LOOK;
    loop {
        tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            () = node.room_topics.asked() => {}
            () = tokio::time::sleep(look) => {}
        }
        if node.is_started() {
            let all_joined = join_what_is_wanted(&node).await;
            leave_what_is_idle(&node).await;
            look = if all_joined { LOOK } else { AGAIN };
        }
    }
}

async fn join_what_is_wanted(node: &Node) -> bool {
    let wanted = |topic: &RoomTopic| node.hub.rooms().wants(*topic);
    let to_join = RoomTopic::all().filter(wanted);
    let to_join = to_join.filter(|topic| !node.room_topics.is_joined(*topic));
    let joined = to_join.map(|topic| async move {
        let Some(name) = topic.name() else {
            return true;
        };
        match node.broker.join(&name).await {
            Ok(()) => {
                node.room_topics.has_joined(topic);
                // What was sent there meanwhile is in the histories.
                node.hub.rooms().doubt(topic);
                true
            }
            Err(error) => {
                tracing::debug!(
                    target: crate::log_targets::BROKER, %name, error = %Chain(&error),
                    "a topic of rooms could not be joined yet",
                );
                node.room_topics.has_failed(topic, error);
                false
            }
        }
    });
    let joined = stream::iter(joined).buffer_unordered(AT_ONCE);
    joined.fold(true, async |all, joined| all && joined).await
}

async fn leave_what_is_idle(node: &Node) {
    for topic in RoomTopic::all() {
        let is_idle = || !node.hub.rooms().wants(topic);
        let since = node.room_topics.idle_since(topic, is_idle());
        if since.is_none_or(|since| since + GRACE > Instant::now()) {
            continue;
        }
        // Who comes from here on waits until it is joined again.
        node.room_topics.is_left(topic);
        if !is_idle() {
            node.room_topics.has_joined(topic);
            continue;
        }
        if let Some(name) = topic.name()
            && let Err(error) = node.broker.leave(&name).await
        {
            // It is received for nothing, until it is joined or the link is made anew.
            tracing::debug!(
                target: crate::log_targets::BROKER, %name, error = %Chain(&error),
                "a topic of rooms could not be left",
            );
        }
    }
}
