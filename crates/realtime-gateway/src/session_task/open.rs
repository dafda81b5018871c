//! The life of an open session: one state machine that reads, handles, writes and keeps time.
//!
//! ```text
//!   socket ─► reader ─► a few ahead ─► handling ─► reply ───────┐
//!                │ ping                                         ▼
//!   socket ◄─────┴──────────────────────────────────────────  outbox
//! ```
//!
//! All of it is polled by the session's own task, so a slow handler holds up neither writes nor
//! pings: only the reading of more than a few messages ahead.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use realtime_core::{
    BoxError, Message, MessageId, MessageParts,
    codec::{CodecErrorKind, Frame, Notice},
};
use realtime_websocket::{Event, frame};

use super::{
    frame_reader::{FrameReader, ReadEnd},
    handling::{Done, Handling},
    heartbeat::{Beat, Heartbeat, Peer, Times},
    read_ahead::ReadAhead,
};
use crate::{
    ErrorStage, Inbound, Session,
    clock::{Millis, NEVER, millis},
    handling::client_error,
    node::Node,
    outbound::Progress,
    session::EndCause,
};

/// How many turns a session takes before it lets others have one. Each reads or handles one
/// message, or reads the socket once.
const TURNS: usize = 64;
/// How many malformed messages in a row end a session.
const MALFORMED: u32 = 10;
/// How many messages in a row that are malformed, or whose route or data is wrong, end a session.
const MISTAKES: u32 = 100;
/// How long a message may come as slowly as it likes.
const SLOW_START: Duration = Duration::from_secs(30);
/// How long what a client sent before it left may take to be handled, before its close frame is
/// answered.
const FINISH: Duration = Duration::from_secs(3);

/// An open session.
pub(super) struct Open {
    pub(super) session: Session,
    pub(super) reader: FrameReader,
    pub(super) handling: Handling,
    pub(super) node: Arc<Node>,
    /// Its connect hooks have run, and none of them refused it.
    pub(super) connected: bool,
    /// The peer is gone, or accepts nothing: writing to it is pointless.
    pub(super) gone: bool,
    /// Nothing more comes from the peer.
    pub(super) peer_is_done: bool,
    ahead: ReadAhead,
    heartbeat: Heartbeat,
    // Boxed, since there seldom are any.
    assembly: Option<Box<Assembly>>,
    stall: Option<Box<Stall>>,
    /// In a row.
    malformed: u32,
    /// In a row; malformed messages are among them.
    mistakes: u32,
    /// So many replies wait that no more should be made for now.
    full_of_replies: bool,
    /// The socket accepted not all that waited.
    blocked: bool,
    /// The client has left, and until then what it sent before is handled.
    finish_by: Millis,
}

/// A message that has begun and is not complete.
#[derive(Debug, Clone, Copy)]
struct Assembly {
    since: Millis,
    /// What had been received then.
    received: u64,
}

/// A socket that accepts nothing.
#[derive(Debug, Clone, Copy)]
struct Stall {
    since: Millis,
    /// What it had accepted then.
    written: u64,
}

impl Open {
    pub(super) fn new(
        session: Session,
        reader: FrameReader,
        handling: Handling,
        node: Arc<Node>,
    ) -> Self {
        let heartbeat = Heartbeat::new(times(&node), &node.env.clock);
        reader.book(0, session.held());
        Self {
            session,
            reader,
            handling,
            node,
            connected: false,
            gone: false,
            peer_is_done: false,
            ahead: ReadAhead::default(),
            heartbeat,
            assembly: None,
            stall: None,
            malformed: 0,
            mistakes: 0,
            full_of_replies: false,
            blocked: false,
            finish_by: NEVER,
        }
    }

