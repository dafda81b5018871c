//! Clients that speak a dialect: what opens their sessions, and frames that hold more than a message.

use std::task::Context;

use realtime_core::{
    Identity,
    codec::{CodecError, Frame},
    dialect::{Action, Actions, Client, Heartbeat, Opening},
};

use super::Open;
use crate::{
    clock::NEVER,
    dialects::{Encoder, frame_of},
    identities::holds,
    limits::OverLimit,
    metrics::Received,
    node::Node,
    session::{EndCause, Session},
    session_task::{Early, heartbeat},
};

/// What is to be said of a session.
fn opening<'i>(node: &Node, session: &Session, identity: &'i Identity) -> Opening<'i> {
    let mut opening = Opening::new(session.id(), identity.key());
    opening.expires_in = holds(identity);
    if session.encoder().heartbeat() == Heartbeat::Messages {
        opening.ping_every = node.config.heartbeat.map(heartbeat::longest);
        opening.pong_within = node.config.pong_timeout;
    }
    opening
}

impl Open {
    /// Says what opens the session, in dialects where something does, and takes what the client has
    /// said before.
    pub(in crate::session_task) fn greet(&mut self, early: Early) {
        let mut shares = Shares::of(early.bytes, early.rest.len() + 1);
        if early.has_shown {
            self.received(Received::Handled, shares.one());
        }
        if let Encoder::Codec(_) = self.session.encoder() {
            return;
        }
        let identity = self.session.identity();
        let mut opening = opening(&self.node, &self.session, &identity);
        opening.request = early.request.as_ref();
        match self.session.encoder().opened(&opening) {
            Ok(Some(frame)) => {
                self.session.push_reply(frame);
            }
            Ok(None) => {}
            // Its client doesn't learn that there is a session.
            Err(error) => {
                self.session.end(EndCause::NotOpened(error.into()));
                for _ in early.rest {
                    self.received(Received::Unhandled, shares.one());
                }
                return;
            }
        }
        let mut rest = Batch::default();
        for action in early.rest {
            self.act(action, shares.one(), &mut rest, None);
        }
    }

    /// Does all that a frame asks for, in order. The first message may be handled at once; each of
    /// the others has a turn of its own.
    #[inline(never)]
    pub(super) fn on_dialect(&mut self, frame: Frame, cx: &mut Context<'_>) {
        let bytes = frame.as_bytes().len();
        let (actions, failed) = self.actions(frame);
        let is_of_dialect = actions.is_empty() && failed.is_none();
        let mut shares = Shares::of(bytes, actions.len() + usize::from(failed.is_some()));
        let mut batch = Batch {
            is_counted: true,
            ..Batch::default()
        };
        let mut cx = Some(cx);
        for action in actions {
            self.act(action, shares.one(), &mut batch, cx.take());
        }
        if let Some(error) = failed {
            self.act(Action::Malformed(error), shares.one(), &mut batch, None);
        }
        // Nothing is made of it: a sign of life, say.
        if is_of_dialect {
            self.received(Received::Handled, bytes);
        }
    }

    /// The same where it is more than the client may send: nothing of it is done.
    #[cold]
    pub(super) fn refuse_dialect(&mut self, frame: Frame, over: OverLimit) {
        let bytes = frame.as_bytes().len();
        let (actions, failed) = self.actions(frame);
        let mut shares = Shares::of(bytes, actions.len() + usize::from(failed.is_some()));
        let is_of_dialect = actions.is_empty() && failed.is_none();
        let has_failed = failed.is_some();
        let mut batch = Batch::default();
        let mut is_told = false;
        let failed = failed.map(Action::Malformed);
        for action in actions.into_iter().chain(failed) {
            let bytes = shares.one();
            match action {
                _ if self.is_cut_short() => self.received(Received::Unhandled, bytes),
                Action::Handle(message) => {
                    self.refuse_message(message, bytes, over);
                    is_told = true;
                }
                Action::Malformed(error) => {
                    self.received(Received::Malformed, bytes);
                    self.on_malformed(error, &mut batch);
                }
                _ => self.received(Received::RateLimited, bytes),
            }
        }
        if is_of_dialect {
            self.received(Received::RateLimited, bytes);
        }
        // It was answers of the dialect alone.
        if !is_told && !has_failed && !self.is_cut_short() {
            self.refuse_request(None, over);
        }
    }

