//! Rooms of every sort that a client has to do with.

use std::time::Duration;

use realtime::{
    ClientError, Identity, Router, Session,
    history::{InvalidRetention, Retention},
    room::RoomRule,
};

/// `chat:` and `kept:` have a history, `short:` one of two messages, and `plain:` none; `staff:` is for a role,
/// and `busy:` lets nobody in for a session's first two tries.
pub(crate) fn router() -> Result<Router, InvalidRetention> {
    let hour = Duration::from_secs(3600);
    let kept = Retention::new(100, hour)?;
    let short = Retention::new(2, hour)?;
    let said = || RoomRule::open().publish("line").announce("who");
    Ok(Router::new()
        .room("chat:{id}", said().history(kept))
        .room("kept:{id}", said().history(kept))
        .room("short:{id}", said().history(short))
        .room("plain:{id}", said())
        .room("staff:{id}", RoomRule::allow(is_staff))
        .room("busy:{id}", RoomRule::allow(is_patient)))
}

async fn is_staff(identity: Identity) -> Result<(), ClientError> {
    match identity.has_role("staff") {
        true => Ok(()),
        false => Err(ClientError::new("forbidden", "this room is for staff")),
    }
}

/// How often a session has asked.
#[derive(Clone, Copy, Default)]
struct Tries(u32);

async fn is_patient(session: Session) -> Result<(), ClientError> {
    let Tries(tries) = session.extensions().get::<Tries>().unwrap_or_default();
    session.extensions().insert(Tries(tries + 1));
    match tries {
        0 | 1 => {
            let busy = ClientError::new("busy", "ask again in a moment").temporary();
            Err(busy.with_retry_after(Duration::from_millis(500)))
        }
        _ => Ok(()),
    }
}
