//! What the gateway says itself: the routes and the data that `docs/protocol.md` gives them.

use bytes::BytesMut;
use realtime_core::{
    ClientError, Exchange, Message, MessageId, RoomName,
    codec::{CodecError, Notice, Recovered, routes},
    history::Position,
};

use crate::{
    codec::{put_head, put_message},
    from_json,
    write::{put_array, put_bool, put_float, put_map, put_text, put_unsigned},
};

/// Appends a notice; `false` where there is no form for it.
pub(crate) fn put_notice(out: &mut BytesMut, notice: &Notice<'_>) -> Result<bool, CodecError> {
    match *notice {
        Notice::Error { id, error } => {
            put_told(out, id, routes::ERROR)?;
            put_failure(out, error)?;
        }
        Notice::Gap { missed, rooms } => {
            put_told(out, None, routes::GAP)?;
            put_missed(out, missed, rooms)?;
        }
        Notice::Expiring { within } => {
            put_told(out, None, routes::EXPIRING)?;
            put_map(out, 1)?;
            put_text(out, "seconds")?;
            // Rounded down: it holds no longer than that.
            put_unsigned(out, within.as_secs())?;
        }
        Notice::Removed { room } => {
            put_told(out, None, routes::REMOVED)?;
            put_map(out, 1)?;
            put_text(out, "room")?;
            put_text(out, room.as_str())?;
        }
        Notice::Joined {
            id,
            route,
            position,
            recovery,
        } => {
            put_told(out, Some(id), route)?;
            let start = out.len();
            let put = put_joined(out, position, recovery);
            if let (Err(_), Some(Recovered::Complete(_))) = (&put, recovery) {
                // One of those has no form here, and would have none the next time either: to
                // this client the history can't be had.
                out.truncate(start);
                put_joined(out, position, Some(Recovered::Lost))?;
            } else {
                put?;
            }
        }
        Notice::Request { id, message } => {
            let message = message.clone();
            put_message(out, &message.with_exchange(Exchange::Request(id.clone())))?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// An envelope up to its data, which follows.
fn put_told(out: &mut BytesMut, id: Option<&MessageId>, route: &str) -> Result<(), CodecError> {
    put_head(out, id, route, 1)?;
    put_text(out, "data")
}

/// The data of the route `error`, and the reason of a refusal.
pub(crate) fn put_failure(out: &mut BytesMut, error: &ClientError) -> Result<(), CodecError> {
    let (retry_after, data) = (error.retry_after(), error.data_to_send()?);
    let more = usize::from(retry_after.is_some()) + usize::from(data.is_some());
    put_map(out, 3 + more)?;
    put_text(out, "code")?;
    put_text(out, error.code())?;
    put_text(out, "message")?;
    put_text(out, error.message())?;
    put_text(out, "temporary")?;
    put_bool(out, error.is_temporary());
    if let Some(wait) = retry_after {
        put_text(out, "retry_after")?;
        // In seconds, up to a millisecond, and never less.
        put_float(out, wait.as_nanos().div_ceil(1_000_000) as f64 / 1_000.0)?;
    }
    if let Some(data) = data {
        put_text(out, "data")?;
        // As in JSON, where bytes are no data of an error.
        data.check_json()?;
        from_json::put(out, data.as_bytes())?;
    }
    Ok(())
}

/// The data of the route `gap`.
fn put_missed(
    out: &mut BytesMut,
    missed: u64,
    rooms: &[(RoomName, Position)],
) -> Result<(), CodecError> {
    put_map(out, 1 + usize::from(!rooms.is_empty()))?;
    put_text(out, "missed")?;
    put_unsigned(out, missed)?;
    if !rooms.is_empty() {
        put_text(out, "rooms")?;
        put_map(out, rooms.len())?;
        for (room, position) in rooms {
            put_text(out, room.as_str())?;
            put_position(out, position)?;
        }
    }
    Ok(())
}

/// The data of the answer to a wish to be in a room. The messages in it are envelopes.
fn put_joined(
    out: &mut BytesMut,
    position: Option<&Position>,
    recovery: Option<Recovered<'_>>,
) -> Result<(), CodecError> {
    let recovered: Option<(bool, &[Message])> = recovery.map(|recovery| match recovery {
        Recovered::Complete(missed) => (true, missed),
        _ => (false, &[][..]),
    });
    let fields = 2 * usize::from(recovered.is_some()) + usize::from(position.is_some());
    put_map(out, fields)?;
    if let Some((recovered, _)) = recovered {
        put_text(out, "recovered")?;
        put_bool(out, recovered);
    }
    if let Some(position) = position {
        put_text(out, "position")?;
        put_position(out, position)?;
    }
    if let Some((_, missed)) = recovered {
        put_text(out, "missed")?;
        put_array(out, missed.len())?;
        for message in missed {
            put_message(out, message)?;
        }
    }
    Ok(())
}

fn put_position(out: &mut BytesMut, position: &Position) -> Result<(), CodecError> {
    put_map(out, 2)?;
    put_text(out, "epoch")?;
    put_text(out, position.epoch.as_str())?;
    put_text(out, "offset")?;
    put_unsigned(out, position.offset)
}
