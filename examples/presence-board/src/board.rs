//! The board: who is online and who is in which room, once, and then each change of it.
//!
//! Both are kept by the gateway, over all nodes. Nothing is kept here.

use std::collections::BTreeMap;

use realtime::{
    BoxError, ClientError, Gateway, Identity, Json, Router,
    control::Receipt,
    error::DeliverError,
    presence::{Change, ChangeKind, Group, PresenceError, Present},
    room::RoomRule,
};
use serde::Serialize;
use serde_json::json;

use crate::people::OFFICE;

/// The rooms that there are, as the page calls them. Theirs in the gateway is `place:kitchen`.
const PLACES: [&str; 4] = ["garden", "kitchen", "library", "workshop"];
/// Who is online, beside them.
const ONLINE: &str = "online";
/// The room of all who look at the board.
const BOARD: &str = "board";
/// Of each place no more are shown: as many as a store gives at once.
const MOST: usize = 1_000;

pub(crate) fn router() -> Router {
    Router::new()
        .room(BOARD, RoomRule::open())
        // It is kept who is there. Nobody asks to be let in: `go` does that.
        .room("place:{name}", RoomRule::new().presence())
        .route("look", look)
        .route("go", go)
}

/// Somebody on the board. Of two words about the same one in the same place the one with the higher
/// version holds.
#[derive(Serialize)]
struct Somebody {
    id: String,
    version: u64,
}

/// Who is online, and who is in each place.
async fn look(
    gateway: Gateway,
) -> Result<Json<BTreeMap<&'static str, Vec<Somebody>>>, PresenceError> {
    let mut board = BTreeMap::new();
    let online = gateway.tenant(OFFICE).members(None, MOST).await?;
    board.insert(ONLINE, named(&online.members));
    for place in PLACES {
        let there = gateway.room(room(place)).members(None, MOST).await?;
        board.insert(place, named(&there.members));
    }
    Ok(Json(board))
}

fn named(members: &[Present]) -> Vec<Somebody> {
    let named = members.iter().map(|present| Somebody {
        id: present.identity.id().to_owned(),
        version: present.version,
    });
    named.collect()
}

/// Somebody goes to a place: with all their tabs, on whatever node, and from wherever they were.
async fn go(gateway: Gateway, who: Identity, Json(to): Json<String>) -> Result<(), BoxError> {
    if !PLACES.contains(&&*to) {
        return Err(ClientError::new("unknown_place", "There is no such place.").into());
    }
    let me = || gateway.identity(who.key());
    for other in PLACES.into_iter().filter(|place| **place != *to) {
        done(&me().leave(room(other)).await?)?;
    }
    done(&me().join(room(&to)).await?)?;
    // That somebody has left is told after a grace, since they might be back. Here they won't be, so
    // that they have gone to another place is told at once.
    let went = json!({ "id": who.id(), "place": to });
    gateway.room(BOARD).send("went", Json(went)).await?;
    Ok(())
}

fn done(receipt: &Receipt) -> Result<(), ClientError> {
    match receipt.is_complete() && receipt.failed == 0 {
        true => Ok(()),
        false => Err(ClientError::new("not_all", "Not all of your tabs have moved.").temporary()),
    }
}

/// Whoever looks at the board is told who came and who has gone. It runs on one node for each change.
pub(crate) async fn tell(gateway: Gateway, change: Change) -> Result<(), DeliverError> {
    let group = match &change.member.group {
        Group::Tenant(_) => ONLINE,
        Group::Room(room) => room.as_str().trim_start_matches("place:"),
        _ => return Ok(()),
    };
    let changed = json!({
        "group": group,
        "id": change.member.identity.id(),
        "version": change.version,
        "is_here": change.kind == ChangeKind::Joined,
    });
    gateway.room(BOARD).send("changed", Json(changed)).await?;
    Ok(())
}

fn room(place: &str) -> String {
    format!("place:{place}")
}
