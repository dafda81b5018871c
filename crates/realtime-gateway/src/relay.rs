//! What other nodes send, and the renewal of leases: the background tasks of a gateway.

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use futures::StreamExt;
use realtime_core::{
    broker::{
        Broker, BrokerEvent, BrokerMessage, Subscription,
        envelope::{Envelope, Target},
    },
    codec::FrameKind,
    presence::{Presence, PresenceError},
};
use realtime_websocket::{Kind, frame};

use tracing::Instrument;

use crate::{ErrorStage, gateway::hand_over, log::Escaped, shared::Shared};

/// How many leases one call renews.
const BATCH: usize = 500;

pub(crate) fn frame_kind(kind: FrameKind) -> Kind {
    match kind {
        FrameKind::Binary => Kind::Binary,
        FrameKind::Text => Kind::Text,
    }
}

/// Delivers what other nodes publish, and reports what happens to the link.
pub(crate) fn spawn(shared: &Arc<Shared>, mut joined: Subscription) {
    let (relay, mut events) = (Arc::clone(shared), shared.broker.events());
    shared.background.spawn(async move {
        loop {
            tokio::select! {
                biased;
                () = relay.stop.cancelled() => return,
                Some(event) = events.next() => report(&relay, event),
                message = joined.next() => match message {
                    Some(message) => receive(&relay, message).await,
                    None => return,
                },
            }
        }
    });
}

fn report(shared: &Shared, event: BrokerEvent) {
    match event {
        BrokerEvent::Gap { source, missed } => {
            shared.stats.missed_from_nodes.add(missed);
            let error = format!("{missed} messages of node {source} did not arrive");
            shared.report(ErrorStage::Broker, error, None);
        }
        BrokerEvent::Down { cause } => {
            shared.report(
                ErrorStage::Broker,
                format!("the broker is down: {cause}"),
                None,
            );
        }
        BrokerEvent::InvalidMessage { cause } => {
            shared.stats.invalid_broker_messages.add(1);
            shared.report(ErrorStage::Broker, cause, None);
        }
        other => tracing::info!(target: "realtime::broker", event = ?other, "broker"),
    }
}

async fn receive(shared: &Shared, message: BrokerMessage) {
    let source = message.source;
    let envelope = match Envelope::decode(message.data) {
        Ok(envelope) if envelope.codec() == shared.codec.name() => envelope,
        Ok(envelope) => {
            shared.stats.invalid_broker_messages.add(1);
            let (theirs, ours) = (envelope.codec(), shared.codec.name());
            let error = format!("node {source} speaks the codec {theirs:?}; this one {ours:?}");
            return shared.report(ErrorStage::Broker, error, None);
        }
        Err(error) => {
            shared.stats.invalid_broker_messages.add(1);
            return shared.report(ErrorStage::Broker, error, None);
        }
    };
    let frame = frame::server_frame(frame_kind(envelope.kind()), envelope.body());
    let sessions = match envelope.target() {
        Target::Identity(key) => shared.hub.of(key),
        _ => shared.hub.all(),
    };
    let span = envelope.traceparent().map(|traceparent| {
        let traceparent = Escaped(traceparent);
        tracing::info_span!(target: "realtime::relay", "relay", %source, %traceparent)
    });
    let handed_over = hand_over(&sessions, &frame);
    match span {
        Some(span) => handed_over.instrument(span).await,
        None => handed_over.await,
    };
}

/// Renews the leases of all sessions while there are any, from the first session on.
pub(crate) fn renew_leases(shared: &Arc<Shared>) {
    let Some(ttl) = shared.config.presence_ttl else {
        return;
    };
    if shared.leasing.swap(true, SeqCst) {
        return;
    }
    let leases = Arc::clone(shared);
    shared.background.spawn(async move {
        loop {
            // A third of the lease, and a tenth at random, so that nodes don't renew together.
            let pause = ttl.div_f64(3.0).mul_f64(0.9 + fastrand::f64() / 5.0);
            tokio::select! {
                biased;
                () = leases.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            if let Err(error) = renew_all(&leases, ttl).await {
                leases.report(ErrorStage::Presence, error, None);
            }
        }
    });
}

async fn renew_all(shared: &Shared, ttl: Duration) -> Result<(), PresenceError> {
    for batch in shared.hub.all().chunks(BATCH) {
        let keys: Vec<_> = batch.iter().map(crate::Session::key).collect();
        let lost = shared.presence.renew(&keys, Some(ttl)).await?;
        // Only what the hub still holds open is registered again, and what closed meanwhile is
        // unregistered once more: a session that has gone must not come back.
        let open = |id| shared.hub.get(id).filter(|session| !session.is_closed());
        let again: Vec<_> = lost.iter().filter_map(|key| open(key.session)).collect();
        if again.is_empty() {
            continue;
        }
        let infos: Vec<_> = again.iter().map(crate::Session::info).collect();
        shared.presence.register(&infos, Some(ttl)).await?;
        let gone = again.iter().filter(|session| open(session.id()).is_none());
        let gone: Vec<_> = gone.map(crate::Session::key).collect();
        shared.presence.unregister(&gone).await?;
    }
    Ok(())
}