    fn act(
        &mut self,
        action: Action,
        bytes: usize,
        batch: &mut Batch,
        cx: Option<&mut Context<'_>>,
    ) {
        if self.is_cut_short() {
            return self.received(Received::Unhandled, bytes);
        }
        if let Action::Malformed(error) = action {
            self.received(Received::Malformed, bytes);
            return self.on_malformed(error, batch);
        }
        // The first was counted with its frame.
        let counted = std::mem::take(&mut batch.is_counted);
        let taken = match &mut self.conduct {
            Some(conduct) if !counted => conduct.take(&self.node, 0, self.reader.received()),
            _ => Ok(()),
        };
        match (action, taken) {
            (Action::Handle(message), Ok(())) => match cx {
                Some(cx) => self.on_message(message, bytes, cx),
                None => self.put_behind(message, bytes),
            },
            (Action::Handle(message), Err(over)) => self.refuse_message(message, bytes, over),
            (Action::Answer(kind, answer), Ok(())) => {
                self.received(Received::Handled, bytes);
                self.malformed = 0;
                let full = self.session.push_reply(frame_of(kind, &answer));
                self.full_of_replies = full;
            }
            (_, Err(over)) => {
                self.received(Received::RateLimited, bytes);
                self.refuse_request(None, over);
            }
            (_, Ok(())) => self.received(Received::Handled, bytes),
        }
    }

    /// However many of a frame are wrong, they are one malformed frame.
    fn on_malformed(&mut self, error: CodecError, batch: &mut Batch) {
        let before = self.malformed;
        self.on_unreadable(error);
        if std::mem::replace(&mut batch.is_malformed, true) {
            self.malformed = before;
        }
    }

    fn actions(&self, frame: Frame) -> (Actions, Option<CodecError>) {
        let Encoder::Dialect(dialect) = self.session.encoder() else {
            return (Actions::new(), None);
        };
        let identity = self.session.identity();
        let opening = opening(&self.node, &self.session, &identity);
        let mut actions = Actions::new();
        let read = dialect.read(frame, &Client::of(&opening), &mut actions);
        (actions, read.err())
    }

    /// Whether the rest of a frame is no longer of interest. Where the client has left, it is.
    fn is_cut_short(&self) -> bool {
        self.session.is_closed() && self.finish_by == NEVER
    }
}

/// The bytes of a frame, among what it asks for: the last of those has what is left over.
struct Shares {
    bytes: usize,
    parts: usize,
}

impl Shares {
    const fn of(bytes: usize, parts: usize) -> Self {
        Self { bytes, parts }
    }

    /// That of the next part.
    fn one(&mut self) -> usize {
        let share = self.bytes.checked_div(self.parts).unwrap_or_default();
        self.parts = self.parts.saturating_sub(1);
        self.bytes -= share;
        share
    }
}

/// What is known of a frame while its actions are done.
#[derive(Debug, Default)]
struct Batch {
    /// Its first message has been counted already.
    is_counted: bool,
    /// A part of it was malformed.
    is_malformed: bool,
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use super::Shares;

    #[test]
    fn all_bytes_of_a_frame_are_among_its_parts() {
        let mut shares = Shares::of(11, 3);
        assert_eq!([shares.one(), shares.one(), shares.one()], [3, 4, 4]);
        assert_eq!(shares.one(), 0);
        assert_eq!(Shares::of(7, 1).one(), 7);
        assert_eq!(Shares::of(7, 0).one(), 0);
    }
}
