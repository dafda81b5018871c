//! What waits for the gateway, and how much of it there may be.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::Stream;
use realtime_core::broker::BrokerMessage;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::member::Member;

/// How many messages may wait for the gateway, and how much memory they may take.
pub(crate) const INBOX: usize = 1_024;
pub(crate) const INBOX_BYTES: usize = 32 << 20;
/// In which pieces memory is counted.
pub(crate) const PIECE: usize = 1 << 10;

/// A message, with its share of the memory.
pub(crate) type Delivered = (BrokerMessage, OwnedSemaphorePermit);

/// What waits for the gateway. Dropping it leaves the cluster.
pub(crate) struct Inbox {
    pub(crate) received: mpsc::Receiver<Delivered>,
    pub(crate) member: Arc<Member>,
}

impl Stream for Inbox {
    type Item = BrokerMessage;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<BrokerMessage>> {
        let received = self.received.poll_recv(cx);
        // Its share of the memory is free again.
        received.map(|received| received.map(|(message, _room)| message))
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.member.health.end();
    }
}

/// The share of a message in the memory of the inbox. One of any size finds room once the others are
/// taken.
pub(crate) fn pieces(bytes: usize) -> u32 {
    let pieces = (bytes + 256).div_ceil(PIECE).min(INBOX_BYTES / PIECE);
    u32::try_from(pieces).unwrap_or(u32::MAX)
}
