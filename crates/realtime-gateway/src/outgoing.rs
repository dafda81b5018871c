//! Messages on their way out of this node: encoded once for all who get them, and to other nodes.

use realtime_core::{
    Message,
    broker::{
        Broker, BrokerError, Topic,
        envelope::{Envelope, Except, Target},
    },
    history::Position,
};

use crate::{
    DeliverError, DeliverErrorKind, Delivery, ErrorStage, Remote,
    dialects::{Encoded, Unsaid},
    node::Node,
};

/// Encodes and frames a message, once for all who receive it.
pub(crate) fn prepare(node: &Node, message: &Message) -> Result<Encoded, DeliverError> {
    check_open(node)?;
    let told = &mut None;
    Ok(node
        .env
        .dialects
        .encode(node.tracer().told(message, told))?)
}

/// Whether messages are still sent.
pub(crate) fn check_open(node: &Node) -> Result<(), DeliverError> {
    if node.is_ending() {
        let context = "the gateway is shutting down and sends no more messages";
        let kind = DeliverErrorKind::Closed;
        return Err(DeliverError::new(kind, context, Delivery::none()));
    }
    Ok(())
}

/// Says that it was lost to those of these sessions whose dialect had failed at a message.
pub(crate) async fn tell_unsaid(
    node: &Node,
    unsaid: Option<Unsaid>,
    stage: ErrorStage,
    (to, except): (&Target, &[Except]),
) {
    let Some(unsaid) = unsaid else { return };
    for session in node.hub.select(to, except).await {
        if unsaid.concerns(session.outbox().dialect()) {
            session.note_missed(1);
        }
    }
    node.report(stage, unsaid.error, None);
}

/// A message as it travels to other nodes, with its position where it is kept in a history.
pub(crate) fn envelope(
    node: &Node,
    message: &Encoded,
    target: Target,
    except: &[Except],
    position: Option<&Position>,
) -> Envelope {
    let (codec, body) = (node.env.dialects.codec().name(), message.body.clone());
    let mut envelope = Envelope::new(target, codec, message.kind, body);
    if !except.is_empty() {
        envelope = envelope.with_except(except.to_vec());
    }
    if let Some(position) = position {
        envelope = envelope.with_position(position.clone());
    }
    envelope
}

/// Publishes what this node's sessions have got already.
pub(crate) async fn publish(
    node: &Node,
    topic: Topic,
    envelope: impl FnOnce() -> Envelope,
    mut delivery: Delivery,
) -> Result<Delivery, DeliverError> {
    if node.reaches_others() {
        let envelope = envelope();
        let traced = node.tracer().publish(&envelope);
        let envelope = traced.sign(envelope).encode();
        let published = traced.around(node.broker.publish(&topic, envelope)).await;
        let _any_number = published.map_err(|error| {
            traced.unpublished(error.kind());
            not_accepted(error, delivery)
        })?;
        delivery.remote = Remote::Published;
    }
    Ok(delivery)
}

pub(crate) fn not_accepted(error: BrokerError, delivery: Delivery) -> DeliverError {
    let context = "the broker did not accept the message for other nodes";
    DeliverError::new(DeliverErrorKind::Broker, context, delivery).with_source(error)
}
