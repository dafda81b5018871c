//! From events to handlers: each message in its turn, a few read ahead.

use std::task::{Context, Poll};

use realtime_core::{Message, codec::Frame};
use realtime_websocket::{Event, frame};

use super::{Open, deadlines::longest_pong};
use crate::{
    Inbound, Session,
    dialects::Encoder,
    handling::{authenticate, ping},
    metrics::{Awaited, Received, Size},
    node::Node,
    session::{EndCause, Sorted},
    session_task::{handling::Done, read_ahead::ReadAhead},
};

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
