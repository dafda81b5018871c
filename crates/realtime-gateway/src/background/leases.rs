//! Leases are renewed, in batches, and what presence has lost is registered again.
//!
//! A session that fails is tried again by itself, with pauses that grow up to a third of the lease.
//! A store that is down, or a part of it, is asked about some sessions now and then. Where it serves
//! none of them, and can't say who has gone from rooms, it is away: nothing else is asked of it but
//! all leases, when they are due.

use std::{pin::pin, sync::Arc, time::Duration};

use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, OptionFuture},
};
use realtime_core::{
    SessionId,
    presence::{Failure, Presence, PresenceError, PresenceEvent},
};
use tokio::time::{Instant, sleep_until};

use crate::{
    ErrorStage, Session,
    health::Link,
    node::Node,
    registry::{BATCH, SPREAD},
};

/// How often a store that is down is asked whether it serves somebody.
pub(super) const PROBE: Duration = Duration::from_secs(6);

/// What is to be renewed.
#[derive(Debug, Clone, Copy)]
enum Work {
    /// Every session, over this long.
    All(Duration),
    /// Those that have failed, and are to be tried again by now.
    Again,
    /// Some, in one call, to see whether a part of the store works. That it doesn't is no news, which
    /// the link is there for.
    Probe,
}

/// Renews leases until the gateway ends.
pub(super) async fn run(node: Arc<Node>) {
    node.listen_to_presence();
    let mut events = tokio::select! {
        biased;
        () = node.stop.cancelled() => return,
        events = node.presence_events.borrowed() => events,
    };
    let Some(events) = events.value() else { return };
    let registry = &node.registry;
    let mut due = registry.ttl.map(next);
    let mut is_back = false;
    let mut probe: Option<Instant> = None;
    loop {
        // A store that is away is asked only now and then, and when leases are due, since a part of
        // it may work. All of them are renewed when it is back. One that is down and not away may
        // have gone since it last served somebody.
        let (is_down, is_away) = (registry.is_down(), registry.is_away());
        let again = registry.retries.next().filter(|_| !is_away);
        probe = is_down.then(|| probe.unwrap_or_else(next_probe));
        let timer: OptionFuture<BoxFuture<'_, ()>> = [due, again, probe]
            .into_iter()
            .flatten()
            .min()
            .map(|at| sleep_until(at).boxed())
            .into();
        let work = tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            () = std::future::ready(()), if is_back => Work::All(SPREAD),
            Some(event) = events.next() => {
                is_back = on_event(&node, event);
                continue;
            }
            () = registry.renew_now.notified() => match is_away {
                true => continue,
                false => Work::All(SPREAD),
            },
            () = registry.retries.added.notified() => continue,
            Some(()) = timer => if is_over(due) {
                Work::All(Duration::ZERO)
            } else if is_over(probe) {
                Work::Probe
            } else {
                Work::Again
            },
        };
        is_back = false;
        let mut renewal = pin!(renew(&node, work));
        let served = loop {
            tokio::select! {
                biased;
                () = node.stop.cancelled() => return,
                Some(event) = events.next() => is_back = on_event(&node, event),
                served = &mut renewal => break served,
            }
        };
        match work {
            Work::All(_) => {
                due = registry.ttl.map(next);
                probe = None;
            }
            Work::Probe => probe = None,
            Work::Again => {}
        }
        match served {
            Some(true) => registry.has_served(true),
            // Those that have failed before may all be of a part that is away, which says nothing of
            // the others.
            Some(false) if !matches!(work, Work::Again) => registry.has_served(false),
            Some(false) | None => {}
        }
    }
}

fn is_over(at: Option<Instant>) -> bool {
    at.is_some_and(|at| at <= Instant::now())
}

/// With a tenth at random, so that nodes don't ask together.
fn next_probe() -> Instant {
    Instant::now() + PROBE.mul_f64(0.9 + fastrand::f64() / 5.0)
}

/// A third of the lease from now, and a tenth at random, so that nodes don't renew together.
fn next(ttl: Duration) -> Instant {
    Instant::now() + ttl.div_f64(3.0).mul_f64(0.9 + fastrand::f64() / 5.0)
}

/// Takes note of what happens to the store. Returns whether it is back.
fn on_event(node: &Node, event: PresenceEvent) -> bool {
    match event {
        PresenceEvent::Down { cause, .. } => {
            let said = format!("presence is down: {cause}");
            let (before, _) = node.registry.link.turn(Link::Down { cause });
            // Later ones of the same outage say what else is down, or isn't any more.
            if !matches!(before, Link::Down { .. }) {
                node.stats().presence_outages.add(1);
            }
            node.reports.link(ErrorStage::Presence, said);
            false
        }
        PresenceEvent::Up => {
            let (before, lasted) = node.registry.link.turn(Link::Up);
            if let Link::Down { .. } = before {
                let said = format!("presence is up again, after {lasted:?}");
                node.reports.link(ErrorStage::Presence, said);
            }
            node.registry.departures.hurry();
            node.registry.renew_groups_now.notify_one();
            true
        }
        _ => false,
    }
}

