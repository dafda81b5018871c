//! The rooms that there are, who may come in, and what is kept of them.

use std::time::Duration;

use realtime::{
    ClientError, Router, Session, extract::RoomParam, history::Retention, room::RoomRule,
};
use serde::Serialize;

/// A room as the page shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Room {
    pub(crate) name: &'static str,
    title: &'static str,
    about: &'static str,
}

pub(crate) const ROOMS: [Room; 4] = [
    Room {
        name: "lobby",
        title: "Lobby",
        about: "For everybody, about everything.",
    },
    Room {
        name: "music",
        title: "Music",
        about: "What you hear, play and can't get out of your head.",
    },
    Room {
        name: "travel",
        title: "Travel",
        about: "Where you have been, and where you would rather be.",
    },
    Room {
        name: "workshop",
        title: "Workshop",
        about: "Things that are being built, and things that broke.",
    },
];

/// How many lines of a room are kept, and for how long.
const LINES: usize = 500;
const AGE: Duration = Duration::from_secs(7 * 86_400);

/// What is said in a room is kept, and goes to `room:NAME`; that somebody is writing is not, and
/// goes to `typing:NAME`.
pub(crate) fn router() -> Router {
    let mut said = RoomRule::allow(may_enter);
    if let Ok(retention) = Retention::new(LINES, AGE) {
        said = said.history(retention);
    }
    Router::new()
        .room("room:{name}", said)
        .room("typing:{name}", RoomRule::allow(may_enter))
}

/// Everybody may be in every room that there is. It is asked again each time that a page comes
/// back, so this is the place to keep somebody out.
async fn may_enter(RoomParam(name): RoomParam<String>) -> Result<(), ClientError> {
    match ROOMS.iter().any(|room| room.name == name) {
        true => Ok(()),
        false => Err(ClientError::new("unknown_room", "There is no such room.")),
    }
}

/// The room of this name, for somebody who is in it.
pub(crate) fn entered(session: &Session, name: &str) -> Result<String, ClientError> {
    let room = format!("room:{name}");
    match session
        .rooms()
        .iter()
        .any(|entered| entered.as_str() == room)
    {
        true => Ok(room),
        false => Err(ClientError::new("not_a_member", "Join the room first.")),
    }
}
