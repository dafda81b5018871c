//! Some of the sessions at a time, for somebody who looks at them.

use super::{Hub, TURN};
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
            let after = members.pick_from(number, count, &pick, &mut page.sessions);
            page.looked_at += count;
            turn += count;
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
