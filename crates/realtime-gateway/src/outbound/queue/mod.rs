//! What waits to be written to one socket: bounded, in order, under the backpressure policy.
//!
//! A pure data structure: the lock around it and the socket behind it are in `outbox`.
//!
//! ```text
//!   partial ─► pong, ping ─► gap notice ─► data: policy frames and replies, in order ─► close
//! ```

mod controls;
mod writing;

use std::collections::VecDeque;

use bytes::Bytes;

use self::controls::{Account, Controls, NO_CONTROLS};
use crate::{config::Backpressure, metrics::Size};

/// How many bytes one write has at the most.
pub(crate) const WRITE_BYTES: usize = 64 * 1024;
/// How many frames one write has at the most.
pub(crate) const WRITE_FRAMES: usize = 64;
/// What a frame takes beside its bytes: its place, of which a deque may have twice as many as it
/// has frames, and its allocation.
const FRAME: usize = 2 * size_of::<Queued>() + 32;

/// How much a queue holds and what happens when that is not enough.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueLimits {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    pub(crate) policy: Backpressure,
}

/// What became of a frame that was offered under the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Push {
    /// It waits, and this many older ones were dropped for it.
    Queued { dropped: u64 },
    /// It was dropped, as the policy `DropNewest` says.
    Dropped,
    /// There is no room, and the policy `Close` says to end the session.
    Full,
}

/// Messages that the client doesn't get.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) messages: u64,
    pub(crate) size: Size,
}

impl Dropped {
    pub(crate) const fn new(messages: u64, bytes: usize) -> Self {
        Self {
            messages,
            size: Size::of(bytes),
        }
    }

    pub(crate) const fn add(&mut self, more: Self) {
        self.messages += more.messages;
        self.size = self.size.and(more.size);
    }
}

/// What is thrown away at the end of a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[must_use = "it is counted"]
pub(crate) struct Discarded {
    /// What waited under the policy.
    pub(crate) dropped: Dropped,
    /// Answers that waited, and what the socket had begun with.
    pub(crate) unsent: Dropped,
}

#[derive(Debug)]
struct Queued {
    frame: Bytes,
    account: Account,
}

/// The frames that the socket has not accepted.
#[derive(Debug)]
pub(crate) struct Queue {
    data: VecDeque<Queued>,
    /// Boxed, since there seldom are any: an idle session keeps no room for them.
    controls: Option<Box<Controls>>,
    policy_messages: usize,
    /// Of these two accounts, also what is left of a frame that the socket accepted in part.
    policy_bytes: usize,
    reply_bytes: usize,
}

impl Queue {
    pub(crate) const fn new() -> Self {
        Self {
            data: VecDeque::new(),
            controls: None,
            policy_messages: 0,
            policy_bytes: 0,
            reply_bytes: 0,
        }
    }

    fn controls(&self) -> &Controls {
        self.controls.as_deref().unwrap_or(&NO_CONTROLS)
    }

    fn controls_mut(&mut self) -> &mut Controls {
        self.controls.get_or_insert_default()
    }

    /// The bytes under the policy that wait, also of a frame that the socket has accepted in part.
    #[inline]
    pub(crate) const fn policy_bytes(&self) -> usize {
        self.policy_bytes
    }

    /// Whether nothing waits, and there is no gap to report.
    pub(crate) fn is_empty(&self) -> bool {
        self.data.is_empty() && self.controls.is_none()
    }

    /// How many frames of data wait.
    pub(crate) fn frames(&self) -> usize {
        self.data.len()
    }

    /// Begins with what is left of a frame under the policy that the socket accepted in part. Only
    /// while empty.
    pub(crate) fn set_partial(&mut self, rest: Bytes) {
        self.policy_bytes += rest.len();
        self.controls_mut().set_partial(rest, Account::Policy);
    }

    /// Whether a frame of this size would be accepted without a loss. A queue without policy
    /// frames accepts one of any size, so that one larger than the limit is not stuck for ever.
    pub(crate) fn has_room(&self, bytes: usize, limits: QueueLimits) -> bool {
        self.policy_bytes == 0
            || (self.policy_messages < limits.messages
                && self.policy_bytes.saturating_add(bytes) <= limits.bytes)
    }

    /// Whether a frame of this size could be accepted if everything that may be dropped were.
    fn can_have_room(&self, bytes: usize, limits: QueueLimits) -> bool {
        let begun = self.controls().partial_bytes(Account::Policy);
        begun == 0 || begun.saturating_add(bytes) <= limits.bytes
    }

