//! Presence in the background: leases are renewed, and sessions that leave are taken out, both in
//! batches.

use std::{
    ops::Range,
    pin::pin,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::SeqCst},
    time::Duration,
};

use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, OptionFuture},
};
use realtime_core::presence::{Presence, PresenceError, PresenceEvent, PresenceEvents, SessionKey};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};

use crate::{ErrorStage, Session, health::Link, shared::Shared};

/// How many sessions one call names.
const BATCH: usize = 500;
/// How soon after a failure all leases are renewed again: at first, and at the latest.
const AGAIN: Range<Duration> = Duration::from_secs(1)..Duration::from_secs(3);
/// Over how long all leases are renewed when a link is back, so that nodes don't do it together.
const SPREAD: Duration = Duration::from_secs(2);

/// Who wants to be taken out of presence, and waits for it.
#[derive(Debug)]
pub(crate) struct Leaving {
    sender: mpsc::Sender<Goodbye>,
    receiver: Mutex<Option<mpsc::Receiver<Goodbye>>>,
}

type Outcome = Result<(), Arc<PresenceError>>;

#[derive(Debug)]
struct Goodbye {
    session: SessionKey,
    done: oneshot::Sender<Outcome>,
}

impl Leaving {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(BATCH);
        Self {
            sender,
            receiver: Mutex::new(Some(receiver)),
        }
    }
}

/// Takes a session out of presence, together with others that leave at the same time.
pub(crate) async fn unregister(shared: &Shared, session: &Session) -> Outcome {
    let (done, told) = oneshot::channel();
    let session = session.key();
    let goodbye = Goodbye { session, done };
    if let Err(mpsc::error::SendError(goodbye)) = shared.leaving.sender.send(goodbye).await {
        // The background has ended already: a session that outlived the shutdown.
        let alone = [goodbye.session];
        return shared.presence.unregister(&alone).await.map_err(Arc::new);
    }
    // Without an answer the background has ended; then the lease ends the session.
    told.await.unwrap_or(Ok(()))
}

/// Begins to look after presence, once, from the first session or the start on.
pub(crate) fn spawn(shared: &Arc<Shared>) {
    if shared.leasing.swap(true, SeqCst) {
        return;
    }
    let receiver = &shared.leaving.receiver;
    let leaving = receiver
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if let Some(leaving) = leaving {
        shared
            .background
            .spawn(take_out(Arc::clone(shared), leaving));
    }
    let events = shared.presence.events();
    shared.background.spawn(renew(Arc::clone(shared), events));
}

async fn take_out(shared: Arc<Shared>, mut leaving: mpsc::Receiver<Goodbye>) {
    let mut batch = Vec::new();
    loop {
        let received = tokio::select! {
            biased;
            received = leaving.recv_many(&mut batch, BATCH) => received,
            // By then every session has ended.
            () = shared.stop.cancelled() => return,
        };
        if received == 0 {
            return;
        }
        let (keys, waiting): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|g| (g.session, g.done)).unzip();
        let outcome = shared.presence.unregister(&keys).await.map_err(Arc::new);
        for done in waiting {
            let _nobody_waits = done.send(outcome.clone());
        }
    }
}

/// Says that a session could not be registered. It is with the next renewal, which comes soon.
pub(crate) fn register_later(shared: &Shared) {
    shared.register_later.notify_one();
}

async fn renew(shared: Arc<Shared>, events: PresenceEvents) {
    let mut events = events.fuse();
    let ttl = shared.config.presence_ttl;
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
            () = shared.stop.cancelled() => return,
            () = std::future::ready(()), if is_back => SPREAD,
            Some(event) = events.next() => {
                is_back = heard(&shared, event);
                continue;
            }
            () = shared.renew_now.notified() => SPREAD,
            () = shared.register_later.notified() => {
                again = again.or_else(|| Some(soon(pause)));
                continue;
            }
            Some(()) = timer => Duration::ZERO,
        };
        // A store that is down is asked only when leases are due, since a part of it may work. All
        // of them are renewed when it is back.
        let is_due = due.is_some_and(|due| due <= Instant::now());
        if !is_due && matches!(shared.presence_link.link(), Link::Down { .. }) {
            again = None;
            continue;
        }
        is_back = false;
        let mut renewal = pin!(renew_all(&shared, ttl, spread));
        let renewed = loop {
            tokio::select! {
                biased;
                () = shared.stop.cancelled() => return,
                Some(event) = events.next() => is_back = heard(&shared, event),
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
fn heard(shared: &Shared, event: PresenceEvent) -> bool {
    match event {
        PresenceEvent::Down { cause } => {
            let error = format!("presence is down: {cause}");
            shared.presence_link.turn(Link::Down { cause });
            shared.stats.presence_outages.add(1);
            shared.report(ErrorStage::Presence, error, None);
            false
        }
        PresenceEvent::Up => {
            let (before, lasted) = shared.presence_link.turn(Link::Up);
            if let Link::Down { .. } = before {
                tracing::warn!(target: crate::log_targets::PRESENCE, ?lasted, "presence is up again");
            }
            true
        }
        _ => false,
    }
}

/// Returns whether all leases are renewed.
async fn renew_all(shared: &Shared, ttl: Option<Duration>, spread: Duration) -> bool {
    let sessions = shared.hub.all();
    let pause = spread / (sessions.len() / BATCH + 1) as u32;
    let mut failed = None;
    for batch in sessions.chunks(BATCH) {
        if !spread.is_zero() {
            tokio::time::sleep(pause.mul_f64(fastrand::f64())).await;
        }
        if let Err(error) = renew_batch(shared, batch, ttl).await {
            failed = Some(error);
        }
    }
    let renewed = failed.is_none();
    if let Some(error) = failed {
        shared.report(ErrorStage::Presence, error, None);
    }
    renewed
}

async fn renew_batch(
    shared: &Shared,
    batch: &[Session],
    ttl: Option<Duration>,
) -> Result<(), PresenceError> {
    let keys: Vec<_> = batch.iter().map(Session::key).collect();
    let lost = shared.presence.renew(&keys, ttl).await?;
    // Only what the hub still holds open is registered again, and what closed meanwhile is
    // unregistered once more: a session that has gone must not come back.
    let open = |id| shared.hub.get(id).filter(|session| !session.is_closed());
    let again: Vec<_> = lost.iter().filter_map(|key| open(key.session)).collect();
    if again.is_empty() {
        return Ok(());
    }
    let infos: Vec<_> = again.iter().map(Session::info).collect();
    shared.presence.register(&infos, ttl).await?;
    let gone = again.iter().filter(|session| open(session.id()).is_none());
    let gone: Vec<_> = gone.map(Session::key).collect();
    shared.presence.unregister(&gone).await
}
