//! What other nodes send, and what happens to the link to them.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream};
use realtime_core::{
    BoxError, NodeId,
    broker::{
        BrokerEvent, BrokerMessage, NodeInfo, Subscription,
        envelope::{Envelope, EnvelopeKind, Target},
    },
};
use tokio::task::yield_now;

use super::{missed::Missed, rejoin::rejoin};
use crate::{
    ErrorStage, control,
    dialects::{Frames, Unsaid, Whom},
    escape::Chain,
    guarded::{Whose, caught},
    health::Link,
    hub::Publication,
    node::{Joined, Node},
    outgoing::tell_unsaid,
    room_topics::RoomTopic,
};

/// How many events are heard before it is the turn of a message.
const EVENTS: u32 = 64;

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
    let mut missed = Missed::new();
    // What happened before a message is heard before it; but no stream of events that is always
    // ready keeps messages waiting.
    let mut events_in_a_row = 0;
    loop {
        let message = tokio::select! {
            biased;
            () = node.stop.cancelled() => break,
            () = missed.due() => {
                missed.take().tell(&node.hub).await;
                continue;
            }
            Some(event) = events.next(), if events_in_a_row < EVENTS => {
                events_in_a_row += 1;
                on_event(&node, event, &mut missed);
                continue;
            }
            message = messages.next() => message,
            () = yield_now(), if events_in_a_row >= EVENTS => {
                events_in_a_row = 0;
                continue;
            }
        };
        events_in_a_row = 0;
        if let Some(message) = message {
            receive(&node, message, &mut missed).await;
            continue;
        }
        let cause = "its messages have ended; it is joined again";
        on_event(&node, BrokerEvent::down(cause), &mut missed);
        // Of those that go meanwhile nobody will tell.
        for other in node.peers.forget_all() {
            node.surveys.has_gone(&other);
        }
        // What has ended still holds the node's name.
        *messages = Subscription::new(stream::empty());
        tokio::select! {
            biased;
            () = node.stop.cancelled() => break,
            anew = rejoin(&node) => *messages = anew,
        }
        // What was published meanwhile is counted by nobody.
        missed.add(1);
        on_event(&node, BrokerEvent::Up, &mut missed);
    }
    joined.forget();
}

fn on_event(node: &Node, event: BrokerEvent, lost: &mut Missed) {
    let said = match event {
        BrokerEvent::Gap {
            source,
            missed,
            topic,
            ..
        } => {
            node.stats().missed_from_nodes.add(missed);
            // Which of them were for whom is not known: every session that may have lost
            // something is notified.
            match topic.as_ref().and_then(RoomTopic::of_topic) {
                Some(topic) => {
                    lost.add_in_rooms(topic, missed);
                    node.hub.rooms().doubt(topic);
                }
                None => lost.add(missed),
            }
            let error = format!("{missed} messages of node {source} did not arrive");
            return node.report(ErrorStage::Broker, error, None);
        }
        BrokerEvent::InvalidMessage { cause, count, .. } => {
            node.stats().invalid_broker_messages.add(count);
            lost.add(count);
            let error = match count {
                1 => cause,
                _ => format!("{cause} ({count} messages)"),
            };
            return node.report(ErrorStage::Broker, error, None);
        }
        BrokerEvent::Blocked => {
            node.broker_link.turn(Link::Blocked);
            "the broker accepts no messages for now".to_owned()
        }
        BrokerEvent::Down { cause, .. } => {
            let said = format!("the broker is down: {cause}");
            let (before, _) = node.broker_link.turn(Link::Down { cause });
            // Later ones of the same outage say why it lasts.
            if !matches!(before, Link::Down { .. }) {
                node.stats().broker_outages.add(1);
            }
            said
        }
        event @ (BrokerEvent::Up | BrokerEvent::Unblocked) => {
            let (before, lasted) = node.broker_link.turn(Link::Up);
            if matches!(before, Link::Up | Link::NotStarted) {
                return;
            }
            // What cut this node off may have kept it from the store, too.
            node.registry.renew_now.notify_one();
            // What was sent to rooms meanwhile isn't counted. It is in their histories; where they
            // have none, their members are told. A broker that merely blocks loses nothing.
            node.hub.rooms().doubt_all();
            if event == BrokerEvent::Up || matches!(before, Link::Down { .. }) {
                lost.add_in_all_rooms();
            }
            format!("the broker is up again; messages could be lost for {lasted:?}")
        }
        BrokerEvent::NodeUp { node: other, .. } => {
            node.unreachable.lives(&other.id, other.incarnation);
            if let Some(former) = node.peers.is_up(&other) {
                node.surveys.has_gone(&former);
            }
            let (node, incarnation) = (&other.id, other.incarnation);
            return tracing::info!(
                target: crate::log_targets::BROKER, %node, ?incarnation, "another node is there",
            );
        }
        BrokerEvent::NodeDown { node: other, .. } => {
            node.unreachable.has_gone(&other);
            node.peers.is_down(&other);
            node.surveys.has_gone(&other);
            let (node, incarnation) = (&other.id, other.incarnation);
            return tracing::info!(
                target: crate::log_targets::BROKER, %node, ?incarnation, "another node has gone",
            );
        }
        other => {
            return tracing::info!(target: crate::log_targets::BROKER, event = ?other, "broker");
        }
    };
    node.reports.link(ErrorStage::Broker, said);
}

