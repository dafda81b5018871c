//! What waits for the client is written or given up, and counted.

use std::task::{Context, Poll};

use bytes::Bytes;
use realtime_core::codec::{CodecError, Notice};

use super::{EndCause, Session};
use crate::{
    guarded::{Broken, Whose, caught},
    outbound::{Accepted, Discarded, Dropped},
};

impl Session {
    /// Writes what waits, for the session's task.
    pub(crate) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        failed: impl Fn(CodecError),
    ) -> Poll<std::io::Result<()>> {
        self.0.outbox.poll_write(cx, |missed| {
            let notice = self.gap(missed);
            // The codec has no form for it, or can't make it. Either way there is nothing to send.
            notice
                .unwrap_or_else(|error| {
                    failed(error);
                    None
                })
                .unwrap_or_default()
        })
    }

    /// The same once the session has ended: a codec that panics costs the notice, and not the close
    /// frame behind it.
    pub(crate) fn poll_write_rest(
        &self,
        cx: &mut Context<'_>,
        panicked: impl Fn(Broken),
    ) -> Poll<std::io::Result<()>> {
        self.0.outbox.poll_write(cx, |missed| {
            let notice = || self.gap(missed).ok();
            caught(Whose::Codec, notice)
                .map_err(&panicked)
                .ok()
                .flatten()
                .flatten()
                .unwrap_or_default()
        })
    }

    /// What the client is told when it has missed so many messages.
    fn gap(&self, missed: u64) -> Result<Option<Bytes>, CodecError> {
        let doors = self.doors();
        let rooms = doors.map_or_else(Vec::new, |doors| doors.positions(self));
        let rooms = rooms.as_slice();
        self.encoder().notice(&Notice::Gap { missed, rooms })
    }

    /// Notifies the client that it may have missed so many messages of other nodes.
    pub(crate) fn note_missed(&self, messages: u64) {
        self.0.outbox.note_missed(messages);
    }

    /// Ends the session at once and gives up all that waits for its client, because memory is short.
    /// Done again, it gives up the socket, too, with the frame that the socket has begun with.
    pub(crate) fn evict(&self) {
        let is_first = self.end(EndCause::SlowConsumer);
        self.count_discarded(self.0.outbox.evict(!is_first));
    }

    /// Lets go of the socket, and of all that waits for the client or came from it. The session
    /// has ended, though the application may keep it for as long as it likes.
    pub(crate) fn release(&self) {
        self.count_unsent(self.0.outbox.release());
        self.0.held.forfeit();
    }

    /// The bytes that wait for the client.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.0.outbox.bytes()
    }

    pub(super) fn count(&self, accepted: Accepted) {
        let env = &self.0.env;
        if accepted.sent > 0 {
            env.stats.sent.add(accepted.sent);
        }
        self.count_lost(accepted);
        env.relieve_if_needed();
    }

    pub(super) fn count_lost(&self, accepted: Accepted) {
        self.count_dropped(accepted.dropped);
        if accepted.full {
            self.end(EndCause::SlowConsumer);
        }
    }

    /// Its client doesn't get these.
    pub(crate) fn count_dropped(&self, dropped: Dropped) {
        if dropped.messages > 0 {
            self.0.env.stats.dropped.add(dropped.messages);
            self.0.env.metrics.dropped(dropped.size);
        }
    }

    /// Its client doesn't get these, at the end of the session.
    pub(crate) fn count_discarded(&self, discarded: Discarded) {
        self.count_dropped(discarded.dropped);
        self.count_unsent(discarded.unsent);
    }

    fn count_unsent(&self, unsent: Dropped) {
        if unsent.messages > 0 {
            self.0.env.stats.unsent.add(unsent.messages);
            self.0.env.metrics.unsent(unsent.size);
        }
    }
}
