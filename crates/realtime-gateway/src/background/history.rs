//! What happens to the history of rooms.

use std::sync::Arc;

use futures::StreamExt;
use realtime_core::history::{History, HistoryEvent};

use crate::{ErrorStage, health::Link, node::Node};

/// Takes note of outages and their ends, where rooms have a history, until the gateway ends.
pub(super) async fn run(node: Arc<Node>) {
    if !node.room_table.has_history() {
        return node.stop.cancelled().await;
    }
    let mut events = node.history.events();
    node.history_link.is_known_up();
    loop {
        let event = tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            Some(event) = events.next() => event,
            else => return node.stop.cancelled().await,
        };
        match event {
            HistoryEvent::Down { cause, .. } => {
                let said = format!("the history of rooms is down: {cause}");
                let (before, _) = node.history_link.turn(Link::Down { cause });
                if !matches!(before, Link::Down { .. }) {
                    node.stats().history_outages.add(1);
                }
                node.reports.link(ErrorStage::History, said);
            }
            HistoryEvent::Up => {
                let (before, lasted) = node.history_link.turn(Link::Up);
                if let Link::Down { .. } = before {
                    let said = format!("the history of rooms is up again, after {lasted:?}");
                    node.reports.link(ErrorStage::History, said);
                }
                // It may have lost everything meanwhile.
                node.hub.rooms().doubt_all();
            }
            _ => {}
        }
    }
}
