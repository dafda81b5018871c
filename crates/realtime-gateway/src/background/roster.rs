//! Tells the roster who comes and who goes on this node, and renews what it was told.

use std::{sync::Arc, time::Duration};

use futures::future::{join, pending};
use realtime_core::presence::{
    AnyRoster, Failure, Group, Member, PresenceError, PresenceErrorKind, Roster,
};
use tokio::time::{Instant, sleep_until, timeout};

use crate::{
    ErrorStage,
    health::Link,
    hub::News,
    node::Node,
    registry::{BATCH, SPREAD},
};

/// How soon it is tried again where telling has failed: at first, and when it does so all the time.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// How long what is left may take when the gateway ends.
const LAST: Duration = Duration::from_secs(1);

/// Tells and renews until the gateway ends, where it is kept who is in any room or online.
pub(super) async fn run(node: Arc<Node>) {
    let Some(roster) = &node.registry.roster else {
        return node.stop.cancelled().await;
    };
    let (attendance, ttl) = (node.hub.attendance(), node.registry.ttl);
    // What it was about, should it have died.
    attendance.restart();
    let mut renewal = ttl.map(next);
    let (mut again, mut pause) = (None, FIRST);
    let work = async {
        loop {
            tokio::select! {
                biased;
                () = node.registry.renew_groups_now.notified() => {
                    // Not all nodes at once.
                    tokio::time::sleep(SPREAD.mul_f64(fastrand::f64())).await;
                    attendance.again();
                    renew(&node, roster).await;
                }
                () = at(renewal) => {
                    renew(&node, roster).await;
                    renewal = ttl.map(next);
                }
                () = at(again) => {
                    attendance.again();
                    again = None;
                }
                () = attendance.news() => {
                    let told = tell(&node, roster, attendance.next(BATCH)).await;
                    pause = if told { FIRST } else { LONGEST.min(pause * 2) };
                }
            }
            if again.is_none() && attendance.has_failures() {
                again = Some(Instant::now() + pause.mul_f64(0.9 + fastrand::f64() / 5.0));
            }
        }
    };
    node.stop.run_until_cancelled(work).await;
    // By now every session has ended.
    let rest = async {
        attendance.restart();
        loop {
            let news = attendance.next(BATCH);
            if news.is_empty() || !tell(&node, roster, news).await {
                return;
            }
        }
    };
    let _in_time = timeout(LAST, rest).await;
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}

/// A third of the lease from now, and a tenth at random.
fn next(ttl: Duration) -> Instant {
    Instant::now() + ttl.div_f64(3.0).mul_f64(0.9 + fastrand::f64() / 5.0)
}

/// Returns whether the roster knows it all.
async fn tell(node: &Node, roster: &AnyRoster, news: News) -> bool {
    let attendance = node.hub.attendance();
    let News { came, gone } = news;
    if let Link::Down { .. } = node.registry.link.link() {
        // Nobody who joins waits for a store that isn't there.
        attendance.has_failed(came.into_iter().chain(gone));
        return false;
    }
    let entered = async {
        if came.is_empty() {
            return Ok(Vec::new());
        }
        let entered = roster.enter(&node.info, &came, node.registry.ttl).await?;
        node.registry.changes.add(entered.changes);
        Ok(entered.failed)
    };
    let left = async {
        if gone.is_empty() {
            return Ok(Vec::new());
        }
        let grace = node.config.presence_grace.unwrap_or_default();
        let departed = roster.leave(&node.info, &gone, grace).await?;
        Ok(departed.failed)
    };
    let (entered, left) = join(entered, left).await;
    let came = settle(node, came, entered, true);
    let gone = settle(node, gone, left, false);
    came && gone
}

/// Notes what has become of these. Returns whether all went well.
fn settle(
    node: &Node,
    members: Vec<Member>,
    outcome: Result<Vec<Failure<Member>>, PresenceError>,
    are_here: bool,
) -> bool {
    let attendance = node.hub.attendance();
    let failures = match outcome {
        Ok(failures) => failures,
        Err(error) => {
            report(node, members.len(), members.len(), &error);
            attendance.has_failed(members);
            return false;
        }
    };
    let Some(first) = failures.first() else {
        attendance.has_told(&members, are_here);
        return true;
    };
    report(node, failures.len(), members.len(), &first.error);
    let failed: Vec<Member> = failures.into_iter().map(|failure| failure.key).collect();
    let told: Vec<Member> = members
        .into_iter()
        .filter(|member| !failed.contains(member))
        .collect();
    attendance.has_told(&told, are_here);
    attendance.has_failed(failed);
    false
}

fn report(node: &Node, failed: usize, of: usize, error: &PresenceError) {
    if error.kind() == PresenceErrorKind::Closed {
        return;
    }
    let context = format!(
        "{failed} of {of} comings and goings could not be noted in presence, and are tried again; \
         the source says why the first of them"
    );
    let error = PresenceError::new(error.kind(), context).with_source(error.clone());
    node.report(ErrorStage::Presence, error, None);
}

/// Renews what was told of groups, and tells anew of those that the roster doesn't know.
async fn renew(node: &Node, roster: &AnyRoster) {
    let attendance = node.hub.attendance();
    let groups: Vec<(Group, u64)> = attendance.groups();
    for batch in groups.chunks(BATCH) {
        match roster.renew(&node.info, batch, node.registry.ttl).await {
            Ok(prolonged) => {
                attendance.are_unknown(&prolonged.unknown);
                if let Some(first) = prolonged.failed.first() {
                    report(node, prolonged.failed.len(), batch.len(), &first.error);
                }
            }
            // The lease lasts for two more of these.
            Err(error) => return report(node, batch.len(), groups.len(), &error),
        }
    }
}
