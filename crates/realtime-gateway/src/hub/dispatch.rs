//! What carries a shard's broadcasts to its sessions.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use realtime_core::{CloseCode, DisconnectInfo, Initiator};

use super::{batch::Batch, shard::Shard};
use crate::{Session, middleware::panicked, shared::Shared};

/// After how many sessions it lets other tasks have a turn.
const TURN: usize = 128;

/// Takes everything that waits in the log and writes it to one session after the other, again and
/// again, until the gateway ends.
pub(super) async fn run(shard: Arc<Shard<Session>>, shared: Arc<Shared>) {
    let stopped = shared.stop.cancelled();
    tokio::pin!(stopped);
    let mut sessions = Vec::with_capacity(TURN);
    loop {
        let batch = tokio::select! {
            biased;
            () = &mut stopped => return,
            batch = shard.log().take() => batch,
        };
        let mut seat = Some(0);
        while let Some(from) = seat {
            seat = shard.members_from(from, TURN, |_| true, &mut sessions);
            write(&shared, &batch, sessions.drain(..));
            if seat.is_some() {
                tokio::task::yield_now().await;
            }
        }
        shard.log().release(&batch);
    }
}

fn write(shared: &Shared, batch: &Batch, sessions: impl Iterator<Item = Session>) {
    let mut sent = 0;
    for session in sessions {
        // A host's own stream may panic. That must not be the end of everybody's broadcasts.
        match catch_unwind(AssertUnwindSafe(|| session.catch_up(batch))) {
            Ok(messages) => sent += messages,
            Err(panic) => {
                let code = Some(CloseCode::INTERNAL_ERROR);
                let reason = "the connection panicked";
                let info = DisconnectInfo::new(Initiator::Error, code, reason);
                session.end_counted(&shared.stats.panics, info.with_error(panicked(panic)));
            }
        }
    }
    shared.stats.sent.add(sent);
    if shared.queue_budget.is_over() {
        shared.evict_fullest_queue();
    }
}
