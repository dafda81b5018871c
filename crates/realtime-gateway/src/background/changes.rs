//! Tells of those who came into rooms, or online, and of those who have gone: hooks, and the members
//! of the room.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, future::BoxFuture, stream};
use realtime_core::presence::{AnyRoster, Change, Roster};

use crate::{
    ErrorStage,
    health::Link,
    hook_call::{Failed, call_hook},
    node::Node,
    rooms::announce,
};

/// How often the roster is asked who has gone.
const LOOK: Duration = Duration::from_secs(1);
/// How many it tells of at once.
const MOST: usize = 256;

/// Tells until the gateway ends, where it is kept who is in any room or online.
pub(super) async fn run(node: Arc<Node>) {
    let Some(roster) = &node.registry.roster else {
        return node.stop.cancelled().await;
    };
    let look = look(&node, roster);
    let tell = async {
        loop {
            let changes = node.registry.changes.next().await;
            let told: Vec<BoxFuture<'_, ()>> =
                changes.iter().map(|change| tell(&node, change)).collect();
            let at_once = told.len().max(1);
            stream::iter(told)
                .buffer_unordered(at_once)
                .for_each(async |()| {})
                .await;
            if let Err(error) = roster.confirm(&changes).await {
                // They are handed out again, maybe to another node.
                node.report(ErrorStage::Presence, error, None);
            }
        }
    };
    let work = futures::future::join(look, tell);
    let _never: Option<((), ())> = node.stop.run_until_cancelled(work).await;
}

/// Asks the roster again and again who has gone.
async fn look(node: &Node, roster: &AnyRoster) {
    loop {
        tokio::time::sleep(LOOK.mul_f64(0.9 + fastrand::f64() / 5.0)).await;
        // A node that ends leaves it to others, who can still tell the members of rooms.
        if node.is_draining() || matches!(node.registry.link.link(), Link::Down { .. }) {
            continue;
        }
        match roster.changes(MOST).await {
            Ok(changes) => node.registry.changes.add(changes),
            Err(error) => node.report(ErrorStage::Presence, error, None),
        }
    }
}

fn tell<'a>(node: &'a Node, change: &'a Change) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        if let Err(error) = announce(node, change).await {
            node.report(ErrorStage::Presence, error, None);
        }
        for hook in &node.hooks.presence {
            let called = async { hook(node.host(), change.clone()).await };
            match call_hook(node, called).await {
                Ok(()) => {}
                Err(Failed::Refused(error)) => node.report(ErrorStage::Hook, error, None),
                Err(Failed::Broken(broken)) => node.report(ErrorStage::Hook, broken, None),
            }
        }
    })
}
