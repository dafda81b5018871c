//! Tells the recorder of the process, from time to time, what is counted.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use crate::node::Node;

/// How often. Those who scrape do so every 10 s or less often.
const EVERY: Duration = Duration::from_secs(5);

/// Tells it until the gateway ends. The end itself is told by the shutdown, or by the node's drop:
/// after the last of what there is to tell.
pub(super) async fn run(node: Arc<Node>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = node.stop.cancelled() => break,
            _now = ticks.tick() => node.tell_metrics(),
        }
    }
}
