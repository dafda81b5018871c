//! From events to answers: each message to its handler, a few read ahead, mistakes counted.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use realtime_core::{
    BoxError, ClientError, Message, MessageId,
    codec::{CodecError, CodecErrorKind, Frame, Notice},
};
use realtime_websocket::{Event, frame};

use super::{Open, deadlines::longest_pong};
use crate::{
    ErrorStage, Inbound, Session,
    clock::{Millis, NEVER},
    dialects::Encoder,
    handling::{authenticate, client_error, ping},
    limits::OverLimit,
    metrics::{Awaited, Received, Size},
    node::Node,
    session::{EndCause, Sorted, Unanswered, too_late, unanswered},
    session_task::{conduct::Conduct, handling::Done, read_ahead::ReadAhead},
};

/// How many malformed messages in a row end a session.
const MALFORMED: u8 = 10;
/// What is refused is looked at for its id. Where it is longer than this, no more than a few are: a
/// flood of what is long would cost what it costs to handle it.
const LONG: usize = 16 * 1024;
const UNMATCHED: &str = "the client has answered what it was not asked, or has answered already";

impl Open {
    /// One step of reading or handling. Returns whether anything happened.
    pub(super) fn poll_messages(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.handling.is_idle() {
            let waited = self.handling.waiting();
            let polled = self.handling.poll(cx);
            if let Some(size) = waited
                && !self.handling.is_waiting()
            {
                self.node.received(Received::Handled, 1, size);
            }
            if let Poll::Ready(done) = polled {
                self.answer(done);
                return true;
            }
        }
        if !self.ahead.is_empty()
            && self.may_handle(cx)
            && let Some((message, size)) = self.ahead.pop()
        {
            self.book_ahead();
            self.handle(message, size, cx);
            return true;
        }
        if self.is_full() && self.reader.may_scout() {
            self.scout();
            return true;
        }
        // Once the client has left, nothing but what was read before.
        if self.is_full() || (self.session.is_closed() && !self.reader.has_input()) {
            return false;
        }
        match self
            .reader
            .poll_event(cx, self.ahead.bytes(), self.session.held())
        {
            Poll::Ready(Ok(Some(event))) => self.on_event(event, cx),
            Poll::Ready(Ok(None)) => {}
            Poll::Ready(Err(end)) => self.lost(end),
            Poll::Pending => return false,
        }
        true
    }

    /// Whether no more is to be read for now. Behind what waits there may be the answer that a
    /// handler waits for: then it is more. What is refused is answered as it is read, so where its
    /// answers wait, nothing is.
    pub(super) fn is_full(&self) -> bool {
        let waits_for_reader = self.full_of_replies && self.may_answer_unheard();
        waits_for_reader
            || (self.ahead.is_full() && (self.ahead.is_overfull() || !self.session.awaits_answer()))
    }

    /// Whether it may answer what it reads without a handler: what is refused, and what a dialect
    /// answers itself.
    pub(super) fn may_answer_unheard(&self) -> bool {
        self.conduct.is_some() || matches!(self.session.encoder(), Encoder::Dialect(_))
    }

    /// Control frames don't wait behind messages that were read with them.
    fn scout(&mut self) {
        let (session, node, pong) = (&self.session, &self.node, &mut self.pong);
        let mut closed = None;
        self.reader.scout(|event| match event {
            Event::Ping(payload) => session.outbox().set_pong(frame::pong(&payload)),
            Event::Close(close) => closed = Some(close),
            Event::Pong(payload) => ponged(pong, &payload, session, node),
            Event::Text(_) | Event::Binary(_) => {}
        });
        if let Some(close) = closed {
            self.peer_is_done = true;
            self.left(EndCause::ClientClosed(close));
        }
    }

    /// Whether the next message may go to its handler: the one before is done, and so are enough
    /// of the replies.
    fn may_handle(&mut self, cx: &mut Context<'_>) -> bool {
        if self.full_of_replies {
            self.pump(cx);
        }
        self.handling.is_idle() && !self.full_of_replies
    }

    fn handle(&mut self, message: Message, size: Size, cx: &mut Context<'_>) {
        let timing = self.node.begin_with(message.route(), size);
        let inbound = Inbound::new(self.session.clone(), message);
        // Only now: before, it would cost the message one more move.
        if let Some(traced) = self.node.trace(&mut self.luck, &inbound) {
            self.handling.trace(traced);
        }
        let started = self.handling.start(inbound, timing, cx);
        if !self.handling.is_waiting() {
            self.node.received(Received::Handled, 1, size);
        }
        if let Poll::Ready(done) = started {
            self.answer(done);
        }
    }

