//! Presence in the background: leases are renewed, and sessions that leave are removed, both in
//! batches.

use std::{ops::Range, pin::pin, sync::Arc, time::Duration};

use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, OptionFuture},
};
use realtime_core::presence::{Presence, PresenceError, PresenceEvent};
use tokio::time::{Instant, sleep_until};

use crate::{ErrorStage, Session, health::Link, node::Node, registry::BATCH};

/// How soon after a failure all leases are renewed again: at first, and at the latest.
const AGAIN: Range<Duration> = Duration::from_secs(1)..Duration::from_secs(3);
/// Over how long all leases are renewed when a link is back, so that nodes don't do it together.
const SPREAD: Duration = Duration::from_secs(2);

/// Removes those from presence who leave, in batches.
pub(super) async fn remove(node: Arc<Node>) {
    let mut left = node.registry.left.borrowed().await;
    let mut batch = Vec::new();
    loop {
        let Some(leaving) = left.value() else { return };
        let received = tokio::select! {
            biased;
            received = leaving.recv_many(&mut batch, BATCH) => received,
            // By then every session has ended.
            () = node.stop.cancelled() => break,
        };
        if received == 0 {
            break;
        }
        let (keys, waiting): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|l| (l.session, l.done)).unzip();
        let outcome = node.registry.presence.unregister(&keys).await;
        let outcome = outcome.map_err(Arc::new);
        for done in waiting {
            let _nobody_waits = done.send(outcome.clone());
        }
    }
    // Those that come later find nobody here, and call presence themselves.
    left.forget();
}

/// Renews leases until the gateway ends.
pub(super) async fn renew(node: Arc<Node>) {
    node.listen_to_presence();
    let mut events = tokio::select! {
        biased;
        () = node.stop.cancelled() => return,
        events = node.presence_events.borrowed() => events,
    };
    let Some(events) = events.value() else { return };
    let ttl = node.registry.ttl;
    let mut due = ttl.map(next);
    // A hiccup that is too short to count as an outage must not hide anybody until the leases are
    // due, nor for ever where there are none.
    let (mut again, mut pause) = (None, AGAIN.start);
    let mut is_back = false;
    loop {
        let timer: OptionFuture<BoxFuture<'_, ()>> = [due, again]
            .into_iter()
            .flatten()
            .min()
            .map(|at| sleep_until(at).boxed())
            .into();
        let spread = tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            () = std::future::ready(()), if is_back => SPREAD,
            Some(event) = events.next() => {
                is_back = on_event(&node, event);
                continue;
            }
            () = node.registry.renew_now.notified() => SPREAD,
            () = node.registry.register_later.notified() => {
                again = again.or_else(|| Some(soon(pause)));
                continue;
            }
            Some(()) = timer => Duration::ZERO,
        };
        // A store that is down is asked only when leases are due, since a part of it may work. All
        // of them are renewed when it is back.
        let is_due = due.is_some_and(|due| due <= Instant::now());
        if !is_due && matches!(node.registry.link.link(), Link::Down { .. }) {
            again = None;
            continue;
        }
        is_back = false;
        let mut renewal = pin!(renew_all(&node, ttl, spread));
        let renewed = loop {
            tokio::select! {
                biased;
                () = node.stop.cancelled() => return,
                Some(event) = events.next() => is_back = on_event(&node, event),
                renewed = &mut renewal => break renewed,
            }
        };
        due = ttl.map(next);
        (again, pause) = if renewed {
            (None, AGAIN.start)
        } else {
            (Some(soon(pause)), AGAIN.end.min(pause * 2))
        };
    }
}

/// This long from now, and a tenth at random, so that nodes don't try together.
fn soon(pause: Duration) -> Instant {
    Instant::now() + pause.mul_f64(0.9 + fastrand::f64() / 5.0)
}

/// A third of the lease from now, and a tenth at random, so that nodes don't renew together.
fn next(ttl: Duration) -> Instant {
    Instant::now() + ttl.div_f64(3.0).mul_f64(0.9 + fastrand::f64() / 5.0)
}

/// Takes note of what happens to the store. Returns whether it is back.
fn on_event(node: &Node, event: PresenceEvent) -> bool {
    match event {
        PresenceEvent::Down { cause } => {
            let error = format!("presence is down: {cause}");
            node.registry.link.turn(Link::Down { cause });
            node.stats().presence_outages.add(1);
            node.report(ErrorStage::Presence, error, None);
            false
        }
        PresenceEvent::Up => {
            let (before, lasted) = node.registry.link.turn(Link::Up);
            if let Link::Down { .. } = before {
                tracing::warn!(target: crate::log_targets::PRESENCE, ?lasted, "presence is up again");
            }
            true
        }
        _ => false,
    }
}

/// Returns whether all leases are renewed.
async fn renew_all(node: &Node, ttl: Option<Duration>, spread: Duration) -> bool {
    let sessions = node.hub.all();
    let pause = spread / (sessions.len() / BATCH + 1) as u32;
    let mut failed = None;
    for batch in sessions.chunks(BATCH) {
        if !spread.is_zero() {
            tokio::time::sleep(pause.mul_f64(fastrand::f64())).await;
        }
        if let Err(error) = renew_batch(node, batch, ttl).await {
            failed = Some(error);
        }
    }
    let renewed = failed.is_none();
    if let Some(error) = failed {
        node.report(ErrorStage::Presence, error, None);
    }
    renewed
}

async fn renew_batch(
    node: &Node,
    batch: &[Session],
    ttl: Option<Duration>,
) -> Result<(), PresenceError> {
    let keys: Vec<_> = batch.iter().map(Session::key).collect();
    let lost = node.registry.presence.renew(&keys, ttl).await?;
    // Only what the hub still holds open is registered again, and what closed meanwhile is
    // unregistered once more: a session that has gone must not come back.
    let open = |id| node.hub.get(id).filter(|session| !session.is_closed());
    let again: Vec<_> = lost.iter().filter_map(|key| open(key.session)).collect();
    if again.is_empty() {
        return Ok(());
    }
    let infos: Vec<_> = again.iter().map(Session::info).collect();
    node.registry.presence.register(&infos, ttl).await?;
    let gone = again.iter().filter(|session| open(session.id()).is_none());
    let gone: Vec<_> = gone.map(Session::key).collect();
    node.registry.presence.unregister(&gone).await
}
