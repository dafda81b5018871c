//! What other nodes have revoked, and this one may not have heard of: looked up in the store again
//! and again, where nodes share one.

use std::{sync::Arc, time::Duration};

use realtime_core::revocation::Revocations;
use tokio::time::{Instant, sleep_until};

use crate::{ErrorStage, escape::Chain, health::Link, identities::revocation, node::Node};

/// How often. A revocation that was heard of is done at once; this is for who was cut off.
const EVERY: Duration = Duration::from_secs(3);

/// Closes sessions whose tokens were revoked, until the gateway ends.
pub(super) async fn run(node: Arc<Node>) {
    if !node.has_store_of_revocations {
        return node.stop.cancelled().await;
    }
    let mut from = 0;
    let mut next = Instant::now();
    loop {
        tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            () = sleep_until(next) => {}
        }
        match node.revocations.since(from).await {
            Ok(found) => {
                let (before, lasted) = node.revocations_link.turn(Link::Up);
                if let Link::Down { .. } = before {
                    let said = format!("the store of revocations is up again, after {lasted:?}");
                    node.reports.link(ErrorStage::Authentication, said);
                }
                let revocations = &found.revocations;
                // Who comes is asked about in the store, which had all but the last of them long
                // before.
                if !found.more {
                    revocation::hear(&node, revocations);
                }
                if !revocations.is_empty() {
                    revocation::close(&node, revocations).await;
                }
                from = found.next;
                if found.more {
                    continue;
                }
            }
            Err(error) => {
                let cause = Chain(&error).to_string();
                let said = format!("the store of revocations is down: {cause}");
                let (before, _) = node.revocations_link.turn(Link::Down { cause });
                if !matches!(before, Link::Down { .. }) {
                    node.stats().revocation_outages.add(1);
                    node.reports.link(ErrorStage::Authentication, said);
                }
            }
        }
        next = Instant::now() + EVERY;
    }
}