    fn on_event(&mut self, event: Event, cx: &mut Context<'_>) {
        match event {
            Event::Text(text) => self.on_frame(Frame::Text(text.into()), cx),
            Event::Binary(payload) => self.on_frame(Frame::Binary(payload), cx),
            Event::Ping(payload) => self.session.outbox().set_pong(frame::pong(&payload)),
            Event::Pong(payload) => ponged(&mut self.pong, &payload, &self.session, &self.node),
            Event::Close(close) => {
                self.peer_is_done = true;
                self.left(EndCause::ClientClosed(close));
            }
        }
    }

    fn on_frame(&mut self, frame: Frame, cx: &mut Context<'_>) {
        self.assembly = None;
        let bytes = frame.as_bytes().len();
        if let Some(conduct) = &mut self.conduct
            && let Err(over) = conduct.take(&self.node, bytes, self.reader.received())
        {
            return self.refuse(frame, over);
        }
        let Encoder::Codec(codec) = self.session.encoder() else {
            return self.on_dialect(frame, cx);
        };
        match codec.decode(frame) {
            Ok(message) => self.on_message(message, bytes, cx),
            Err(error) => {
                self.received(Received::Malformed, bytes);
                self.on_unreadable(error);
            }
        }
    }

    /// This has become of a message of the client's, which is so long.
    #[inline]
    pub(super) fn received(&self, became: Received, bytes: usize) {
        self.node.received(became, 1, Size::of(bytes));
    }

    // Messages are large to be handed on by value, so this is no call.
    #[inline(always)]
    pub(super) fn on_message(&mut self, message: Message, bytes: usize, cx: &mut Context<'_>) {
        self.malformed = 0;
        self.session.heard(&message, || shows_token(&message));
        let message = match message.is_plain() {
            true => message,
            false => match self.sorted_out(message, bytes) {
                Some(message) => message,
                None => return,
            },
        };
        if self.ahead.is_empty() && self.may_handle(cx) {
            self.handle(message, Size::of(bytes), cx);
        } else {
            self.keep(message, bytes);
        }
    }

    /// The same where it is not its turn yet.
    pub(super) fn put_behind(&mut self, message: Message, bytes: usize) {
        self.malformed = 0;
        self.session.heard(&message, || shows_token(&message));
        if let Some(message) = self.sorted_out(message, bytes) {
            self.keep(message, bytes);
        }
    }

    /// Keeps a message until it is its turn, but for a ping: who asks whether the server is there
    /// takes a late answer for a dead connection. Where answers wait for their reader, so does it.
    fn keep(&mut self, message: Message, bytes: usize) {
        if !self.full_of_replies && self.node.is_own_ping(message.route()) {
            let timing = self.node.begin_with(message.route(), Size::of(bytes));
            self.received(Received::Handled, bytes);
            return self.answer_untraced(Done::at_once(&message, ping::answer(), timing));
        }
        self.ahead.push(message, bytes);
        self.book_ahead();
    }

