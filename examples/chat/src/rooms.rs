//! The rooms that there are, who may come in, and what is kept of them.

use std::time::Duration;

use realtime::{
    ClientError, Gateway, Identity, Router, Session,
    extract::RoomParam,
    history::{InvalidRetention, Retention},
    room::{RoomName, RoomRule},
};
use serde::Serialize;

use crate::{
    contract::{PEOPLE, ROOM, WRITERS},
    removal,
};

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

/// What is said in a room is kept, and goes to `room:NAME`, whose members are told on the route
/// `people` who comes and goes. That somebody is writing is not kept, and goes to `typing:NAME`.
pub(crate) fn router() -> Result<Router, InvalidRetention> {
    let said = RoomRule::allow(may_enter)
        .history(Retention::new(LINES, AGE)?)
        .announce(PEOPLE.route());
    Ok(Router::new()
        .room(ROOM, said)
        .room(WRITERS, RoomRule::allow(may_enter)))
}

/// Everybody may be in every room that there is, unless they were removed. It is asked again each
/// time that a page comes back.
async fn may_enter(
    gateway: Gateway,
    identity: Identity,
    RoomParam(name): RoomParam<String>,
) -> Result<(), ClientError> {
    match ROOMS.iter().any(|room| room.name == name) {
        true => removal::is_welcome(&gateway, &identity, &name).await,
        false => Err(ClientError::new("unknown_room", "There is no such room.")),
    }
}

/// How people call a room.
pub(crate) fn title(name: &str) -> &'static str {
    let room = ROOMS.iter().find(|room| room.name == name);
    room.map_or("a room", |room| room.title)
}

/// The room of this name, for somebody who is in it.
pub(crate) fn entered(session: &Session, name: &str) -> Option<String> {
    let room = format!("room:{name}");
    let is_in = |entered: &RoomName| entered.as_str() == room;
    session.rooms().iter().any(is_in).then_some(room)
}
