//! A broker whose messages have ended is joined again.

use std::{ops::Range, time::Duration};

use realtime_core::broker::{Broker, BrokerErrorKind, Subscription};

use crate::{escape::Chain, node::Node};

/// How long it is waited before each attempt: at first, and at the longest.
const PAUSE: Range<Duration> = Duration::from_millis(200)..Duration::from_secs(5);

/// Subscribes anew, whatever it takes. Cancel safe.
pub(super) async fn rejoin(node: &Node) -> Subscription {
    // Who joins a room waits until the topic is joined again.
    node.room_topics.begin(&[]);
    let mut longest = PAUSE.start;
    let mut is_told = false;
    loop {
        // Not all nodes at the same time.
        tokio::time::sleep(longest.mul_f64(0.5 + 0.5 * fastrand::f64())).await;
        let (join, topics) = node.to_join();
        match node.broker.subscribe(join).await {
            Ok(messages) => {
                node.room_topics.begin(&topics);
                return messages;
            }
            // By the application, which has a handle on it.
            Err(error) if error.kind() == BrokerErrorKind::Closed => {
                return std::future::pending().await;
            }
            Err(error) if !is_told => {
                is_told = true;
                tracing::warn!(
                    target: crate::log_targets::BROKER, error = %Chain(&error),
                    "the broker, whose messages have ended, can't be joined again yet",
                );
            }
            Err(_) => {}
        }
        longest = PAUSE.end.min(longest * 2);
    }
}