    /// What the server was waiting for, or a message of which more is said than its client may say.
    #[cold]
    fn sorted_out(&mut self, message: Message, bytes: usize) -> Option<Message> {
        let sorted = self.session.sort_out(message);
        if let Sorted::Message(message) = sorted {
            return Some(message);
        }
        self.received(Received::Answer, bytes);
        if let Sorted::Unmatched = sorted {
            self.mistaken(UNMATCHED.into());
        }
        None
    }

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
    fn refuse(&mut self, frame: Frame, over: OverLimit) {
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

    pub(super) fn book_ahead(&mut self) {
        let held = self.session.held();
        self.reader.book(self.ahead.bytes(), held);
    }

    /// Gives up what was read and not handled.
    pub(in crate::session_task) fn release(&mut self) {
        let held_back = self.handling.forget_waiting();
        let waiting = self.ahead.len() + usize::from(held_back.is_some());
        let size = self.ahead.size().and(held_back.unwrap_or_default());
        self.ahead = ReadAhead::default();
        let (undecoded, of_those) = self.reader.release(self.session.held());
        let messages = waiting as u64 + undecoded;
        self.node
            .received(Received::Unhandled, messages, size.and(of_those));
    }

    #[inline(always)]
    fn answer(&mut self, done: Done) {
        match self.handling.is_traced() {
            true => self.answer_traced(done),
            false => self.answer_untraced(done),
        }
    }

    #[cold]
    fn answer_traced(&mut self, done: Done) {
        let traced = self.handling.take_traced();
        if let Err(error) = &done.result {
            traced.failed(|| client_error::for_trace(error, done.panicked));
        }
        // Entering it costs something, and most answers say nothing of it.
        match done.result.is_ok() && !self.node.tracer().tells_clients() {
            true => self.answer_untraced(done),
            false => traced.within(|| self.answer_untraced(done)),
        }
    }

    fn answer_untraced(&mut self, done: Done) {
        let Done {
            request,
            result,
            panicked,
            timing,
        } = done;
        self.node
            .metrics()
            .handled(&timing, || client_error::outcome(&result));
        match result {
            Ok(reply) => {
                if let (Some(request), Some(data)) = (request, reply.into_payload()) {
                    let message = Message::plain(Some(request.id), request.route, data);
                    match self.session.reply(&message) {
                        Ok(full) => self.full_of_replies = full,
                        Err(error) => self.unanswerable(message.message_id(), error.into()),
                    }
                }
            }
            Err(error) => {
                self.node.stats().failed.add(1);
                // A replier may have been faster than the failure.
                if let Some(request) = request
                    && !self.session.has_answered(&request.id)
                {
                    self.answer_error(Some(&request.id), &error);
                }
                if panicked {
                    self.session.end(EndCause::HandlerPanicked);
                    // The answer is written, and nothing else is handled.
                    self.finish_by = NEVER;
                }
                if client_error::is_mistake(&error) {
                    self.mistaken(error);
                } else if client_error::is_clients(&error) {
                    self.report_client(error);
                } else {
                    self.report(ErrorStage::Message, error);
                }
            }
        }
    }

    /// A message was one that nobody can handle. A client that sends many of them is closed,
    /// whatever it sends beside them.
    fn mistaken(&mut self, error: BoxError) {
        self.report_client(error);
        let node = Arc::clone(&self.node);
        if self.conduct().is_mistaken(&node) {
            self.session.end(EndCause::TooManyMistakes);
        }
    }

    fn report_client(&mut self, error: BoxError) {
        let (node, session) = (Arc::clone(&self.node), self.session.clone());
        let lines = self.conduct().lines(&node);
        node.reports
            .report_mistake(ErrorStage::Message, error, session, lines);
    }

    fn conduct(&mut self) -> &mut Conduct {
        self.conduct.get_or_insert_default()
    }

    /// There is no answer of the handler's, or none that has a form in the codec: the client learns
    /// that.
    fn unanswerable(&mut self, id: Option<&MessageId>, error: BoxError) {
        self.node.stats().failed.add(1);
        self.answer_error(id, &error);
        self.report(ErrorStage::Message, error);
    }

    /// Requests whose handlers took repliers, which were dropped later, or have had their time.
    /// Returns whether there was one, and when to look again.
    pub(super) fn answer_for_repliers(&mut self) -> (bool, Option<Millis>) {
        let Unanswered {
            dropped,
            late,
            next,
        } = self.session.take_unanswered();
        for id in &dropped {
            self.unanswerable(Some(id), unanswered().into());
        }
        for id in &late {
            self.unanswerable(Some(id), too_late().into());
        }
        (!dropped.is_empty() || !late.is_empty(), next)
    }

    #[cold]
    fn answer_error(&mut self, id: Option<&MessageId>, error: &BoxError) {
        let error = &match self.node.config.decode_details {
            true => client_error::for_client_in_detail(error),
            false => client_error::for_client(error),
        };
        let notice = Notice::Error { id, error };
        if !error.__has_data() {
            return self.notify(&notice);
        }
        // The application's data is foreign: where it has no form, the error goes without.
        match self.session.reply_notice(&notice) {
            Ok(full) => self.full_of_replies = full,
            Err(wrong) => {
                self.report(ErrorStage::Message, wrong);
                let error = &error.clone().without_data();
                self.notify(&Notice::Error { id, error });
            }
        }
    }

    fn notify(&mut self, notice: &Notice<'_>) {
        match self.session.reply_notice(notice) {
            Ok(full) => self.full_of_replies = full,
            Err(error) => self.report(ErrorStage::Message, error),
        }
    }
}

/// A pong has come, maybe for the ping that is waited for.
fn ponged(awaited: &mut Awaited, payload: &[u8], session: &Session, node: &Node) {
    let took = awaited.came(payload, longest_pong(node));
    node.metrics().round_trip(took);
    session.took(took);
}

/// Whether a message holds what nobody is to see who looks at it.
#[cold]
fn shows_token(message: &Message) -> bool {
    message.route() == authenticate::ROUTE
}