/// Returns whether the store has served any of them, where there are any.
async fn renew(node: &Node, work: Work) -> Option<bool> {
    let retries = &node.registry.retries;
    let (sessions, spread) = match work {
        Work::All(spread) => (node.hub.all(), spread),
        Work::Again => (again(node), Duration::ZERO),
        Work::Probe => {
            let mut some = node.hub.all();
            some.truncate(BATCH);
            (some, Duration::ZERO)
        }
    };
    let pause = spread / (sessions.len() / BATCH + 1) as u32;
    let mut failures = Failures::default();
    for batch in sessions.chunks(BATCH) {
        if !spread.is_zero() {
            tokio::time::sleep(pause.mul_f64(fastrand::f64())).await;
        }
        let before = failures.sessions.len();
        renew_batch(node, work, batch, &mut failures).await;
        let failed = failures.sessions.get(before..).unwrap_or_default();
        let well = batch.iter().map(Session::id);
        retries.settled(well.filter(|session| !failed.contains(session)));
    }
    // One that has ended meanwhile is left out, since nobody would ever settle it.
    let failed = failures.sessions.iter().copied();
    retries.failed(failed.filter(|session| is_open(node, *session).is_some()));
    let serves_some = failures.sessions.len() < sessions.len();
    if !matches!(work, Work::Probe) {
        failures.report(node, sessions.len());
    }
    (!sessions.is_empty()).then_some(serves_some)
}

/// Sessions that have failed and are to be tried again by now. Those that have ended are not.
fn again(node: &Node) -> Vec<Session> {
    let due = node.registry.retries.due();
    let (open, ended): (Vec<_>, Vec<_>) = due
        .into_iter()
        .map(|session| (session, is_open(node, session)))
        .partition(|(_, open)| open.is_some());
    let ended = ended.into_iter().map(|(session, _)| session);
    node.registry.retries.settled(ended);
    open.into_iter()
        .filter_map(|(_, session)| session)
        .collect()
}

fn is_open(node: &Node, session: SessionId) -> Option<Session> {
    node.hub.get(session).filter(|session| !session.is_closed())
}

/// Renews some, and registers again what of them the store doesn't know.
async fn renew_batch(node: &Node, work: Work, batch: &[Session], failures: &mut Failures) {
    let (presence, ttl) = (&node.registry.presence, node.registry.ttl);
    let count = |outcome: &'static str, sessions: usize| {
        if !matches!(work, Work::Probe) {
            node.metrics().leases(outcome, sessions);
        }
    };
    let keys: Vec<_> = batch.iter().map(Session::key).collect();
    let lost = match presence.renew(&keys, ttl).await {
        Ok(renewed) => {
            let (failed, unknown) = (renewed.failed.len(), renewed.unknown.len());
            let well = batch.len().saturating_sub(failed + unknown);
            count("renewed", well);
            count("failed", failed);
            failures.add_each(renewed.failed);
            renewed.unknown
        }
        Err(error) => {
            count("failed", batch.len());
            return failures.add_all(batch, error);
        }
    };
    // Only what the hub still holds open is registered again, and what closed meanwhile is
    // unregistered once more: a session that has gone must not come back.
    let open = lost.iter().filter_map(|key| is_open(node, key.session));
    let open: Vec<_> = open.collect();
    if open.is_empty() {
        return;
    }
    let infos: Vec<_> = open.iter().map(Session::info).collect();
    count("lost", open.len());
    match presence.register(&infos, ttl).await {
        Ok(registered) => failures.add_each(registered.failed),
        Err(error) => failures.add_all(&open, error),
    }
    for session in open {
        if is_open(node, session.id()).is_none() {
            node.registry.unregister_later(session.key());
        }
    }
}

/// What failed in one go over some sessions.
#[derive(Debug, Default)]
struct Failures {
    sessions: Vec<SessionId>,
    first: Option<PresenceError>,
}

impl Failures {
    fn add_each(&mut self, failed: Vec<Failure>) {
        for Failure { key, error, .. } in failed {
            self.sessions.push(key.session);
            self.first.get_or_insert(error);
        }
    }

    fn add_all(&mut self, sessions: &[Session], error: PresenceError) {
        self.sessions.extend(sessions.iter().map(Session::id));
        self.first.get_or_insert(error);
    }

    fn report(self, node: &Node, of: usize) {
        let Some(error) = self.first else { return };
        let context = format!(
            "{} of {of} sessions could not be renewed in presence, and are tried again; the \
             source says why the first of them",
            self.sessions.len()
        );
        let error = PresenceError::new(error.kind(), context).with_source(error);
        node.report(ErrorStage::Presence, error, None);
    }
}