    /// Offers a frame under the policy.
    pub(crate) fn push(&mut self, frame: Bytes, limits: QueueLimits) -> Push {
        let mut dropped = 0;
        if !self.has_room(frame.len(), limits) {
            match limits.policy {
                Backpressure::Close => return Push::Full,
                Backpressure::DropOldest if self.can_have_room(frame.len(), limits) => {
                    while !self.has_room(frame.len(), limits) && self.drop_oldest() {
                        dropped += 1;
                    }
                    self.note_missed(dropped);
                }
                // Nor does it help to drop what waits, where it is what the socket has begun with
                // that leaves no room.
                Backpressure::DropNewest | Backpressure::DropOldest => {
                    self.note_missed(1);
                    return Push::Dropped;
                }
            }
        }
        self.policy_messages += 1;
        self.policy_bytes += frame.len();
        self.data.push_back(Queued {
            frame,
            account: Account::Policy,
        });
        Push::Queued { dropped }
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(at) = self.data.iter().position(|q| q.account == Account::Policy) else {
            return false;
        };
        if let Some(oldest) = self.data.remove(at) {
            self.policy_messages -= 1;
            self.policy_bytes -= oldest.frame.len();
        }
        true
    }

    /// Appends a reply, outside the policy. The caller stops making replies while
    /// [`reply_memory`](Self::reply_memory) is high.
    pub(crate) fn push_reply(&mut self, frame: Bytes) {
        self.reply_bytes += frame.len();
        self.data.push_back(Queued {
            frame,
            account: Account::Reply,
        });
    }

    /// The memory of replies that wait, also of one that the socket has accepted in part.
    pub(crate) fn reply_memory(&self) -> usize {
        let frames = self.data.len() - self.policy_messages;
        self.reply_bytes + frames * FRAME
    }

    /// At most one pong waits; the latest wins.
    pub(crate) fn set_pong(&mut self, frame: Bytes) {
        self.controls_mut().pong = frame;
    }

    /// Whether much is left of a frame that the socket has accepted in part.
    pub(crate) fn has_large_partial(&self) -> bool {
        self.controls().partial.len() > WRITE_BYTES
    }

    pub(crate) fn has_ping(&self) -> bool {
        !self.controls().ping.is_empty()
    }

    pub(crate) fn has_pong(&self) -> bool {
        !self.controls().pong.is_empty()
    }

    /// At most one ping waits: the first, which may be the one whose answer is waited for.
    pub(crate) fn set_ping(&mut self, frame: Bytes) {
        if !self.has_ping() {
            self.controls_mut().ping = frame;
        }
    }

    /// The last frame of all.
    pub(crate) fn set_close(&mut self, frame: Bytes) {
        self.controls_mut().close = frame;
    }

    /// Messages were lost before they came here.
    pub(crate) fn note_missed(&mut self, messages: u64) {
        if messages > 0 {
            let missed = &mut self.controls_mut().missed;
            *missed = missed.saturating_add(messages);
        }
    }

    /// How many dropped messages are to be reported before the next data, if no notice that waits
    /// counts them all. Those of a notice that waits are in the number: a new one replaces it.
    pub(crate) fn notice_due(&self) -> Option<u64> {
        let Controls {
            missed, noticed, ..
        } = self.controls();
        (*missed > 0).then(|| missed.saturating_add(*noticed))
    }

    /// Reports so many dropped messages to the peer before the next data.
    pub(crate) fn set_notice(&mut self, frame: Bytes, reported: u64) {
        let controls = self.controls_mut();
        let due = controls.missed.saturating_add(controls.noticed);
        controls.missed = due.saturating_sub(reported);
        controls.noticed = if frame.is_empty() { 0 } else { reported };
        controls.notice = frame;
        self.drop_empty_controls();
    }

    /// Throws away all data that waits, but for a frame that the socket accepted in part.
    pub(crate) fn discard(&mut self) -> Discarded {
        let begun = |account| self.controls().partial_bytes(account);
        let (policy, reply) = (begun(Account::Policy), begun(Account::Reply));
        let messages = self.policy_messages;
        let replies = self.data.len() - messages;
        let discarded = Discarded {
            dropped: Dropped::new(messages as u64, self.policy_bytes - policy),
            unsent: Dropped::new(replies as u64, self.reply_bytes - reply),
        };
        self.data = VecDeque::new();
        (self.policy_messages, self.policy_bytes, self.reply_bytes) = (0, policy, reply);
        if let Some(controls) = &mut self.controls {
            let partial = std::mem::take(&mut controls.partial);
            let close = std::mem::take(&mut controls.close);
            **controls = Controls {
                partial,
                account: controls.account,
                close,
                ..Controls::default()
            };
        }
        self.drop_empty_controls();
        discarded
    }

    /// The data that waits, with the frame that the socket has accepted in part.
    pub(crate) fn unsent(&self) -> Dropped {
        let controls = self.controls();
        let begun = controls.account != Account::Control && !controls.partial.is_empty();
        let messages = self.data.len() + usize::from(begun);
        Dropped::new(messages as u64, self.policy_bytes + self.reply_bytes)
    }

    /// The bytes that wait, of all kinds.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        let controls = self
            .controls
            .as_ref()
            .map_or(0, |controls| controls.bytes());
        controls + self.policy_bytes + self.reply_bytes
    }

    /// The memory that they take.
    #[inline]
    pub(crate) fn memory(&self) -> usize {
        self.bytes() + self.data.len() * FRAME
    }

    fn drop_empty_controls(&mut self) {
        if self.controls().is_empty() {
            self.controls = None;
        }
    }
}

#[cfg(test)]
mod tests;
