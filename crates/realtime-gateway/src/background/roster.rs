//! Tells the roster who comes and who goes on this node, and renews what it was told.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures::future::pending;
use realtime_core::presence::{
    AnyRoster, Change, Entered, Failure, Group, Member, PresenceError, PresenceErrorKind, Roster,
};
use tokio::time::{Instant, sleep_until, timeout};

use crate::{
    ErrorStage,
    hub::News,
    node::Node,
    registry::{BATCH, SPREAD},
};

/// How soon it is tried again where telling has failed: at first, and when it does so all the time.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// The grace of those who have none, when their node ends.
const SHORTEST: Duration = Duration::from_millis(1);
/// How long what is left may take when the gateway ends.
const LAST: Duration = Duration::from_secs(1);

/// Tells and renews until the gateway ends, where it is kept who is in any room or online.
pub(super) async fn run(node: Arc<Node>) {
    let Some(roster) = &node.registry.roster else {
        return node.stop.cancelled().await;
    };
    let attendance = node.hub.attendance();
    // What it was about, should it have died.
    attendance.restart();
    let mut renewal = Instant::now() + period(&node);
    let (mut again, mut pause) = (None, FIRST);
    let work = async {
        loop {
            tokio::select! {
                biased;
                () = node.registry.renew_groups_now.notified() => {
                    // Not all nodes at once.
                    let soon = Instant::now() + SPREAD.mul_f64(fastrand::f64());
                    renewal = renewal.min(soon);
                    again = again.map(|again: Instant| again.max(soon));
                }
                () = sleep_until(renewal) => {
                    let all = renew(&node, roster).await;
                    renewal = Instant::now() + if all { period(&node) } else { FIRST * 2 };
                }
                () = at(again) => {
                    // First of all whether it has forgotten, or it would find nothing to take out.
                    let _all = renew(&node, roster).await;
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
    let _never: Option<()> = node.stop.run_until_cancelled(work).await;
    // By now every session has ended. What this node has said lasts for no more than the grace.
    let grace = node.config.presence_grace.unwrap_or(SHORTEST);
    let ended = renew_for(&node, roster, Some(grace));
    let _in_time = timeout(LAST, ended).await;
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}

/// A third of the lease, and a tenth at random. Without one it is asked now and then whether the
/// roster still knows.
fn period(node: &Node) -> Duration {
    let third = node.registry.ttl.map_or(LONGEST, |ttl| ttl / 3);
    third.mul_f64(0.9 + fastrand::f64() / 5.0)
}

/// Returns whether the roster knows it all.
async fn tell(node: &Node, roster: &AnyRoster, news: News) -> bool {
    let attendance = node.hub.attendance();
    let News {
        came,
        again,
        mut gone,
    } = news;
    if node.registry.is_away() {
        // Nobody who joins waits for a store that isn't there.
        attendance.has_failed(came.into_iter().chain(gone));
        return false;
    }
    let mut all = true;
    if !came.is_empty() {
        let entered = roster.enter(&node.info, &came, node.registry.ttl).await;
        let failed = match entered {
            Ok(Entered {
                changes, failed, ..
            }) => {
                if failed.len() < came.len() {
                    node.registry.has_served(true);
                }
                let is_known = |change: &Change| again.contains(&change.member);
                let (known, new): (Vec<_>, Vec<_>) = changes.into_iter().partition(is_known);
                node.registry.changes.add(new);
                forget(roster, &known).await;
                Ok(failed)
            }
            Err(error) => Err(error),
        };
        let failed = settle(node, came, failed, true);
        // Of whom the roster isn't told that they are here, it can't tell that they have gone.
        gone.retain(|member| !failed.contains(member));
        all &= failed.is_empty();
    }
    if !gone.is_empty() {
        let grace = node.config.presence_grace.unwrap_or_default();
        let left = roster.leave(&node.info, &gone, grace).await;
        let failed = settle(node, gone, left.map(|departed| departed.failed), false);
        all &= failed.is_empty();
    }
    all
}

/// Everybody has known of these before the roster forgot them.
async fn forget(roster: &AnyRoster, known: &[Change]) {
    if !known.is_empty() {
        // Where that fails it is told once more than need be.
        let _handed_out_again = roster.confirm(known).await;
    }
}

/// Notes what has become of these. Returns those for whom it has failed.
fn settle(
    node: &Node,
    members: Vec<Member>,
    outcome: Result<Vec<Failure<Member>>, PresenceError>,
    are_here: bool,
) -> HashSet<Member> {
    let attendance = node.hub.attendance();
    let failures = match outcome {
        Ok(failures) => failures,
        Err(error) => {
            report(node, members.len(), members.len(), &error);
            attendance.has_failed(members.iter().cloned());
            return members.into_iter().collect();
        }
    };
    if let Some(first) = failures.first() {
        report(node, failures.len(), members.len(), &first.error);
    }
    let failed: HashSet<Member> = failures.into_iter().map(|failure| failure.key).collect();
    let told = members
        .into_iter()
        .filter(|member| !failed.contains(member));
    let told: Vec<Member> = told.collect();
    attendance.has_told(&told, are_here);
    attendance.has_failed(failed.iter().cloned());
    failed
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

/// Renews what was told of groups, and tells anew of those that the roster doesn't know. Returns
/// whether all are renewed.
async fn renew(node: &Node, roster: &AnyRoster) -> bool {
    renew_for(node, roster, node.registry.ttl).await
}

async fn renew_for(node: &Node, roster: &AnyRoster, ttl: Option<Duration>) -> bool {
    let attendance = node.hub.attendance();
    let groups: Vec<(Group, u64)> = attendance.groups();
    let (mut failed, mut first) = (0, None);
    for batch in groups.chunks(BATCH) {
        match roster.renew(&node.info, batch, ttl).await {
            Ok(prolonged) => {
                for group in &prolonged.unknown {
                    attendance.is_unknown(group);
                }
                failed += prolonged.failed.len();
                first = first.or(prolonged.failed.into_iter().next().map(|f| f.error));
            }
            // The others may fare better.
            Err(error) => {
                failed += batch.len();
                first.get_or_insert(error);
            }
        }
    }
    if let Some(error) = &first {
        report(node, failed, groups.len(), error);
    }
    first.is_none()
}
