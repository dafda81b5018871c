//! The life of an open session: one state machine that reads, handles, writes and keeps time.
//!
//! ```text
//!   socket ─► reader ─► a few ahead ─► dispatch ─► reply ───────┐
//!                │ ping                                         ▼
//!   socket ◄─────┴──────────────────────────────────────────  outbox
//! ```
//!
//! All of it is polled by the session's own task, so a slow handler holds up neither writes nor
//! pings: only the reading of more than a few messages ahead.

use std::{
    io,
    task::{Context, Poll},
    time::Duration,
};

use realtime_core::{
    BoxError, CloseCode, DisconnectInfo, Initiator, Message,
    codec::{CodecError, CodecErrorKind, Frame},
};
use realtime_websocket::{Event, frame};
use tokio::time::Instant;

use super::{
    Session,
    ahead::Ahead,
    dispatch::{Dispatch, Done},
    heartbeat::{Beat, Heartbeat},
    read::{FrameReader, ReadEnd},
};
use crate::{ErrorStage, Inbound, answer, shared::Shared, stats::Counter};

/// How many turns a session takes before it lets others have one.
const TURNS: usize = 64;
/// How many malformed messages in a row end a session.
const MALFORMED: u32 = 10;
/// How long a message may take from its first byte to its last.
pub(crate) const ASSEMBLY: Duration = Duration::from_secs(30);

/// An open session.
pub(crate) struct Live {
    pub(super) session: Session,
    pub(super) reader: FrameReader,
    pub(super) dispatch: Dispatch,
    /// The peer is gone, or takes nothing: writing to it is pointless.
    pub(super) gone: bool,
    ahead: Ahead,
    heartbeat: Heartbeat,
    assembling_since: Option<Instant>,
    malformed: u32,
    /// So many replies wait that no more should be made for now.
    full_of_replies: bool,
    /// The socket took not all that waited.
    blocked: bool,
}

impl Live {
    pub(super) fn new(session: Session, reader: FrameReader, dispatch: Dispatch) -> Self {
        let now = Instant::now();
        let heartbeat = Heartbeat::new(session.0.shared.heartbeat(), now);
        Self {
            session,
            reader,
            dispatch,
            gone: false,
            ahead: Ahead::default(),
            heartbeat,
            assembling_since: None,
            malformed: 0,
            full_of_replies: false,
            blocked: false,
        }
    }

    fn shared(&self) -> &Shared {
        &self.session.0.shared
    }

    /// Runs until the session is to be closed, by whatever cause.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // What handlers send to their own session leaves together, and at the latest with this
        // turn.
        let _cork = self.session.0.outbox.cork(!self.blocked);
        for _ in 0..TURNS {
            if self.session.is_closed() {
                return Poll::Ready(());
            }
            if !self.poll_messages(cx) && !self.poll_rest(cx) {
                return Poll::Pending;
            }
        }
        self.pump(cx);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes only: while hooks run, before anything is read. Returns whether something waits
    /// that the socket doesn't take.
    pub(super) fn pump(&mut self, cx: &mut Context<'_>) -> bool {
        let written = self.session.poll_write(cx);
        self.blocked = written.is_pending();
        match written {
            Poll::Ready(Ok(())) => {
                self.full_of_replies = false;
                false
            }
            Poll::Ready(Err(error)) => {
                self.lost(ReadEnd::Io(error));
                false
            }
            Poll::Pending => {
                self.full_of_replies = self.session.0.outbox.is_full_of_replies();
                true
            }
        }
    }

    /// One step of reading or handling. Returns whether anything happened.
    fn poll_messages(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.dispatch.is_idle()
            && let Poll::Ready(done) = self.dispatch.poll(cx)
        {
            self.answer(done);
            return true;
        }
        if !self.ahead.is_empty()
            && self.may_handle(cx)
            && let Some(message) = self.ahead.pop()
        {
            self.tell_ahead();
            self.handle(message, cx);
            return true;
        }
        if self.ahead.is_full() {
            return false;
        }
        match self.reader.poll_event(cx, &self.session.0.assembling) {
            Poll::Ready(Ok(event)) => self.on_event(event, cx),
            Poll::Ready(Err(end)) => self.lost(end),
            Poll::Pending => return false,
        }
        true
    }

    /// Whether the next message may go to its handler: the one before is done, and so are enough
    /// of the replies.
    fn may_handle(&mut self, cx: &mut Context<'_>) -> bool {
        if self.full_of_replies {
            self.pump(cx);
        }
        self.dispatch.is_idle() && !self.full_of_replies
    }

