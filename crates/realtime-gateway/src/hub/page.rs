//! Some of the sessions at a time, for somebody who looks at them.

use std::cell::Cell;

use super::{Hub, Shard, TURN};
use crate::session::Session;

/// A place in the order of the sessions: a shard, and a number there.
pub(crate) type At = (usize, u64);

/// Some sessions.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) sessions: Vec<Session>,
    /// Where others may follow.
    pub(crate) next: Option<At>,
    pub(crate) looked_at: usize,
}

impl Hub {
    /// From this place on up to `limit` sessions that `pick` chooses, of those that are looked at. A
    /// lock is held for no more than a few, and other tasks have their turns.
    pub(crate) async fn page(
        &self,
        from: At,
        limit: usize,
        look_at: usize,
        pick: impl Fn(&Session) -> bool,
    ) -> Page {
        let (mut shard, mut number) = from;
        let mut page = Page {
            sessions: Vec::new(),
            next: None,
            looked_at: 0,
        };
        let mut turn = 0;
        while let Some(members) = self.shards().get(shard) {
            if page.sessions.len() >= limit || page.looked_at >= look_at {
                page.next = Some((shard, number));
                break;
            }
            let count = (limit - page.sessions.len()).min(TURN);
            let (after, looked_at) = look(members, number, count, &pick, &mut page.sessions);
            page.looked_at += looked_at;
            // Shards without anybody in them take their time, too.
            turn += looked_at.max(1);
            (shard, number) = match after {
                Some(next) => (shard, next),
                None => (shard + 1, 0),
            };
            if turn >= TURN {
                turn = 0;
                tokio::task::yield_now().await;
            }
        }
        page
    }
}

/// Of the next `count` sessions of a shard copies those that `pick` chooses. Returns where to go on, and
/// how many there were.
fn look(
    shard: &Shard<Session>,
    from: u64,
    count: usize,
    pick: impl Fn(&Session) -> bool,
    into: &mut Vec<Session>,
) -> (Option<u64>, usize) {
    let looked_at = Cell::new(0);
    let counted = |session: &Session| {
        looked_at.set(looked_at.get() + 1);
        pick(session)
    };
    let next = shard.pick_from(from, count, counted, into);
    (next, looked_at.get())
}
