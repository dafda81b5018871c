//! The messages of rooms as the history keeps them, and on their way from there to members.
//!
//! What is kept is an envelope: the encoded message without its offset, and who doesn't get it.

use std::sync::Arc;

use bytes::Bytes;
use realtime_core::{
    BoxError, Message, RoomName,
    broker::envelope::{Envelope, Except, Target},
    codec::CodecError,
    history::{Entry, History, HistoryError, HistoryErrorKind, Position, Since},
};

use crate::{
    ErrorStage,
    dialects::Unsaid,
    guarded::{Whose, caught},
    handling::RoomTable,
    hub::{Publication, Stream},
    node::Node,
    outgoing::tell_unsaid,
    traces::Traced,
};

/// The bytes that are kept of a message.
pub(super) fn write(
    node: &Node,
    room: &RoomName,
    message: &Message,
    except: &[Except],
) -> Result<Bytes, CodecError> {
    let target = Target::Rooms(vec![room.clone()]);
    let codec = node.env.dialects.codec().name();
    let (body, kind) = node.env.dialects.encode_for_nodes(codec, message)?;
    let envelope = Envelope::new(target, codec, kind, body);
    Ok(envelope.with_except(except.to_vec()).encode())
}

/// The message that is kept, with its room and its offset, and who doesn't get it.
pub(super) fn read(
    node: &Node,
    room: &RoomName,
    entry: &Entry,
) -> Result<(Message, Vec<Except>), BoxError> {
    let envelope = Envelope::decode(entry.data.clone())?;
    let dialects = &node.env.dialects;
    let (kind, body) = (envelope.frame_kind(), envelope.body().clone());
    let message = caught(Whose::Codec, || {
        dialects.decode(envelope.codec(), kind, body)
    })??;
    let message = message
        .with_room(RoomTable::shown(room))
        .with_offset(entry.offset);
    Ok((message, envelope.except().to_vec()))
}

/// Some of the messages that are kept of a room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomHistory {
    /// In their order, each with its offset. Those are left out that were not for everybody.
    pub messages: Vec<Message>,
    /// Where the history ends, which may be far beyond these; `None` where there is none.
    pub position: Option<Position>,
    /// What to ask for next, where older ones are kept: those before this offset.
    pub before: Option<u64>,
}

pub(crate) async fn latest(
    node: &Node,
    room: &RoomName,
    before: Option<u64>,
    count: usize,
) -> Result<RoomHistory, HistoryError> {
    if node.room_table.history(room).is_none() {
        return Ok(RoomHistory::default());
    }
    let page = node.history.latest(room, before, count).await?;
    let mut messages = Vec::with_capacity(page.entries.len());
    for entry in &page.entries {
        let (message, except) = read(node, room, entry).map_err(|error| {
            let context = "a message in the history of the room can't be read";
            HistoryError::new(HistoryErrorKind::Corrupt, context).with_source(error)
        })?;
        if except.is_empty() {
            messages.push(message);
        }
    }
    Ok(RoomHistory {
        messages,
        position: page.position,
        before: page.before,
    })
}

/// A message that is kept, ready to be written, and why some of the members don't get it.
fn publication(
    node: &Node,
    room: &RoomName,
    entry: &Entry,
) -> Result<(Publication, Option<Unsaid>), BoxError> {
    let (message, except) = read(node, room, entry)?;
    let dialects = &node.env.dialects;
    let encoded = caught(Whose::Codec, || dialects.encode_kept(&message))??;
    let publication = Publication {
        offset: entry.offset,
        frames: encoded.frames,
        except,
        traced: Traced::default(),
    };
    Ok((publication, encoded.unsaid))
}

/// Members have lost something that can't be had any more.
pub(crate) fn tell_of_loss(node: &Node, stream: &Stream) {
    let members = node.hub.rooms().members_of(stream.room());
    // Not those who are about to come in.
    let members = members.iter();
    for member in members.filter(|member| member.rooms().contains(stream.name())) {
        member.note_missed(1);
    }
}

/// Reads from the history what came after a position and has not come by itself. Returns whether
/// the history has answered.
pub(crate) async fn fill(node: &Node, stream: &Arc<Stream>, from: &Position) -> bool {
    /// What is read at once: where more is missing, members load afresh.
    const MOST: usize = 10_000;
    let room = stream.name();
    let position = match node.history.since(room, from, MOST).await {
        Ok(Since::Complete { entries, .. }) => {
            for entry in &entries {
                let (read, unsaid) = publication(node, room, entry).unwrap_or_else(|error| {
                    node.report(ErrorStage::History, error, None);
                    tell_of_loss(node, stream);
                    (Publication::unreadable(entry.offset), None)
                });
                let of_room = (&Target::Rooms(vec![room.clone()]), &*read.except);
                tell_unsaid(node, unsaid, ErrorStage::History, of_room).await;
                stream.offer(&from.epoch, read);
            }
            return true;
        }
        Ok(Since::Lost { position, .. }) => position,
        Ok(_) => None,
        Err(error) => return not_answered(node, error),
    };
    let position = match (position, node.room_table.history(room)) {
        (Some(position), _) => position,
        // There is none, so it begins.
        (None, Some(retention)) => match node.history.position(room, retention).await {
            Ok(position) => position,
            Err(error) => return not_answered(node, error),
        },
        (None, None) => return true,
    };
    let skipped = stream.skip_to(from, position);
    if skipped.is_some() {
        tell_of_loss(node, stream);
    }
    drop(skipped);
    true
}

fn not_answered(node: &Node, error: HistoryError) -> bool {
    node.report(ErrorStage::History, error, None);
    false
}
