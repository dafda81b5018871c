//! What carries a shard's broadcasts to its sessions.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crate::{Session, node::Node, outbound::Batch, session::EndCause};

/// After how many sessions, or bytes for all of them together, it lets other tasks have a turn.
const TURN: usize = 128;
const TURN_BYTES: usize = 1024 * 1024;

/// Reads everything that waits in the log and writes it to one session after the other, again and
/// again, until the gateway ends.
pub(super) async fn run(node: Arc<Node>, shard: usize) {
    let number = shard as u32;
    let Some(shard) = node.hub.shards().get(shard) else {
        return;
    };
    let stopped = node.stop.cancelled();
    tokio::pin!(stopped);
    let mut sessions = Vec::with_capacity(TURN);
    loop {
        let batch = tokio::select! {
            biased;
            () = &mut stopped => return,
            batch = shard.log().take() => batch,
        };
        node.metrics().taken(batch.stamps());
        let turn = (TURN_BYTES / batch.bytes().max(1)).clamp(1, TURN);
        match batch.rooms() {
            None => {
                let mut from = Some(0);
                while let Some(next) = from {
                    from = shard.members_from(next, turn, &mut sessions);
                    write(&node, &batch, sessions.drain(..));
                    if from.is_some() {
                        tokio::task::yield_now().await;
                    }
                }
            }
            // It costs what their members cost.
            Some(rooms) => {
                let mut written = 0;
                for room in rooms {
                    let mut from = Some(0);
                    while let Some(next) = from {
                        let members = node.hub.rooms();
                        let count = turn - written;
                        from = members.members_from(&room, number, next, count, &mut sessions);
                        written += sessions.len();
                        write(&node, &batch, sessions.drain(..));
                        if written >= turn {
                            written = 0;
                            tokio::task::yield_now().await;
                        }
                    }
                }
            }
        }
        node.metrics().carried(batch.stamps());
        shard.log().release(&batch);
    }
}

fn write(node: &Node, batch: &Batch, sessions: impl Iterator<Item = Session>) {
    let mut sent = 0;
    for session in sessions {
        // A stream's panic ends at its boundary. This is for what nobody has thought of: it must
        // not be the end of everybody's broadcasts.
        match catch_unwind(AssertUnwindSafe(|| session.catch_up(batch))) {
            Ok(messages) => sent += messages,
            Err(panic) => {
                session.end(EndCause::TaskPanicked(panic));
            }
        }
    }
    node.stats().sent.add(sent);
    node.env.relieve_if_needed();
}
