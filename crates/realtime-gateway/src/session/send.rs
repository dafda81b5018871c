//! How it is sent to the client: under the policy, with patience, or as an answer.

use std::cell::Cell;

use bytes::Bytes;
use realtime_core::{
    Message,
    codec::{CodecError, CodecErrorKind, Notice, routes},
};

use super::{Inner, Session};
use crate::{
    SendError, SendErrorKind,
    compression::Turn,
    dialects::Encoder,
    guarded::{Whose, caught},
    outbound::{Batch, Refused},
};

/// How many sends that may wait a task makes before it lets others have a turn.
const SENDS_PER_TURN: u8 = 128;

impl Session {
    /// Makes a frame of what the application sends to this session alone.
    pub(super) fn encode_sent(&self, message: &Message) -> Result<Bytes, CodecError> {
        check_route(message)?;
        self.encode(message)
    }

    /// Makes a frame for this session alone.
    pub(super) fn encode(&self, message: &Message) -> Result<Bytes, CodecError> {
        let outbox = &self.0.outbox;
        if self.0.env.tracer.tells_clients() {
            return self.encode_telling(message);
        }
        let frame = outbox.make(|out| self.encoder().frame_in(out, message))?;
        Ok(self.0.env.dialects.sent(outbox.dialect(), frame, message))
    }

    /// The same where clients are told of traces.
    #[cold]
    fn encode_telling(&self, message: &Message) -> Result<Bytes, CodecError> {
        let told = &mut None;
        let message = self.0.env.tracer.told(message, told);
        let outbox = &self.0.outbox;
        let frame = outbox.make(|out| self.encoder().frame_in(out, message))?;
        Ok(self.0.env.dialects.sent(outbox.dialect(), frame, message))
    }

    /// Whether it may be sent compressed frames.
    pub(crate) fn is_deflated(&self) -> bool {
        self.0.outbox.dialect().is_deflated()
    }

    /// What speaks to its client.
    #[inline]
    pub(crate) fn encoder(&self) -> &Encoder {
        let Inner { outbox, env, .. } = &*self.0;
        env.dialects.of(outbox.dialect())
    }

    /// Hands over a frame that is ready to be written, and waits for room. An empty one is nothing
    /// to be said.
    pub(super) async fn deliver_wait(&self, mut frame: Bytes) -> Result<(), SendError> {
        // Who sends in a loop to a client that reads fast lets others have a turn.
        if is_nth_send() || (self.is_deflated() && is_long_compressing()) {
            tokio::task::yield_now().await;
        }
        if self.is_closed() {
            return Err(closed());
        }
        if frame.is_empty() {
            return Ok(());
        }
        let (accepted, offered) = self.0.outbox.push_if_room(&mut frame);
        self.count(accepted);
        match offered {
            Ok(()) => Ok(()),
            // Boxed, since there nearly always is room: a handler that sends stays small.
            Err(Refused::Full) => Box::pin(self.deliver_with_room(frame)).await,
            Err(_) => Err(closed()),
        }
    }

    async fn deliver_with_room(&self, frame: Bytes) -> Result<(), SendError> {
        let count = |accepted| self.count(accepted);
        // The end of the session wakes those who wait here.
        let pushed = self.0.outbox.push_wait(frame, count).await;
        pushed.map_err(|_| closed())
    }

    /// Hands over a frame that is ready to be written. An empty one is nothing to be said.
    pub(crate) fn deliver(&self, frame: Bytes) -> Result<(), SendError> {
        if self.is_closed() {
            return Err(closed());
        }
        if frame.is_empty() {
            return Ok(());
        }
        let (accepted, offered) = self.0.outbox.push(frame);
        self.count(accepted);
        match offered {
            Ok(()) => Ok(()),
            Err(Refused::Closed) => Err(closed()),
            Err(Refused::Dropped) => {
                let context = "the session's queue is full, so the message was dropped; send less, or use \
                               `send_wait`";
                Err(SendError::new(SendErrorKind::Backpressure, context))
            }
            Err(Refused::Full) => {
                let context = "the session's queue is full, so the session is being closed; send less, or \
                               use `send_wait`";
                Err(SendError::new(SendErrorKind::Backpressure, context))
            }
        }
    }

