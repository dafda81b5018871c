//! Tells of those who came into rooms, or online, and of those who have gone: the members of the
//! room, and then the hooks.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, join},
    stream::FuturesUnordered,
};
use realtime_core::presence::{AnyRoster, Change, Member, Roster};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use super::leases::PROBE;
use crate::{
    ErrorStage,
    hook_call::{Failed, call_hook_within},
    node::Node,
    registry::Handed,
    rooms::announce,
};

/// How often the roster is asked who has gone.
const LOOK: Duration = Duration::from_secs(1);
/// How many it tells of at once.
const MOST: usize = 256;
/// Of how many changes the hooks are told at the same time.
const AT_ONCE: usize = 64;
/// How long a hook may take at the most: past that, another node might tell of the change, too.
const HOOK: Duration = Duration::from_secs(5);
/// How long the hooks that have begun may take when the gateway ends.
const LAST: Duration = Duration::from_secs(1);

/// Tells until the gateway ends, where it is kept who is in any room or online.
pub(super) async fn run(node: Arc<Node>) {
    let Some(roster) = &node.registry.roster else {
        return node.stop.cancelled().await;
    };
    // What its predecessor was about, should it have died, is handed out again.
    node.registry.changes.give_up();
    let announced = Notify::new();
    let work = join(look(&node, roster), announce_all(&node, roster, &announced));
    let work = node.stop.run_until_cancelled(work);
    let (_never, ()) = join(work, call_hooks(&node, roster, &announced)).await;
}

/// Asks the roster again and again who has gone: one that is away only now and then, since a part of
/// it may be there again that no session of this node is on.
async fn look(node: &Node, roster: &AnyRoster) {
    let (registry, changes) = (&node.registry, &node.registry.changes);
    let mut asked = Instant::now();
    loop {
        tokio::time::sleep(LOOK.mul_f64(0.9 + fastrand::f64() / 5.0)).await;
        loop {
            // A node that ends leaves it to others, who can still tell the members of rooms.
            if node.is_ending() || !changes.has_room() {
                break;
            }
            let is_away = registry.is_away();
            if is_away && asked.elapsed() < PROBE {
                break;
            }
            asked = Instant::now();
            match roster.changes(MOST).await {
                Ok(found) => {
                    registry.has_answered(true);
                    let is_all = found.len() < MOST;
                    changes.add(found);
                    if is_all {
                        break;
                    }
                }
                // It would be an answer if any part of the store had one.
                Err(error) => {
                    registry.has_answered(false);
                    // That one that is away has none is no news.
                    if !is_away {
                        node.report(ErrorStage::Presence, error, None);
                    }
                    break;
                }
            }
        }
    }
}

/// Tells the members of rooms, of each room in one message.
async fn announce_all(node: &Node, roster: &AnyRoster, announced: &Notify) {
    let changes = &node.registry.changes;
    loop {
        let fresh = changes.next_fresh(MOST).await;
        if node.is_ending() {
            changes.are_done(&fresh);
            changes.give_up();
            continue;
        }
        let told: Vec<&Change> = fresh.iter().map(|handed| &handed.change).collect();
        for error in announce(node, &told).await {
            // Who didn't hear of it is told of a gap, by which it knows to ask who is there.
            node.report(ErrorStage::Broker, error, None);
        }
        if node.hooks.presence.is_empty() {
            confirm(node, roster, &fresh).await;
        } else {
            changes.are_announced(fresh);
            announced.notify_one();
        }
    }
}

/// Tells the hooks: of many members at the same time, and of one member in order.
async fn call_hooks(node: &Node, roster: &AnyRoster, announced: &Notify) {
    let mut calls: FuturesUnordered<BoxFuture<'_, Handed>> = FuturesUnordered::new();
    let mut busy: HashSet<Member> = HashSet::new();
    loop {
        while calls.len() < AT_ONCE
            && let Some(handed) = node.registry.changes.next_announced(&busy)
        {
            busy.insert(handed.change.member.clone());
            calls.push(Box::pin(async move {
                tell_hooks(node, &handed.change).await;
                handed
            }));
        }
        let first = tokio::select! {
            biased;
            () = node.stop.cancelled() => break,
            () = announced.notified() => continue,
            Some(first) = calls.next() => first,
        };
        let mut told = vec![first];
        while let Some(Some(next)) = calls.next().now_or_never() {
            told.push(next);
        }
        for handed in &told {
            busy.remove(&handed.change.member);
        }
        confirm(node, roster, &told).await;
    }
    let rest = async {
        let told: Vec<Handed> = calls.collect().await;
        confirm(node, roster, &told).await;
    };
    let _in_time = timeout(LAST, rest).await;
}

async fn tell_hooks(node: &Node, change: &Change) {
    let limit = node.config.hook_timeout.unwrap_or(HOOK).min(HOOK);
    for hook in &node.hooks.presence {
        let called = async { hook(node.host(), change.clone()).await };
        match call_hook_within(node, Some(limit), called).await {
            Ok(()) => {}
            Err(Failed::Refused(error)) => node.report(ErrorStage::Hook, error, None),
            Err(Failed::Broken(broken)) => node.report(ErrorStage::Hook, broken, None),
        }
    }
}

async fn confirm(node: &Node, roster: &AnyRoster, told: &[Handed]) {
    let confirmed: Vec<Change> = told.iter().map(|handed| handed.change.clone()).collect();
    if let Err(error) = roster.confirm(&confirmed).await {
        // They are handed out again, maybe to another node.
        node.report(ErrorStage::Presence, error, None);
    }
    node.registry.changes.are_done(told);
}
