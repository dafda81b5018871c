//! What senders offer, under the policy, and the replies beside it.

use std::{mem, sync::Arc};

use bytes::Bytes;

use super::{
    Accepted, Outbox, REPLY_BYTES, Refused,
    state::{Phase, State},
};
use crate::{
    outbound::{queue::WRITE_BYTES, turnstile::Turnstile},
    transport::Sink,
};

impl<W: Sink> Outbox<W> {
    /// Offers a frame under the policy.
    pub(crate) fn push(&self, frame: Bytes) -> (Accepted, Result<(), Refused>) {
        let mut accepted = Accepted::default();
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return (accepted, Err(Refused::Closed));
        }
        state.read_log(&self.log, self.address(), &mut accepted);
        let offered = self.add(&mut state, frame, &mut accepted);
        (accepted, offered)
    }

    /// Accepts a frame only if nothing is lost by it and nobody waits for room already; else it is
    /// left where it is.
    pub(crate) fn push_if_room(&self, frame: &mut Bytes) -> (Accepted, Result<(), Refused>) {
        self.try_push(frame, false)
    }

    fn try_push(&self, frame: &mut Bytes, is_first: bool) -> (Accepted, Result<(), Refused>) {
        let mut accepted = Accepted::default();
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return (accepted, Err(Refused::Closed));
        }
        state.read_log(&self.log, self.address(), &mut accepted);
        let State {
            writer,
            task,
            turnstile,
            ..
        } = &mut *state;
        let others_wait = !is_first && turnstile.as_ref().is_some_and(|t| t.is_busy());
        if others_wait || !writer.has_room(task.as_ref(), frame.len()) {
            state.room_wanted = true;
            return (accepted, Err(Refused::Full));
        }
        let offered = self.add(&mut state, mem::take(frame), &mut accepted);
        (accepted, offered)
    }

    /// Accepts a frame as soon as nothing is lost by it, and those who came before have had their
    /// turn. Cancel safe. What is accepted meanwhile is passed to `count`.
    pub(crate) async fn push_wait(
        &self,
        mut frame: Bytes,
        mut count: impl FnMut(Accepted),
    ) -> Result<(), Refused> {
        let turnstile = {
            let mut state = self.lock();
            let turnstile = state
                .turnstile
                .get_or_insert_with(|| Arc::new(Turnstile::new()));
            Arc::clone(turnstile)
        };
        let pushed = turnstile.pass(|| {
            let (accepted, offered) = self.try_push(&mut frame, true);
            count(accepted);
            (offered != Err(Refused::Full)).then_some(offered)
        });
        pushed.await
    }

    fn add(
        &self,
        state: &mut State<W>,
        frame: Bytes,
        accepted: &mut Accepted,
    ) -> Result<(), Refused> {
        let corked = self.is_corked();
        if !corked && state.writer.is_clear() {
            return state.hand_over(std::slice::from_ref(&frame), Some(&frame), accepted);
        }
        let State { writer, task, .. } = state;
        let offered = writer.offer(task.as_ref(), frame, accepted);
        if !corked || writer.queue.bytes() >= WRITE_BYTES {
            writer.write_now(task.as_ref());
        }
        offered
    }

    /// Appends a reply, outside the policy. It is written with the next
    /// [`poll_write`](Self::poll_write). Returns whether so many wait that no more should be made
    /// for now.
    pub(crate) fn push_reply(&self, frame: Bytes) -> (Accepted, bool) {
        let mut accepted = Accepted::default();
        let mut state = self.lock();
        if state.phase != Phase::Sealed {
            state.read_log(&self.log, self.address(), &mut accepted);
            let frame = state.writer.settled(frame);
            state.writer.reply(frame);
            accepted.sent += 1;
        }
        (accepted, state.writer.queue.reply_memory() >= REPLY_BYTES)
    }
}