    /// Writes what a round of its shard's dispatcher brings, and returns how many messages that
    /// are.
    pub(crate) fn catch_up(&self, batch: &Batch) -> u64 {
        let accepted = self.0.outbox.catch_up(batch);
        self.count_lost(accepted);
        accepted.sent
    }

    /// Answers the client, outside the policy. It leaves when the session's task next writes.
    /// Returns whether so many replies wait that no more should be made for now.
    pub(crate) fn reply(&self, message: &Message) -> Result<bool, CodecError> {
        let frame = self.encode(message)?;
        Ok(!frame.is_empty() && self.push_reply(frame))
    }

    /// Says something to the client that it hasn't asked for, outside the policy.
    pub(crate) fn tell(&self, notice: &Notice<'_>) -> Result<(), CodecError> {
        if let Some(frame) = self.notice_from_outside(notice)? {
            self.push_reply(frame);
            self.wake();
        }
        Ok(())
    }

    /// Makes a notice where a panic of the codec would be somebody else's.
    pub(super) fn notice_from_outside(
        &self,
        notice: &Notice<'_>,
    ) -> Result<Option<Bytes>, CodecError> {
        let encoder = self.encoder();
        let frame = caught(Whose::Codec, || encoder.notice(notice));
        frame.unwrap_or_else(|broken| {
            let context = "what the gateway has to say could not be encoded";
            Err(CodecError::new(CodecErrorKind::Encode, context).with_source(broken))
        })
    }

    /// The same for what the gateway itself has to say.
    pub(crate) fn reply_notice(&self, notice: &Notice<'_>) -> Result<bool, CodecError> {
        let frame = self.encoder().notice(notice)?;
        Ok(frame.is_some_and(|frame| self.push_reply(frame)))
    }

    pub(crate) fn push_reply(&self, frame: Bytes) -> bool {
        let (accepted, full) = self.0.outbox.push_reply(frame);
        self.count(accepted);
        full
    }

    /// Answers from whatever task, outside the policy.
    pub(super) fn push_late(&self, frame: Bytes) -> Result<(), SendError> {
        let (accepted, _full) = self.0.outbox.push_reply(frame);
        self.count(accepted);
        if accepted.sent == 0 {
            return Err(closed());
        }
        self.wake();
        Ok(())
    }
}

/// Whether the application may send on a message's route: on the gateway's own, clients would take
/// it for the gateway's word.
#[inline]
pub(crate) fn check_route(message: &Message) -> Result<(), CodecError> {
    match routes::is_reserved(message.route()) {
        false => Ok(()),
        true => Err(reserved(message.route())),
    }
}

#[cold]
fn reserved(route: &str) -> CodecError {
    let context = format!(
        "expected a route other than the gateway's own, on which clients take what comes for its \
         word; got {route:?}: send on another one"
    );
    CodecError::new(CodecErrorKind::Encode, context)
}

/// Whether it is time for others: once in so many sends that may wait, on this thread. Tokio's own
/// budget would do, too, and costs ten times as much.
fn is_nth_send() -> bool {
    thread_local! {
        static SENDS: Cell<u8> = const { Cell::new(0) };
    }
    let sends = SENDS.get().wrapping_add(1);
    SENDS.set(sends);
    sends.is_multiple_of(SENDS_PER_TURN)
}

/// Whether it is time for others, since so much was compressed on this thread.
#[cold]
fn is_long_compressing() -> bool {
    thread_local! {
        static TURN: Cell<Option<Turn>> = const { Cell::new(None) };
    }
    let is_over = TURN.get().is_some_and(Turn::is_over);
    if is_over || TURN.get().is_none() {
        TURN.set(Some(Turn::begin()));
    }
    is_over
}

fn closed() -> SendError {
    SendError::new(
        SendErrorKind::SessionClosed,
        "the session is closing or closed",
    )
}
