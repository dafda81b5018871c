//! What waits for Redis on the connection that publishes.

use std::{collections::VecDeque, time::Duration};

use bytes::BytesMut;
use realtime_core::broker::{BrokerError, Published, Topic};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::{OwnedSemaphorePermit, oneshot},
    time::Instant,
};

use crate::{member::Question, resp};

/// How many publications may be under way.
pub(crate) const WINDOW: usize = 1_024;
/// How much may wait to be written before more is stamped.
const UNWRITTEN: usize = 1 << 20;

/// How long Redis may take to answer what it has, and how long nothing may leave of what waits.
const ANSWERED: Duration = Duration::from_secs(5);
/// How much longer it may take for each MiB on its way: what was written may still lie in the
/// socket.
const FOR_EACH_MIB: Duration = Duration::from_secs(1);

/// Something to which Redis has not answered yet.
pub(crate) struct Pending {
    pub(crate) what: What,
    /// When it was seen to be written; before that, when it was put here.
    since: Instant,
    is_written: bool,
    /// Where it ends among all bytes of the connection.
    end: u64,
    size: usize,
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
    Question(Question),
    Role,
    /// Nobody listens: may this node publish on topics?
    Topic,
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
    /// Redis has accepted something on this connection.
    pub(crate) is_accepted: bool,
    /// How many bytes were put here, how many of them were seen to be written, and when some were
    /// last.
    put: u64,
    written: u64,
    wrote: Option<Instant>,
}

impl Traffic {
    pub(crate) fn put(&mut self, words: &[&[u8]], what: What) {
        let before = self.out.len();
        resp::put(&mut self.out, words);
        let size = self.out.len() - before;
        self.put += size as u64;
        self.pending.push_back(Pending {
            what,
            since: Instant::now(),
            is_written: false,
            end: self.put,
            size,
        });
    }

    /// For how long what waits longest has had no answer, where that is too long.
    ///
    /// What is large needs its time on a slow way: while bytes leave, nothing is overdue.
    pub(crate) fn is_overdue(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let written = self.put - self.out.len() as u64;
        if written > self.written {
            (self.written, self.wrote) = (written, Some(now));
        }
        for pending in &mut self.pending {
            if !pending.is_written && pending.end <= written {
                (pending.is_written, pending.since) = (true, now);
            }
        }
        let oldest = self.pending.front()?;
        let (since, may_wait) = match oldest.is_written {
            true => {
                let sent = self.pending.iter().filter(|pending| pending.is_written);
                let bytes: usize = sent.map(|pending| pending.size).sum();
                let more = FOR_EACH_MIB.mul_f64(bytes as f64 / f64::from(1 << 20));
                (oldest.since, ANSWERED + more)
            }
            false => (
                self.wrote.unwrap_or(oldest.since).max(oldest.since),
                ANSWERED,
            ),
        };
        let waited = now.duration_since(since);
        (waited > may_wait).then_some(waited)
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