async fn receive(node: &Arc<Node>, message: BrokerMessage, lost: &mut Missed) {
    let source = message.source;
    node.unreachable.has_sent(&source, message.incarnation);
    let from = || NodeInfo::new(source.clone(), message.incarnation);
    let asks = Envelope::number_of_control(&message.data);
    let envelope = match readable(&source, message.data) {
        Ok(envelope) => envelope,
        Err(error) => {
            if let Some(number) = asks {
                control::not_understood(node, from(), number);
            }
            node.stats().invalid_broker_messages.add(1);
            // For whom it was can't be known.
            lost.add(1);
            return node.report(ErrorStage::Broker, error, None);
        }
    };
    match envelope.kind() {
        EnvelopeKind::Control => {
            node.metrics().relayed();
            return control::receive(node, from(), envelope);
        }
        EnvelopeKind::Receipt => return control::take_receipt(node, from(), &envelope),
        _ => {}
    }
    let (frames, unsaid) = match in_all_dialects(node, &envelope) {
        Ok(frames) => frames,
        Err(error) => {
            node.stats().invalid_broker_messages.add(1);
            lost.add(1);
            let error = Chain(&*error);
            let error = format!("a message of node {source} can't be read: {error}");
            return node.report(ErrorStage::Broker, error, None);
        }
    };
    node.metrics().relayed();
    if let Some(lost) = lost.take_before_a_message() {
        lost.tell(&node.hub).await;
    }
    let except = envelope.except();
    tell_unsaid(
        node,
        unsaid,
        ErrorStage::Broker,
        (envelope.target(), except),
    )
    .await;
    let traced = node.tracer().relay(&envelope, &source);
    if let (Some(position), Target::Rooms(rooms)) = (envelope.position(), envelope.target())
        && let Some(room) = rooms.first()
        && node.room_table.history(room).is_some()
    {
        // Who comes in just now has asked the history, which knew the message already.
        if let Some(stream) = node.hub.rooms().stream(room) {
            node.hub.compress(&frames, stream.room());
            let publication = Publication {
                offset: position.offset,
                frames,
                except: except.to_vec(),
                traced: traced.in_line(),
            };
            stream.offer(&position.epoch, publication);
        }
        return;
    }
    let handed_over = async {
        match envelope.target() {
            Target::All if except.is_empty() => node.hub.broadcast(&frames).await,
            to @ Target::All => node.hub.hand_to_those(&frames, to, except).await,
            Target::Identity(key) => node.hub.hand_to_one(&frames, key, except).await,
            Target::Rooms(rooms) => match node.hub.address(rooms, except) {
                Some(addressed) => node.hub.send_to(addressed, &frames).await,
                None => 0,
            },
            Target::Session(id) => node.hub.hand_to_session(&frames, *id, except).await,
            to @ Target::Tenant(_) => node.hub.hand_to_those(&frames, to, except).await,
            // Refused above.
            _ => 0,
        }
    };
    traced.around(handed_over).await;
}

/// What its clients get of it, and why some of them don't.
fn in_all_dialects(node: &Node, envelope: &Envelope) -> Result<(Frames, Option<Unsaid>), BoxError> {
    // Where it is of a room with a history, those get it, too, who come in while it waits.
    let whom = match (envelope.position(), envelope.target()) {
        (Some(_), Target::Rooms(_)) => Whom::Anybody,
        _ => Whom::Present,
    };
    let (dialects, codec) = (&node.env.dialects, envelope.codec());
    let encoded = (envelope.frame_kind(), envelope.body());
    let transcoded = caught(Whose::Codec, || dialects.transcode(codec, encoded, whom))?;
    Ok(transcoded?)
}

/// What this node can hand over: a message for somebody it knows to find. What is for somebody else
/// must not go to everybody.
fn readable(source: &NodeId, bytes: Bytes) -> Result<Envelope, BoxError> {
    let envelope = Envelope::decode(bytes)?;
    let is_known = matches!(
        envelope.target(),
        Target::All
            | Target::Identity(_)
            | Target::Rooms(_)
            | Target::Session(_)
            | Target::Tenant(_)
    );
    match (envelope.kind(), is_known) {
        (EnvelopeKind::Control | EnvelopeKind::Receipt | EnvelopeKind::Message, true) => {
            Ok(envelope)
        }
        (kind, _) => Err(format!(
            "expected a message for somebody that this version knows; got a {kind:?} of node \
             {source} for somebody else, which may be of a later version"
        )
        .into()),
    }
}
