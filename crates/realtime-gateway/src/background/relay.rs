//! What other nodes send, and what happens to the link to them.

use std::sync::Arc;

use futures::StreamExt;
use realtime_core::broker::{
    BrokerEvent, BrokerMessage,
    envelope::{Envelope, Target},
};
use tracing::Instrument;

use crate::{
    ErrorStage,
    encoder::frame_of,
    escape::Escaped,
    health::Link,
    hub::hand_over,
    node::{Joined, Node},
};

/// Delivers what other nodes publish, and reports what happens to the link, once the broker is
/// joined and until the gateway ends.
pub(super) async fn run(node: Arc<Node>) {
    let mut joined = tokio::select! {
        biased;
        () = node.stop.cancelled() => return,
        joined = node.joined.borrowed() => joined,
    };
    let Some(Joined { messages, events }) = joined.value() else {
        return;
    };
    loop {
        tokio::select! {
            biased;
            () = node.stop.cancelled() => break,
            Some(event) = events.next() => on_event(&node, event).await,
            message = messages.next() => match message {
                Some(message) => receive(&node, message).await,
                None => {
                    let cause = "its messages have ended; restart this node".to_owned();
                    on_event(&node, BrokerEvent::Down { cause }).await;
                    break;
                }
            },
        }
    }
    joined.forget();
}

async fn on_event(node: &Node, event: BrokerEvent) {
    let error = match event {
        BrokerEvent::Gap { source, missed } => {
            node.stats().missed_from_nodes.add(missed);
            // Which of them were for whom is not known: every session that may have lost
            // something is notified.
            node.hub.note_missed(missed).await;
            format!("{missed} messages of node {source} did not arrive")
        }
        BrokerEvent::InvalidMessage { cause, count } => {
            node.stats().invalid_broker_messages.add(count);
            match count {
                1 => cause,
                _ => format!("{cause} ({count} messages)"),
            }
        }
        BrokerEvent::Blocked => {
            node.broker_link.turn(Link::Blocked);
            "the broker accepts no messages for now".to_owned()
        }
        BrokerEvent::Down { cause } => {
            let error = format!("the broker is down: {cause}");
            let (before, _) = node.broker_link.turn(Link::Down { cause });
            // Later ones of the same outage say why it lasts.
            if !matches!(before, Link::Down { .. }) {
                node.stats().broker_outages.add(1);
            }
            error
        }
        BrokerEvent::Up | BrokerEvent::Unblocked => {
            let (before, lasted) = node.broker_link.turn(Link::Up);
            if matches!(before, Link::Up | Link::NotStarted) {
                return;
            }
            // What cut this node off may have kept it from the store, too.
            node.registry.renew_now.notify_one();
            format!("the broker is up again; messages could be lost for {lasted:?}")
        }
        other => {
            return tracing::info!(target: crate::log_targets::BROKER, event = ?other, "broker");
        }
    };
    node.report(ErrorStage::Broker, error, None);
}

async fn receive(node: &Node, message: BrokerMessage) {
    let source = message.source;
    node.unreachable.has_sent(&source, message.incarnation);
    let envelope = match Envelope::decode(message.data) {
        Ok(envelope) if envelope.codec() == node.env.encoder.name() => envelope,
        Ok(envelope) => {
            node.stats().invalid_broker_messages.add(1);
            let (theirs, ours) = (envelope.codec(), node.env.encoder.name());
            let error = format!("node {source} speaks the codec {theirs:?}; this one {ours:?}");
            return node.report(ErrorStage::Broker, error, None);
        }
        Err(error) => {
            node.stats().invalid_broker_messages.add(1);
            return node.report(ErrorStage::Broker, error, None);
        }
    };
    let frame = frame_of(envelope.kind(), envelope.body());
    let span = envelope.traceparent().map(|traceparent| {
        let traceparent = Escaped(traceparent);
        tracing::info_span!(target: crate::log_targets::RELAY, "relay", %source, %traceparent)
    });
    let handed_over = async {
        match envelope.target() {
            Target::Identity(key) => hand_over(&node.hub.of(key), &frame).await,
            _ => node.hub.broadcast(&frame).await,
        }
    };
    match span {
        Some(span) => handed_over.instrument(span).await,
        None => handed_over.await,
    };
}
