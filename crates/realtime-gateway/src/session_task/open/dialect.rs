//! Clients that speak a dialect: what opens their sessions, and frames that hold more than a message.

use std::{sync::Arc, task::Context};

use realtime_core::{
    BoxError, Identity,
    codec::{CodecError, Frame},
    dialect::{Action, Actions, Client, Dialect, Opening},
};

use super::Open;
use crate::{
    ErrorStage,
    clock::NEVER,
    dialects::{Encoder, frame_of},
    guarded::{Whose, caught},
    identities::holds,
    limits::OverLimit,
    node::Node,
    session::{EndCause, Session},
    session_task::Early,
};

/// What is to be said of a session.
fn opening<'i>(node: &Node, session: &Session, identity: &'i Identity) -> Opening<'i> {
    let mut opening = Opening::new(session.id(), identity.key());
    opening.expires_in = holds(identity);
    opening.ping_every = node.config.heartbeat;
    opening.pong_within = node.config.pong_timeout;
    opening
}

impl Open {
    /// Says what opens the session, in dialects where something does, and takes what the client has
    /// said before.
    pub(in crate::session_task) fn greet(&mut self, early: Early) {
        if let Encoder::Codec(_) = self.session.encoder() {
            return;
        }
        let identity = self.session.identity();
        let mut opening = opening(&self.node, &self.session, &identity);
        opening.request = early.request.as_ref();
        let opened = caught(Whose::Codec, || self.session.encoder().opened(&opening));
        match opened.map_err(BoxError::from) {
            Ok(Ok(frame)) => {
                if let Some(frame) = frame {
                    self.session.push_reply(frame);
                }
            }
            Ok(Err(error)) => self.not_opened(error.into()),
            Err(error) => self.not_opened(error),
        }
        for message in early.messages {
            self.ahead.push(message, 0);
        }
        self.book_ahead();
    }

    /// Its client doesn't learn that there is a session.
    fn not_opened(&self, error: BoxError) {
        self.report(ErrorStage::Message, error);
        self.session.end(EndCause::Shutdown);
    }

    /// Does all that a frame asks for, in order.
    pub(super) fn on_dialect(
        &mut self,
        dialect: &Arc<dyn Dialect>,
        frame: Frame,
        cx: &mut Context<'_>,
    ) {
        let bytes = frame.as_bytes().len();
        let (actions, failed) = self.actions(dialect, frame);
        let share = bytes / actions.len().max(1);
        let mut is_first = true;
        for action in actions {
            if self.is_cut_short() {
                return;
            }
            match action {
                Action::Handle(message) => {
                    match self.take_another(is_first) {
                        Ok(()) => self.on_message(message, share, cx),
                        Err(over) => self.refuse_message(message, over),
                    }
                    is_first = false;
                }
                other => self.do_other(other),
            }
        }
        if let Some(error) = failed {
            self.on_unreadable(error);
        }
    }

    /// The same where it is more than the client may send: nothing of it is handled.
    #[cold]
    pub(super) fn refuse_dialect(
        &mut self,
        dialect: &Arc<dyn Dialect>,
        frame: Frame,
        over: OverLimit,
    ) {
        let (actions, failed) = self.actions(dialect, frame);
        for action in actions {
            if self.is_cut_short() {
                return;
            }
            match action {
                Action::Handle(message) => self.refuse_message(message, over),
                other => self.do_other(other),
            }
        }
        if let Some(error) = failed {
            self.on_unreadable(error);
        }
    }

    fn actions(&self, dialect: &Arc<dyn Dialect>, frame: Frame) -> (Actions, Option<CodecError>) {
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

    /// The first message of a frame was counted with it.
    fn take_another(&mut self, is_first: bool) -> Result<(), OverLimit> {
        match &mut self.conduct {
            Some(conduct) if !is_first => conduct.take(0, self.reader.received()),
            _ => Ok(()),
        }
    }

    fn do_other(&mut self, action: Action) {
        match action {
            Action::Malformed(error) => self.on_unreadable(error),
            Action::Answer(kind, answer) => {
                self.full_of_replies = self.session.push_reply(frame_of(kind, &answer));
            }
            _ => {}
        }
    }
}