    /// Runs until the session is to be closed, by whatever cause.
    pub(super) fn poll_guarded(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        catch_unwind(AssertUnwindSafe(|| self.poll(cx))).unwrap_or_else(|panic| {
            // Not a handler's: those are caught one by one. A codec's, or our own.
            self.session.end(EndCause::TaskPanicked(panic));
            Poll::Ready(())
        })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // What handlers send to their own session leaves together, and at the latest with this
        // turn.
        let _cork = self.session.outbox().cork(!self.blocked);
        for _ in 0..TURNS {
            if self.is_over() {
                return Poll::Ready(());
            }
            if !self.poll_messages(cx) && !self.poll_rest(cx) {
                return Poll::Pending;
            }
        }
        self.pump(cx);
        if self.session.wake_at().is_due() {
            self.poll_time(cx);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether it has ended, and what came before the end is handled as far as it will be.
    fn is_over(&self) -> bool {
        if !self.session.is_closed() {
            return false;
        }
        if self.finish_by == NEVER {
            return true;
        }
        let is_read = self.ahead.is_empty() && !self.reader.has_input();
        let finished = is_read && self.handling.is_idle();
        let given_up = self.gone || self.session.held().is_forfeited() || self.node.is_cut_off();
        finished || given_up || self.finish_by <= self.node.env.clock.now()
    }

    /// Writes only: while hooks run, before anything is read. Returns whether something waits
    /// that the socket doesn't accept.
    pub(super) fn pump(&mut self, cx: &mut Context<'_>) -> bool {
        let Self { session, node, .. } = self;
        let written = session.poll_write(cx, |error| {
            node.report(ErrorStage::Message, error, Some(session.clone()));
        });
        self.blocked = written.is_pending();
        match written {
            Poll::Ready(Ok(())) => {
                self.full_of_replies = false;
                false
            }
            Poll::Ready(Err(error)) => {
                self.lost(ReadEnd::Io(error));
                // The peer can't be reached any more, whatever has ended the session before.
                self.gone = true;
                false
            }
            Poll::Pending => {
                self.full_of_replies = self.session.outbox().is_full_of_replies();
                true
            }
        }
    }

    /// One step of reading or handling. Returns whether anything happened.
    fn poll_messages(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.handling.is_idle() {
            let waited = self.handling.is_waiting();
            let polled = self.handling.poll(cx);
            if waited && !self.handling.is_waiting() {
                self.node.stats().received.add(1);
            }
            if let Poll::Ready(done) = polled {
                self.answer(done);
                return true;
            }
        }
        if !self.ahead.is_empty()
            && self.may_handle(cx)
            && let Some(message) = self.ahead.pop()
        {
            self.book_ahead();
            self.handle(message, cx);
            return true;
        }
        if self.ahead.is_full() && self.reader.may_scout() {
            self.scout();
            return true;
        }
        // Once the client has left, nothing but what was read before.
        if self.ahead.is_full() || (self.session.is_closed() && !self.reader.has_input()) {
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

    /// Control frames don't wait behind messages that were read with them.
    fn scout(&mut self) {
        let outbox = self.session.outbox();
        let mut closed = None;
        self.reader.scout(|event| match event {
            Event::Ping(payload) => outbox.set_pong(frame::pong(&payload)),
            Event::Close(close) => closed = Some(close),
            Event::Pong(_) | Event::Text(_) | Event::Binary(_) => {}
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

    fn handle(&mut self, message: Message, cx: &mut Context<'_>) {
        let inbound = Inbound::new(self.session.clone(), message);
        let started = self.handling.start(inbound, cx);
        if !self.handling.is_waiting() {
            self.node.stats().received.add(1);
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
            Event::Pong(_) => {}
            Event::Close(close) => {
                self.peer_is_done = true;
                self.left(EndCause::ClientClosed(close));
            }
        }
    }

    /// The client has left. What it sent before is still handled, and the answers are written.
    fn left(&mut self, cause: EndCause) {
        if self.session.end(cause) {
            self.finish_by = self.node.env.clock.after(FINISH);
        }
    }

    fn on_frame(&mut self, frame: Frame, cx: &mut Context<'_>) {
        self.assembly = None;
        let bytes = frame.as_bytes().len();
        match self.node.env.encoder.decode(frame) {
            Ok(message) => {
                self.malformed = 0;
                if self.ahead.is_empty() && self.may_handle(cx) {
                    self.handle(message, cx);
                } else {
                    self.ahead.push(message, bytes);
                    self.book_ahead();
                }
            }
            Err(error) if error.kind() == CodecErrorKind::UnsupportedFrame => {
                self.session.end(EndCause::UnsupportedFrame(error.into()));
            }
            Err(error) => {
                self.node.stats().malformed.add(1);
                self.malformed += 1;
                let error: BoxError = error.into();
                self.answer_error(None, &error);
                self.node
                    .report_client(ErrorStage::Message, error, &self.session);
                if self.malformed >= MALFORMED {
                    self.session.end(EndCause::TooManyMalformed);
                }
                self.mistaken();
            }
        }
    }

    fn book_ahead(&mut self) {
        let held = self.session.held();
        self.reader.book(self.ahead.bytes(), held);
    }

    /// Gives up what was read and not handled.
    pub(super) fn release(&mut self) {
        let waiting = self.ahead.len() + usize::from(self.handling.forget_waiting());
        self.ahead = ReadAhead::default();
        let undecoded = self.reader.release(self.session.held());
        self.node.stats().unhandled.add(waiting as u64 + undecoded);
    }

    fn answer(&mut self, done: Done) {
        let Done {
            request,
            result,
            panicked,
        } = done;
        match result {
            Ok(reply) => {
                self.mistakes = 0;
                if let (Some(request), Some(data)) = (request, reply.into_payload()) {
                    let mut parts = MessageParts::new(request.route, data);
                    parts.id = Some(request.id);
                    let message = Message::from_parts(parts);
                    match self.session.reply(&message) {
                        Ok(full) => self.full_of_replies = full,
                        Err(error) => self.unanswerable(message.message_id(), error.into()),
                    }
                }
            }
            Err(error) => {
                self.node.stats().failed.add(1);
                if let Some(request) = request {
                    self.answer_error(Some(&request.id), &error);
                }
                if panicked {
                    self.session.end(EndCause::HandlerPanicked);
                    // The answer is written, and nothing else is handled.
                    self.finish_by = NEVER;
                }
                if client_error::is_mistake(&error) {
                    self.mistaken();
                } else {
                    self.mistakes = 0;
                }
                if client_error::is_clients(&error) {
                    self.node
                        .report_client(ErrorStage::Message, error, &self.session);
                } else {
                    self.report(ErrorStage::Message, error);
                }
            }
        }
    }

    /// A message was one that nobody can handle. A client that sends nothing else is closed.
    fn mistaken(&mut self) {
        self.mistakes += 1;
        if self.mistakes >= MISTAKES {
            self.session.end(EndCause::TooManyMistakes);
        }
    }

    /// The handler's answer has no form in the codec: the client learns that there is none.
    fn unanswerable(&mut self, id: Option<&MessageId>, error: BoxError) {
        self.node.stats().failed.add(1);
        self.answer_error(id, &error);
        self.report(ErrorStage::Message, error);
    }

    fn answer_error(&mut self, id: Option<&MessageId>, error: &BoxError) {
        let error = &client_error::for_client(error);
        match self.session.reply_notice(&Notice::Error { id, error }) {
            Ok(full) => self.full_of_replies = full,
            Err(error) => self.report(ErrorStage::Message, error),
        }
    }

    /// Writes what the turn has brought, and does what the time asks for. Returns whether there is
    /// more to do.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> bool {
        let was_full = self.full_of_replies;
        let blocked = self.pump(cx);
        let may_continue = was_full && !self.full_of_replies && !self.ahead.is_empty();
        if self.is_over() || may_continue {
            return true;
        }
        // A clock is only looked at where something depends on it.
        let waits = self.ahead.is_full() || self.reader.is_assembling();
        let watched = blocked || waits || self.session.held().is_part_of_too_much();
        (watched || self.session.wake_at().is_due() || self.finish_by != NEVER)
            && self.poll_time(cx)
    }

    /// Everything that happens because time has passed. Returns whether anything did.
    ///
    /// What the peer has sent until now was read before this.
    fn poll_time(&mut self, cx: &mut Context<'_>) -> bool {
        if self.finish_by != NEVER {
            self.session.wake_at().set(self.finish_by);
            return self.is_over();
        }
        let progress = self.session.outbox().progress();
        let deadlines = [self.watch_assembly(), self.watch_writes(progress)];
        let peer = Peer {
            received: self.reader.received(),
            written: progress.written,
            relieved: progress.relieved,
            ping_waits: progress.ping_waits,
            unread: self.ahead.is_full(),
        };
        let env = Arc::clone(&self.node.env);
        match self.heartbeat.poll(times(&self.node), &env.clock, peer) {
            Beat::Nothing => {}
            Beat::Ping => {
                self.session.outbox().set_ping(env.ping.clone());
                self.pump(cx);
            }
            Beat::Dead => {
                self.session.end(EndCause::PongTimeout);
            }
        }
        if self.session.is_closed() {
            return true;
        }
        let deadlines = deadlines.into_iter().flatten();
        let next = deadlines.fold(self.heartbeat.deadline(), Millis::min);
        self.session.wake_at().set(next);
        false
    }

    fn watch_writes(&mut self, progress: Progress) -> Option<Millis> {
        if !progress.blocked {
            self.stall = None;
            return None;
        }
        let timeout = self.node.config.write_timeout?;
        let (clock, written) = (&self.node.env.clock, progress.written);
        let now = clock.now();
        let begins = Stall {
            since: now,
            written,
        };
        let stall = self.stall.get_or_insert_with(|| Box::new(begins));
        if stall.written != written {
            **stall = begins;
        }
        let deadline = stall.since + millis(timeout) + millis(clock.tick());
        if deadline <= now {
            self.gone = true;
            self.session.end(EndCause::WriteTimeout);
        }
        Some(deadline)
    }

    fn watch_assembly(&mut self) -> Option<Millis> {
        if self.session.held().is_part_of_too_much() {
            self.node.hub.relieve_held(&self.node.env.held);
        }
        if !self.reader.is_assembling() {
            self.assembly = None;
            return None;
        }
        let rate = self.node.config.min_message_rate?;
        let (now, received) = (self.node.env.clock.now(), self.reader.received());
        let begins = Assembly {
            since: now,
            received,
        };
        let assembly = self.assembly.get_or_insert_with(|| Box::new(begins));
        if self.ahead.is_full() {
            // Where we are not reading, the peer can't be fast.
            **assembly = begins;
        }
        let earned = (received - assembly.received).saturating_mul(1_000) / u64::from(rate.max(1));
        let deadline = (assembly.since + millis(SLOW_START)).saturating_add(earned);
        if deadline <= now {
            self.session.end(EndCause::MessageTooSlow);
        }
        Some(deadline)
    }

    /// There is nothing more to read, or no way to write.
    fn lost(&mut self, end: ReadEnd) {
        match end {
            ReadEnd::Violation(violation) => {
                self.session.end(EndCause::Violation(violation));
            }
            ReadEnd::Io(error) if !is_orderly(&error) => {
                self.gone = true;
                self.peer_is_done = true;
                self.session.end(EndCause::ConnectionFailed(error.into()));
            }
            end @ (ReadEnd::Eof | ReadEnd::Io(_)) => {
                self.peer_is_done = true;
                self.left(EndCause::ConnectionEnded(end.into()));
            }
        }
    }

    fn report(&self, stage: ErrorStage, error: impl Into<BoxError>) {
        self.node.report(stage, error, Some(self.session.clone()));
    }
}

const fn times(node: &Node) -> Times {
    Times {
        interval: node.config.heartbeat,
        pong_timeout: node.config.pong_timeout,
    }
}

/// TLS peers often leave without saying so.
fn is_orderly(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}
