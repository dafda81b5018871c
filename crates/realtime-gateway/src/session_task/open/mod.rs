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

mod answers;
mod deadlines;
mod dialect;
mod expiry;
mod messages;
mod refusals;

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use realtime_core::BoxError;

use self::deadlines::{Assembly, Stall, times};
use super::{
    conduct::Conduct,
    frame_reader::{FrameReader, ReadEnd},
    handling::Handling,
    heartbeat::Heartbeat,
    read_ahead::ReadAhead,
};
use crate::{
    ErrorStage, Session,
    clock::{Millis, NEVER},
    compression::Turn,
    metrics::Awaited,
    node::Node,
    session::EndCause,
    traces::Luck,
    transport::Lost,
};

/// How many turns a session takes before it lets others have one. Each reads or handles one
/// message, or reads the socket once.
const TURNS: usize = 64;
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
    /// How the peer was lost, where writing to it is pointless.
    pub(super) gone: Option<Lost>,
    /// Nothing more comes from the peer.
    pub(super) peer_is_done: bool,
    ahead: ReadAhead,
    heartbeat: Heartbeat,
    /// The answer to a ping.
    pong: Awaited,
    /// Of its messages, to be traced.
    luck: Luck,
    // Boxed, since there seldom are any.
    assembly: Option<Box<Assembly>>,
    stall: Option<Box<Stall>>,
    /// How the client behaves, where that is of interest.
    pub(super) conduct: Option<Box<Conduct>>,
    /// In a row.
    malformed: u8,
    /// So many replies wait that no more should be made for now.
    full_of_replies: bool,
    /// The socket accepted not all that waited.
    blocked: bool,
    /// The client has left, and until then what it sent before is handled.
    finish_by: Millis,
}

impl Open {
    pub(super) fn new(
        session: Session,
        reader: FrameReader,
        handling: Handling,
        node: Arc<Node>,
        conduct: Option<Box<Conduct>>,
    ) -> Self {
        let heartbeat = Heartbeat::new(times(&node), &node.env.clock);
        let luck = node.tracer().luck();
        reader.book(0, session.held());
        Self {
            session,
            reader,
            handling,
            node,
            connected: false,
            gone: None,
            peer_is_done: false,
            ahead: ReadAhead::default(),
            heartbeat,
            pong: Awaited::default(),
            luck,
            assembly: None,
            stall: None,
            conduct,
            malformed: 0,
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
        let turn = self.session.is_deflated().then(Turn::begin);
        for _ in 0..TURNS {
            if self.is_over() {
                return Poll::Ready(());
            }
            if !self.poll_messages(cx) && !self.poll_rest(cx) {
                return Poll::Pending;
            }
            // What is asked for in a few bytes may be long to answer.
            if turn.is_some_and(Turn::is_over) {
                break;
            }
        }
        self.pump(cx);
        // Also where the socket never runs dry: no peer gets past a limit by being fast.
        if self.is_watched() || self.session.wake_at().is_due() {
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
        self.is_finished()
    }

    /// Whether what a client sent before it left is handled, as far as it will be.
    #[cold]
    fn is_finished(&self) -> bool {
        let is_read = self.ahead.is_empty() && !self.reader.has_input();
        let finished = is_read && self.handling.is_idle() && !self.session.has_open_repliers();
        let given_up =
            self.gone.is_some() || self.session.held().is_forfeited() || self.node.is_cut_off();
        finished || given_up || self.finish_by <= self.node.env.clock.now()
    }

    /// Writes only: while hooks run, before anything is read. Returns whether something waits
    /// that the socket doesn't accept.
    pub(super) fn pump(&mut self, cx: &mut Context<'_>) -> bool {
        self.hear();
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
                self.gone = Some(Lost::Gone);
                false
            }
            Poll::Pending => {
                self.full_of_replies = self.session.outbox().is_full_of_replies();
                true
            }
        }
    }

    /// Notes what had been written when bytes came: what follows has to be read before a ping.
    fn hear(&mut self) {
        let received = self.reader.received();
        if self.heartbeat.is_news(received) {
            let written = self.session.outbox().progress().written;
            self.heartbeat.hear(received, written);
        }
    }

    /// Writes what the turn has brought, and does what the time asks for. Returns whether there is
    /// more to do.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> bool {
        let was_full = self.full_of_replies;
        self.pump(cx);
        let may_continue = was_full && !self.full_of_replies && self.has_work();
        if self.is_over() || may_continue {
            return true;
        }
        // A clock is only looked at where something depends on it.
        (self.is_watched() || self.session.wake_at().is_due() || self.finish_by != NEVER)
            && self.poll_time(cx)
    }

    /// Whether something was held back while too many replies waited.
    fn has_work(&self) -> bool {
        !self.ahead.is_empty() || self.may_answer_unheard()
    }

    /// Whether there may be something of the peer's that nobody has looked at: it isn't judged then for what
    /// it has not sent.
    fn is_unread(&self) -> bool {
        self.is_full() || !self.reader.is_dry()
    }

    /// Whether something depends on the time that passes, or on what all sessions hold.
    fn is_watched(&self) -> bool {
        self.blocked
            || self.is_full()
            || self.reader.is_assembling()
            || self.session.held().is_part_of_too_much()
    }

    /// There is nothing more to read, or no way to write.
    fn lost(&mut self, end: ReadEnd) {
        match end {
            ReadEnd::Violation(violation) => {
                self.session.end(EndCause::Violation(violation));
            }
            ReadEnd::Io(error) if !is_orderly(&error) => {
                self.gone = Some(Lost::Gone);
                self.peer_is_done = true;
                self.session.end(EndCause::ConnectionFailed(error.into()));
            }
            end @ (ReadEnd::Eof | ReadEnd::Io(_)) => {
                self.peer_is_done = true;
                self.left(EndCause::ConnectionEnded(end.into()));
            }
        }
    }

    /// The client has left. What it sent before is still handled, and the answers are written.
    fn left(&mut self, cause: EndCause) {
        if self.session.end(cause) {
            self.finish_by = self.node.env.clock.after(FINISH);
        }
    }

    fn report(&self, stage: ErrorStage, error: impl Into<BoxError>) {
        self.node.report(stage, error, Some(self.session.clone()));
    }
}

/// TLS peers often leave without saying so.
fn is_orderly(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}
