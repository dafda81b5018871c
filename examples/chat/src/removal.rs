//! A moderator removes somebody from a room, on whatever node they are, and they stay out for a
//! while.
//!
//! Who was removed stands in the history of a room of its own, one for each person and room, that
//! nobody is ever in. All nodes share it, it outlives them, and it forgets by itself.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use realtime::{
    ClientError, CloseCode, Gateway, Identity, Json, Router, Session,
    contract::{Failure, RouterExt},
    history::{HistoryError, InvalidRetention, Retention},
    room::RoomRule,
};
use serde::{Deserialize, Serialize};

use crate::{
    contract::{GONE, Gone, NotRemoved, REMOVE, Removal, Remove},
    people::{self, MODERATOR, Person},
    rooms::{entered, title},
};

/// For how long somebody stays out.
const OUT: Duration = Duration::from_secs(600);
/// The longest name of a person, in bytes. Those that were signed here are shorter.
const PERSON: usize = 64;
/// With this code a page knows that it should not come back by itself.
const STAY_AWAY: CloseCode = match CloseCode::new(4500) {
    Ok(code) => code,
    Err(_) => CloseCode::DISCONNECTED,
};

pub(crate) fn router() -> Result<Router, InvalidRetention> {
    let removals = RoomRule::new().history(Retention::new(1, OUT)?);
    Ok(Router::new()
        .handle(REMOVE, remove)
        .room("removed:{room}:{person}", removals))
}

fn removals(room: &str, person: &str) -> String {
    format!("removed:{room}:{person}")
}

/// That somebody was removed, as it is noted.
#[derive(Serialize, Deserialize)]
struct Removed {
    /// Milliseconds since 1970.
    until: u64,
}

async fn remove(
    gateway: Gateway,
    session: Session,
    Json(Remove { room: name, id }): Json<Remove>,
) -> Result<Json<Removal>, Failure<NotRemoved>> {
    if !session.identity().has_role(MODERATOR) {
        return Err(NotRemoved::Forbidden.into());
    }
    let room = entered(&session, &name).ok_or(NotRemoved::NotAMember)?;
    let somebody = Person::of_id(&id).filter(|somebody| somebody.person.len() <= PERSON);
    let somebody = somebody.ok_or(NotRemoved::Nobody)?;
    // First they can't come back, and then they have to go: whoever was let in a moment ago is
    // disconnected all the same. To take them out of the room would not be enough. A request to
    // join that was allowed already could still let them in.
    let until = now() + OUT;
    let removed = Removed {
        until: until.as_millis() as u64,
    };
    let removals = gateway.room(removals(&name, &somebody.person));
    removals.send("noted", Json(&removed)).await?;
    let why = format!(
        "A moderator has removed you from {}. You can come back to it in {} minutes.",
        title(&name),
        OUT.as_secs() / 60
    );
    let everywhere = gateway.identity(&people::key(&id));
    let receipt = everywhere.disconnect(STAY_AWAY, why).await?;
    if !receipt.is_complete() {
        tracing::warn!(
            missing = receipt.missing.len(),
            "not all nodes have answered"
        );
        return Err(NotRemoved::Unavailable.into());
    }
    // That they have left is told after a grace. This is told now, and says why.
    GONE.send(gateway.room(room), &Gone { id }).await?;
    let sessions = receipt.sessions;
    Ok(Json(Removal { sessions }))
}

/// Refuses who was removed from a room. A moderator never is.
pub(crate) async fn is_welcome(
    gateway: &Gateway,
    identity: &Identity,
    room: &str,
) -> Result<(), ClientError> {
    let Person {
        person, moderator, ..
    } = Person::of(identity);
    if moderator {
        return Ok(());
    }
    let noted = gateway.room(removals(room, &person)).history(None, 1).await;
    let noted = noted.map_err(|error: HistoryError| {
        tracing::debug!(%error, "who was removed can't be read");
        ClientError::new("unavailable", "The room can't be entered now.").temporary()
    })?;
    let Some(last) = noted.messages.last() else {
        return Ok(());
    };
    let left = last.decode().map_or(OUT, |Removed { until }| {
        Duration::from_millis(until).saturating_sub(now())
    });
    let message = match left.as_secs().div_ceil(60) {
        0 | 1 => "A moderator has removed you. You can come back in a minute.".to_owned(),
        minutes => format!("A moderator has removed you. You can come back in {minutes} minutes."),
    };
    Err(ClientError::new("removed", message).temporary())
}

fn now() -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default()
}
