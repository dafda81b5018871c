//! What the application changes of whom sessions belong to.

use std::sync::Arc;

use futures::{StreamExt, stream};
use realtime_core::IdentityUpdate;

use super::rules;
use crate::{Session, node::Node};

/// How many sessions are changed, and their rules asked, at the same time.
const AT_ONCE: usize = 32;
/// After how many sessions it lets other tasks have a turn.
const TURN: usize = 128;

/// Returns of how many it was changed, and how many of them keep too much already.
pub(crate) async fn update(
    node: &Arc<Node>,
    sessions: Vec<Session>,
    update: &IdentityUpdate,
) -> (u64, u64) {
    let changes = sessions.into_iter().enumerate().map(async |(n, session)| {
        if n % TURN == TURN - 1 {
            tokio::task::yield_now().await;
        }
        if session.is_closed() {
            return None;
        }
        let changed = session.update_identity(update).is_ok();
        // Also what is asked for a second time: it may have been given up the first time.
        rules::ask_again(node, &session).await;
        Some(changed)
    });
    let mut changes = stream::iter(changes).buffer_unordered(AT_ONCE);
    let (mut count, mut failed) = (0, 0);
    while let Some(change) = changes.next().await {
        let Some(changed) = change else { continue };
        count += 1;
        failed += u64::from(!changed);
    }
    (count, failed)
}