    fn handle(&mut self, message: Message, cx: &mut Context<'_>) {
        self.shared().stats.received.add(1);
        let inbound = Inbound::new(self.session.clone(), message);
        if let Poll::Ready(done) = self.dispatch.start(inbound, cx) {
            self.answer(done);
        }
    }

    fn on_event(&mut self, event: Event, cx: &mut Context<'_>) {
        self.heartbeat.alive();
        match event {
            Event::Text(text) => self.on_frame(Frame::Text(text.into()), cx),
            Event::Binary(payload) => self.on_frame(Frame::Binary(payload), cx),
            Event::Ping(payload) => self.session.0.outbox.set_pong(frame::pong(&payload)),
            Event::Pong(_) => {}
            Event::Close(close) => {
                let (code, reason) = match close {
                    Some(close) => (Some(close.code.into()), close.reason),
                    None => (None, String::new()),
                };
                self.session
                    .end(DisconnectInfo::new(Initiator::Client, code, reason));
            }
        }
    }

    fn on_frame(&mut self, frame: Frame, cx: &mut Context<'_>) {
        self.assembling_since = None;
        let bytes = frame.as_bytes().len();
        match self.shared().codec.decode(frame) {
            Ok(message) => {
                self.malformed = 0;
                if self.ahead.is_empty() && self.may_handle(cx) {
                    self.handle(message, cx);
                } else {
                    self.ahead.push(message, bytes);
                    self.tell_ahead();
                }
            }
            Err(error) if error.kind() == CodecErrorKind::UnsupportedFrame => {
                let reason = "the codec does not take this kind of frame";
                self.violated(CloseCode::UNSUPPORTED_DATA, reason, error);
            }
            Err(error) => {
                self.shared().stats.malformed.add(1);
                self.malformed += 1;
                let error: BoxError = error.into();
                self.answer_error(None, &error);
                self.report(ErrorStage::Message, error);
                if self.malformed >= MALFORMED {
                    let reason = "too many malformed messages";
                    self.fail(
                        &self.shared().stats.violations,
                        CloseCode::POLICY_VIOLATION,
                        reason,
                    );
                }
            }
        }
    }

    fn tell_ahead(&mut self) {
        let held = &self.session.0.assembling;
        self.reader.set_ahead(self.ahead.bytes(), held);
    }

    /// Gives up what was read and not handled.
    pub(super) fn release(&mut self) {
        self.ahead = Ahead::default();
        self.reader.release();
    }

    fn answer(&mut self, done: Done) {
        let Done {
            request,
            result,
            panicked,
        } = done;
        match result {
            Ok(reply) => {
                if let (Some(request), Some(data)) = (request, reply.into_payload())
                    && let Ok(message) = Message::new(request.route, data)
                {
                    self.reply(&message.with_id(request.id));
                }
            }
            Err(error) => {
                self.shared().stats.failed.add(1);
                if let Some(request) = request {
                    self.answer_error(Some(request.id), &error);
                }
                if panicked {
                    let reason = "the handler panicked";
                    self.fail(
                        &self.shared().stats.panics,
                        CloseCode::INTERNAL_ERROR,
                        reason,
                    );
                }
                self.report(ErrorStage::Message, error);
            }
        }
    }

    fn answer_error(&mut self, id: Option<realtime_core::Text>, error: &BoxError) {
        match error_message(&answer::for_client(error)) {
            Ok(message) => self.reply(&match id {
                Some(id) => message.with_id(id),
                None => message,
            }),
            Err(error) => self.report(ErrorStage::Message, error),
        }
    }

    fn reply(&mut self, message: &Message) {
        match self.session.encode(message) {
            Ok(frame) => self.full_of_replies = self.session.reply(frame),
            Err(error) => self.report(ErrorStage::Message, error),
        }
    }

