//! Sessions that have ended leave presence, in batches. What fails is tried again until it is
//! confirmed, or the lease has run out.

use std::{sync::Arc, time::Duration};

use futures::future::join;
use realtime_core::presence::Presence;
use tokio::time::timeout;

use crate::{
    ErrorStage,
    node::Node,
    registry::{Batch, Departures},
};

/// How long what is left is tried once more when the gateway ends.
const LAST: Duration = Duration::from_secs(1);

/// Removes those who leave, until the gateway ends.
pub(super) async fn run(node: Arc<Node>) {
    let departures = &node.registry.departures;
    // Beside each other: those who leave now don't wait for those that the store refuses.
    let work = join(
        remove_fresh(&node, departures),
        remove_again(&node, departures),
    );
    tokio::select! {
        biased;
        // By then every session has ended.
        () = node.stop.cancelled() => {}
        ((), ()) = work => {}
    }
    let _in_time = timeout(LAST, remove_the_rest(&node, departures)).await;
    // Those that come later find nobody here, and call presence themselves.
    departures.close();
}

async fn remove_fresh(node: &Node, departures: &Departures) {
    loop {
        let batch = departures.fresh().await;
        remove(node, batch).await;
    }
}

async fn remove_again(node: &Node, departures: &Departures) {
    loop {
        departures.due().await;
        loop {
            let batch = departures.due_now();
            if batch.is_empty() {
                break;
            }
            if !remove(node, batch).await {
                // The others would fare no better, and are the first next time.
                departures.postpone();
            }
        }
        report(node, departures);
    }
}

async fn remove_the_rest(node: &Node, departures: &Departures) {
    loop {
        let batch = departures.any();
        if batch.is_empty() || !remove(node, batch).await {
            return;
        }
    }
}

/// Returns whether the store has answered.
async fn remove(node: &Node, batch: Batch<'_>) -> bool {
    let answer = node.registry.presence.unregister(&batch.sessions()).await;
    batch.answered(&answer);
    answer.is_ok()
}

fn report(node: &Node, departures: &Departures) {
    if let Some(given_up) = departures.to_report() {
        let error = format!(
            "{given_up} sessions that have ended may still be in presence: it was not told of \
             them in time; their leases end them, where they have one \
             (Stats::departures_given_up counts on)"
        );
        node.report(ErrorStage::Presence, error, None);
    }
}
