//! What moves the node's clock, and wakes sessions whose time has come: to ping, or to give up on
//! a peer.

use std::sync::Arc;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{Session, node::Node};

/// After how many sessions it lets other tasks have a turn.
const TURN: usize = 1_024;

/// Looks at every session's deadline again and again, until the gateway ends.
pub(super) async fn run(node: Arc<Node>) {
    let clock = &node.env.clock;
    let stopped = node.stop.cancelled();
    tokio::pin!(stopped);
    let mut ticks = interval(clock.tick());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut due, mut last) = (Vec::new(), Instant::now());
    loop {
        tokio::select! {
            biased;
            () = &mut stopped => return,
            _now = ticks.tick() => {}
        }
        clock.advance(last.elapsed());
        last = Instant::now();
        node.limits.sweep();
        let now = clock.now();
        for shard in node.hub.shards() {
            let mut from = Some(0);
            while let Some(next) = from {
                let is_due = |session: &Session| session.wake_at().becomes_due(now);
                from = shard.pick_from(next, TURN, is_due, &mut due);
                due.drain(..).for_each(|session| session.wake());
                tokio::task::yield_now().await;
            }
        }
    }
}
