//! What a client may not do: it is told so, and what it does of it is counted.

use std::sync::Arc;

use realtime_core::{
    BoxError, ClientError, Message, MessageId,
    codec::{CodecError, CodecErrorKind, Frame, Notice},
};

use super::Open;
use crate::{
    ErrorStage,
    dialects::Encoder,
    limits::OverLimit,
    metrics::Received,
    session::{EndCause, Sorted},
    session_task::conduct::Conduct,
};

/// How many malformed messages in a row end a session.
const MALFORMED: u8 = 10;
/// What is refused is looked at for its id. Where it is longer than this, no more than a few are: a
/// flood of what is long would cost what it costs to handle it.
const LONG: usize = 16 * 1024;

impl Open {
    #[cold]
    pub(super) fn on_unreadable(&mut self, error: CodecError) {
        if error.kind() == CodecErrorKind::UnsupportedFrame {
            self.session.end(EndCause::UnsupportedFrame(error.into()));
            return;
        }
        self.one_more_malformed();
        let request = error.request().cloned();
        let error: BoxError = error.into();
        self.answer_error(request.as_ref(), &error);
        self.mistaken(error);
    }

    /// The client sends more than it may: this message isn't handled. What the server has asked for
    /// is taken all the same.
    #[cold]
    pub(super) fn refuse(&mut self, frame: Frame, over: OverLimit) {
        let bytes = frame.as_bytes().len();
        if !self.is_looked_at(&frame) {
            self.received(Received::RateLimited, bytes);
            return self.refuse_request(None, over);
        }
        let Encoder::Codec(codec) = self.session.encoder() else {
            return self.refuse_dialect(frame, over);
        };
        let id = match codec.decode(frame) {
            Ok(message) => return self.refuse_message(message, bytes, over),
            Err(error) if error.kind() == CodecErrorKind::UnsupportedFrame => {
                self.received(Received::Malformed, bytes);
                self.session.end(EndCause::UnsupportedFrame(error.into()));
                return;
            }
            // It is told that it sends too much, and counted as that alone; ten of these in a row
            // are too many all the same.
            Err(error) => {
                self.one_more_malformed();
                error.request().cloned()
            }
        };
        self.received(Received::RateLimited, bytes);
        self.refuse_request(id, over);
    }

    /// Whether one that is refused is read all the same: for its id, and where the server waits for
    /// an answer. Reading what is long costs more than refusing it.
    fn is_looked_at(&mut self, frame: &Frame) -> bool {
        let node = Arc::clone(&self.node);
        frame.as_bytes().len() <= LONG
            || self.session.awaits_answer()
            || self.conduct().may_look(&node)
    }

    pub(super) fn refuse_message(&mut self, message: Message, bytes: usize, over: OverLimit) {
        self.malformed = 0;
        let id = message.message_id().cloned();
        let is_answer = !message.is_plain()
            && matches!(
                self.session.sort_out(message),
                Sorted::Answer | Sorted::Late
            );
        self.received(
            match is_answer {
                true => Received::Answer,
                false => Received::RateLimited,
            },
            bytes,
        );
        if !is_answer {
            self.refuse_request(id, over);
        }
    }

    /// Tells the client so.
    pub(super) fn refuse_request(&mut self, id: Option<MessageId>, over: OverLimit) {
        let error = ClientError::new("too_many_requests", "you send more than you may")
            .with_retry_after(over.wait);
        self.notify(&Notice::Error {
            id: id.as_ref(),
            error: &error,
        });
        let node = Arc::clone(&self.node);
        // What others have used up is no fault of this one.
        if over.is_own && self.conduct().floods(&node) {
            self.session.end(EndCause::TooManyRequests);
        }
    }

    /// One more in a row.
    fn one_more_malformed(&mut self) {
        self.malformed += 1;
        if self.malformed >= MALFORMED {
            self.session.end(EndCause::TooManyMalformed);
        }
    }

    /// A message was one that nobody can handle. A client that sends many of them is closed,
    /// whatever it sends beside them.
    pub(super) fn mistaken(&mut self, error: BoxError) {
        self.report_client(error);
        let node = Arc::clone(&self.node);
        if self.conduct().is_mistaken(&node) {
            self.session.end(EndCause::TooManyMistakes);
        }
    }

    pub(super) fn report_client(&mut self, error: BoxError) {
        let (node, session) = (Arc::clone(&self.node), self.session.clone());
        let lines = self.conduct().lines(&node);
        node.reports
            .report_mistake(ErrorStage::Message, error, session, lines);
    }

    fn conduct(&mut self) -> &mut Conduct {
        self.conduct.get_or_insert_default()
    }
}
