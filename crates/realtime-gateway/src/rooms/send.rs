//! A message goes to the members of rooms: of this node, and of others.

use std::time::Duration;

use realtime_core::{
    Message, RoomName,
    broker::{
        Topic,
        envelope::{Except, Target},
    },
    history::{Append, History, HistoryError, IdempotencyKey, Position, Retention},
};

use super::stored;
use crate::{
    DeliverError, DeliverErrorKind, Delivery, ErrorStage,
    handling::RoomTable,
    hub::{Publication, Stream},
    node::Node,
    outgoing::{check_open, envelope, prepare, publish, tell_unsaid},
    room_topics::RoomTopic,
    traces::Traced,
};

/// How long a send waits for messages before it that are missing. They come, or are read from the
/// history, without it.
const IN_ORDER: Duration = Duration::from_secs(2);

/// A message for the members of rooms.
pub(crate) struct ToRooms {
    pub(crate) rooms: Vec<RoomName>,
    pub(crate) except: Vec<Except>,
    pub(crate) message: Message,
    /// By which the history knows a repetition.
    pub(crate) key: Option<IdempotencyKey>,
}

pub(crate) async fn send(node: &Node, to: ToRooms) -> Result<Delivery, DeliverError> {
    let kept = to.rooms.iter().find_map(|room| {
        let retention = node.room_table.history(room)?;
        Some((room.clone(), retention))
    });
    match kept {
        Some((room, retention)) if to.rooms.len() == 1 => {
            send_and_keep(node, room, retention, to).await
        }
        Some((room, _)) => {
            let context = format!(
                "expected a room with a history to be sent to by itself; got {room:?} together with \
                 others"
            );
            let kind = DeliverErrorKind::InvalidTarget;
            Err(DeliverError::new(kind, context, Delivery::none()))
        }
        None if to.key.is_some() => {
            let context = "expected a room with a history for a message with an idempotency key; \
                           got a room without one";
            let kind = DeliverErrorKind::InvalidTarget;
            Err(DeliverError::new(kind, context, Delivery::none()))
        }
        None => send_now(node, to.rooms, to.except, to.message).await,
    }
}

/// Sends a message of which nothing is kept.
pub(super) async fn send_now(
    node: &Node,
    rooms: Vec<RoomName>,
    except: Vec<Except>,
    mut message: Message,
) -> Result<Delivery, DeliverError> {
    if let Some(first) = rooms.first() {
        message = message.with_room(RoomTable::shown(first));
    }
    let mut out = prepare(node, &message)?;
    let local = match node.hub.address(&rooms, &except) {
        Some(addressed) => node.hub.send_to(addressed, &out.frames).await,
        None => 0,
    };
    let delivery = Delivery {
        local,
        ..Delivery::none()
    };
    let topic = topic_of(&rooms);
    let target = Target::Rooms(rooms);
    let unsaid = out.unsaid.take();
    tell_unsaid(node, unsaid, ErrorStage::Message, (&target, &except)).await;
    let envelope = || envelope(node, &out, target, &except, None);
    publish(node, topic, envelope, delivery).await
}

async fn send_and_keep(
    node: &Node,
    room: RoomName,
    retention: Retention,
    to: ToRooms,
) -> Result<Delivery, DeliverError> {
    let ToRooms {
        except,
        message,
        key,
        ..
    } = to;
    check_open(node)?;
    let message = node.tracer().tell(message);
    let mut append = Append::new(stored::write(node, &room, &message, &except)?, retention);
    append.key = key;
    let appended = node.history.append(&room, append).await.map_err(not_kept)?;
    let Position { epoch, offset, .. } = appended.position.clone();
    let stream = node.hub.rooms().stream(&room);
    let mut delivery = Delivery::none();
    if appended.is_duplicate {
        // What was kept then counts, whatever this one says. Should it not have come, it is read.
        if let Some(stream) = &stream {
            Stream::doubt(stream);
            delivery.local = node.hub.followers(&room, &except);
        }
        return Ok(delivery);
    }
    let message = message
        .with_room(RoomTable::shown(&room))
        .with_offset(offset);
    let mut out = node.env.dialects.encode_kept(&message)?;
    if let Some(stream) = &stream {
        node.hub.compress(&out.frames, stream.room());
        let publication = Publication {
            offset,
            frames: out.frames.clone(),
            except: except.clone(),
            traced: Traced::default(),
        };
        stream.offer(&epoch, publication);
        delivery.local = node.hub.followers(&room, &except);
    }
    let topic = topic_of(std::slice::from_ref(&room));
    let (position, target) = (Some(&appended.position), Target::Rooms(vec![room]));
    let unsaid = out.unsaid.take();
    tell_unsaid(node, unsaid, ErrorStage::Message, (&target, &except)).await;
    let envelope = || envelope(node, &out, target, &except, position);
    // Others put it into order themselves, so they needn't wait for what this node waits for.
    let published = publish(node, topic, envelope, delivery).await;
    if let Some(stream) = &stream {
        // A message of somebody else's that is before it may still be on its way.
        let handed = stream.has_handed(&epoch, offset);
        let _in_order = tokio::time::timeout(IN_ORDER, handed).await;
    }
    published
}

/// The topic that all of these rooms travel on. Where they have several, it is the one that every
/// node is in, so that nobody gets the message twice.
fn topic_of(rooms: &[RoomName]) -> Topic {
    let mut topics = rooms.iter().map(RoomTopic::of);
    let first = topics
        .next()
        .filter(|first| topics.all(|topic| topic == *first));
    first
        .and_then(RoomTopic::name)
        .map_or(Topic::All, Topic::Named)
}

fn not_kept(error: HistoryError) -> DeliverError {
    let context = "the history of the room did not take the message, so it was sent to nobody; \
                   with an idempotency key it can be sent again";
    DeliverError::new(DeliverErrorKind::History, context, Delivery::none()).with_source(error)
}
