//! Some of the rooms, for somebody who looks at them.
//!
//! Rooms have no order in which they could be walked a few at a time. Sessions have, and each room has
//! members: so sessions are walked, and a room is found with the first of its members.

use std::sync::Arc;

use realtime_core::{RoomName, SessionId};

use super::Rooms;
use crate::{
    hub::{Hub, TURN},
    session::Session,
};

/// A place in the order of the rooms: of a session, and how many of its rooms are before it.
pub(crate) type RoomAt = (usize, u64, usize);

/// Some rooms, with how many members each has.
#[derive(Debug)]
pub(crate) struct RoomsFound {
    pub(crate) rooms: Vec<(RoomName, usize)>,
    /// Where others may follow.
    pub(crate) next: Option<RoomAt>,
}

impl Rooms {
    /// Which of a room's members is the first, and how many it has; `None` where it has none here.
    fn first_of(&self, name: &RoomName) -> Option<(SessionId, usize)> {
        let place = self.by_name.get(name).map(|place| Arc::clone(&place))?;
        let members = place.members.lock();
        let (_, first) = members.by_number.first_key_value()?;
        Some((first.id(), members.by_number.len()))
    }

    /// How many members a room has here; `None` where it has none.
    pub(crate) fn count_of(&self, name: &RoomName) -> Option<usize> {
        self.first_of(name).map(|(_, members)| members)
    }
}

impl Hub {
    /// From this place on up to `limit` rooms that `pick` chooses, where so many are `known` already.
    /// No more than `look_at` sessions and rooms are looked at, a lock is held for no more than one
    /// session or room, and other tasks have their turns.
    pub(crate) async fn rooms_page(
        &self,
        from: RoomAt,
        limit: usize,
        look_at: usize,
        known: usize,
        pick: impl Fn(&RoomName) -> bool,
    ) -> RoomsFound {
        let (mut shard, mut number, mut skip) = from;
        let mut found = RoomsFound {
            rooms: Vec::new(),
            next: None,
        };
        let (mut looked_at, mut turn) = (0, 0);
        // Of the many who are in few rooms nobody else has to be looked at.
        let is_all =
            |found: &RoomsFound| from == (0, 0, 0) && known + found.rooms.len() >= self.rooms.len();
        while let Some(members) = self.shards().get(shard) {
            if is_all(&found) {
                break;
            }
            if looked_at >= look_at {
                found.next = Some((shard, number, skip));
                break;
            }
            turn += 1;
            if let Some((at, session)) = members.next_from(number) {
                // The one that was there before may have gone.
                let before = if at == number { skip } else { 0 };
                let rooms = sorted(&session);
                looked_at += 1 + rooms.len();
                turn += rooms.len();
                for (n, name) in rooms.into_iter().enumerate().skip(before) {
                    if found.rooms.len() >= limit {
                        found.next = (!is_all(&found)).then_some((shard, at, n));
                        return found;
                    }
                    if pick(&name)
                        && let Some((first, members)) = self.rooms.first_of(&name)
                        && first == session.id()
                    {
                        found.rooms.push((name, members));
                    }
                }
                number = at + 1;
            } else {
                (shard, number) = (shard + 1, 0);
            }
            skip = 0;
            if turn >= TURN {
                turn = 0;
                tokio::task::yield_now().await;
            }
        }
        found
    }
}

fn sorted(session: &Session) -> Vec<RoomName> {
    let mut rooms = session.rooms();
    rooms.sort_unstable();
    rooms
}
