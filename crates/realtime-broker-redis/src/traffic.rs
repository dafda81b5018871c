//! What waits for Redis on the connection that publishes.

use std::collections::VecDeque;

use bytes::BytesMut;
use realtime_core::broker::{BrokerError, Published, Topic};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::{OwnedSemaphorePermit, oneshot},
    time::Instant,
};

use crate::resp;

/// How many publications may be under way.
pub(crate) const WINDOW: usize = 1_024;
/// How much may wait to be written before more is stamped.
const UNWRITTEN: usize = 1 << 20;

/// Something to which Redis has not answered yet.
pub(crate) struct Pending {
    pub(crate) what: What,
    pub(crate) since: Instant,
}

pub(crate) enum What {
    /// Something that the node says of itself.
    Announcement {
        topic: Topic,
        subscription: u64,
    },
    Message {
        topic: Topic,
        subscription: u64,
        outcome: oneshot::Sender<Result<Published, BrokerError>>,
        /// Freed with it.
        _room: OwnedSemaphorePermit,
    },
    Question(oneshot::Sender<u64>),
    Role,
}

/// What waits for Redis on one connection.
#[derive(Default)]
pub(crate) struct Traffic {
    pub(crate) out: BytesMut,
    /// Something was written that may not have left yet.
    pub(crate) unflushed: bool,
    pub(crate) pending: VecDeque<Pending>,
    /// Why nothing more is sent; what is under way may still be answered.
    pub(crate) ending: Option<String>,
    /// The last subscription of this node of which this server knew.
    pub(crate) seen: u64,
}

impl Traffic {
    pub(crate) fn put(&mut self, words: &[&[u8]], what: What) {
        resp::put(&mut self.out, words);
        let since = Instant::now();
        self.pending.push_back(Pending { what, since });
    }

    /// Whether more may be sent.
    pub(crate) fn has_room(&self) -> bool {
        self.ending.is_none() && self.pending.len() < WINDOW && self.out.len() < UNWRITTEN
    }

    pub(crate) fn has_to_write(&self) -> bool {
        !self.out.is_empty() || self.unflushed
    }
}

/// Writes some of what waits.
///
/// # Cancel safety
/// What was written is gone from `out`.
pub(crate) async fn write_some(
    writes: &mut (impl AsyncWrite + Unpin),
    out: &mut BytesMut,
    unflushed: &mut bool,
) -> std::io::Result<()> {
    if !out.is_empty() {
        *unflushed = true;
        if writes.write_buf(out).await? == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
    }
    if out.is_empty() {
        writes.flush().await?;
        *unflushed = false;
        // After a burst.
        if out.capacity() > UNWRITTEN {
            *out = BytesMut::new();
        }
    }
    Ok(())
}