    /// Writes what the turn has brought, and does what the time asks for. Returns whether there is
    /// more to do.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> bool {
        let was_full = self.full_of_replies;
        let blocked = self.pump(cx);
        let may_go_on = was_full && !self.full_of_replies && !self.ahead.is_empty();
        if self.session.is_closed() || may_go_on {
            return true;
        }
        // A clock is only looked at where something depends on it.
        let waits = self.ahead.is_full() || self.reader.is_assembling();
        let watched = blocked || waits || self.holds_too_much();
        (watched || self.session.alarm().has_rung()) && self.poll_time(cx)
    }

    /// Everything that happens because time has passed. Returns whether anything did.
    fn poll_time(&mut self, cx: &mut Context<'_>) -> bool {
        let (now, times) = (Instant::now(), self.shared().heartbeat());
        let deadline = self
            .watch_assembly(now)
            .into_iter()
            .chain(self.watch_writes(now));
        let deadline = deadline.min();
        if self.ahead.is_full() {
            self.heartbeat.not_reading(times, now);
        }
        match self.heartbeat.poll(times, now) {
            Beat::Nothing => {}
            Beat::Ping => {
                self.session.0.outbox.set_ping(self.shared().ping.clone());
                self.pump(cx);
            }
            Beat::Dead => {
                let counted = &self.shared().stats.pong_timeouts;
                self.fail(counted, CloseCode::PONG_TIMEOUT, "pong timeout");
            }
        }
        if self.session.is_closed() {
            return true;
        }
        let next = deadline.into_iter().chain(self.heartbeat.deadline()).min();
        let next = next.map(|next| self.shared().hub.millis(next));
        self.session.alarm().set(next);
        false
    }

    fn watch_writes(&mut self, now: Instant) -> Option<Instant> {
        let timeout = self.shared().config.write_timeout?;
        let deadline = self.session.0.outbox.blocked_since()? + timeout;
        if deadline <= now {
            self.gone = true;
            let info = DisconnectInfo::new(Initiator::Error, None, "write timeout");
            self.session
                .end_counted(&self.shared().stats.write_timeouts, info);
        }
        Some(deadline)
    }

    /// Whether it has a part in what all sessions together hold too much of.
    fn holds_too_much(&self) -> bool {
        self.session.assembling_bytes() > 0 && self.shared().assembly_budget.is_over()
    }

    fn watch_assembly(&mut self, now: Instant) -> Option<Instant> {
        if self.holds_too_much() {
            self.shared().close_fullest_assembly();
        }
        if !self.reader.is_assembling() {
            self.assembling_since = None;
            return None;
        }
        if self.ahead.is_full() {
            // It is we who are not reading.
            self.assembling_since = Some(now);
        }
        let deadline = *self.assembling_since.get_or_insert(now) + ASSEMBLY;
        if deadline <= now {
            let counted = &self.shared().stats.violations;
            let reason = "message not finished in time";
            self.fail(counted, CloseCode::POLICY_VIOLATION, reason);
        }
        Some(deadline)
    }

    fn fail(&self, counted: &Counter, code: CloseCode, reason: &'static str) {
        let info = DisconnectInfo::new(Initiator::Error, Some(code), reason);
        self.session.end_counted(counted, info);
    }

    /// The peer sent what it may not.
    fn violated(&self, code: CloseCode, reason: impl Into<String>, error: impl Into<BoxError>) {
        let info = DisconnectInfo::new(Initiator::Error, Some(code), reason);
        let counted = &self.shared().stats.violations;
        self.session.end_counted(counted, info.with_error(error));
    }

    /// There is nothing more to read, or no way to write.
    fn lost(&mut self, end: ReadEnd) {
        match end {
            ReadEnd::Violation(violation) => {
                let code = violation.close_code().into();
                let reason = violation.to_string();
                self.violated(code, reason, ReadEnd::Violation(violation));
            }
            ReadEnd::Io(error) if !is_orderly(&error) => {
                self.gone = true;
                let info = DisconnectInfo::new(Initiator::Error, None, "the connection failed");
                self.session
                    .end_counted(&self.shared().stats.lost, info.with_error(error));
            }
            end @ (ReadEnd::Eof | ReadEnd::Io(_)) => {
                self.gone = true;
                let reason = "the connection ended without a close frame";
                let info = DisconnectInfo::new(Initiator::Client, None, reason);
                self.session
                    .end_counted(&self.shared().stats.lost, info.with_error(end));
            }
        }
    }

    fn report(&self, stage: ErrorStage, error: impl Into<BoxError>) {
        self.shared()
            .report(stage, error, Some(self.session.clone()));
    }
}

/// TLS peers often leave without saying so.
fn is_orderly(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

/// What a client whose message failed is told.
fn error_message(error: &realtime_core::ClientError) -> Result<Message, CodecError> {
    let data = serde_json::json!({
        "code": error.code(),
        "message": error.message(),
        "temporary": error.is_temporary(),
    });
    Message::new("error", realtime_core::Payload::from(data.to_string()))
}
