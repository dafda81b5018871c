//! What other nodes send, and what happens to the link to them.

use std::sync::Arc;

use futures::StreamExt;
use realtime_core::{
    broker::{
        BrokerEvent, BrokerEvents, BrokerMessage, Subscription,
        envelope::{Envelope, Target},
    },
    codec::FrameKind,
};
use realtime_websocket::{Kind, frame};

use tracing::Instrument;

use crate::{ErrorStage, gateway::hand_over, health::Link, log::Escaped, shared::Shared};

pub(crate) fn frame_kind(kind: FrameKind) -> Kind {
    match kind {
        FrameKind::Binary => Kind::Binary,
        FrameKind::Text => Kind::Text,
    }
}

/// Delivers what other nodes publish, and reports what happens to the link.
pub(crate) fn spawn(shared: &Arc<Shared>, mut joined: Subscription, mut events: BrokerEvents) {
    shared.broker_link.turn(Link::Up);
    let relay = Arc::clone(shared);
    shared.background.spawn(async move {
        loop {
            tokio::select! {
                biased;
                () = relay.stop.cancelled() => return,
                Some(event) = events.next() => heard(&relay, event),
                message = joined.next() => match message {
                    Some(message) => receive(&relay, message).await,
                    None => return,
                },
            }
        }
    });
}

fn heard(shared: &Shared, event: BrokerEvent) {
    let error = match event {
        BrokerEvent::Gap { source, missed } => {
            shared.stats.missed_from_nodes.add(missed);
            // Which of them were for whom is not known: every session that may have lost
            // something is told.
            for session in shared.hub.all() {
                session.note_missed(missed);
            }
            format!("{missed} messages of node {source} did not arrive")
        }
        BrokerEvent::InvalidMessage { cause, count } => {
            shared.stats.invalid_broker_messages.add(count);
            match count {
                1 => cause,
                _ => format!("{cause} ({count} messages)"),
            }
        }
        BrokerEvent::Blocked => {
            shared.broker_link.turn(Link::Blocked);
            "the broker takes no messages for now".to_owned()
        }
        BrokerEvent::Down { cause } => {
            let error = format!("the broker is down: {cause}");
            let (before, _) = shared.broker_link.turn(Link::Down { cause });
            // Later ones of the same outage tell why it lasts.
            if !matches!(before, Link::Down { .. }) {
                shared.stats.broker_outages.add(1);
            }
            error
        }
        BrokerEvent::Up | BrokerEvent::Unblocked => {
            let (before, lasted) = shared.broker_link.turn(Link::Up);
            if matches!(before, Link::Up | Link::NotStarted) {
                return;
            }
            // What cut this node off may have kept it from the store, too.
            shared.renew_now.notify_one();
            format!("the broker is up again; messages could be lost for {lasted:?}")
        }
        other => {
            return tracing::info!(target: crate::log_targets::BROKER, event = ?other, "broker");
        }
    };
    shared.report(ErrorStage::Broker, error, None);
}

async fn receive(shared: &Shared, message: BrokerMessage) {
    let source = message.source;
    shared.unreachable.heard(&source);
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
    let span = envelope.traceparent().map(|traceparent| {
        let traceparent = Escaped(traceparent);
        tracing::info_span!(target: crate::log_targets::RELAY, "relay", %source, %traceparent)
    });
    let handed_over = async {
        match envelope.target() {
            Target::Identity(key) => hand_over(&shared.hub.of(key), &frame).await,
            _ => shared.hub.broadcast(&frame).await,
        }
    };
    match span {
        Some(span) => handed_over.instrument(span).await,
        None => handed_over.await,
    };
}
