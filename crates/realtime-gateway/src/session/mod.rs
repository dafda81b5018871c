//! One connected client.

mod ahead;
mod alarm;
mod connect;
mod disconnect;
mod dispatch;
mod guarded;
mod heartbeat;
mod latch;
mod live;
#[cfg(all(test, realtime_loom))]
mod loom;
mod outbox;
mod queue;
mod read;
mod run;

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicUsize, atomic::Ordering::Relaxed},
    task::{Context, Poll},
    time::SystemTime,
};

use bytes::Bytes;
use realtime_core::{
    CloseCode, DisconnectInfo, Identity, Initiator, IntoPayload, Message, SessionId, Text,
    codec::CodecError,
    presence::{SessionInfo, SessionKey},
};

use crate::{
    ErrorStage, SendError, SendErrorKind,
    hub::{Batch, Shard},
    shared::Shared,
    stats::Counter,
    transport::Writer,
};

use alarm::Alarm;
pub(crate) use heartbeat::Times;
use latch::CloseLatch;
pub(crate) use live::ASSEMBLY;
use outbox::{Outbox, Refused, Taken};
pub(crate) use queue::QueueLimits;
pub(crate) use run::{going_away, spawn};

/// The seat of a session that has none: not yet, or no longer.
const NO_SEAT: usize = usize::MAX;

/// One connected client. Cheap to clone; every clone is the same session.
///
/// Keep it for as long as you like: once the session has ended, it holds neither its socket nor
/// what waited for the client.
///
/// # Order
/// What one task sends to a session, by [`send`](Self::send) and by
/// [`Gateway::broadcast`](crate::Gateway::broadcast) in any mixture, arrives in that order.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    id: SessionId,
    identity: Identity,
    remote_addr: Option<SocketAddr>,
    connected_at: SystemTime,
    latch: CloseLatch,
    outbox: Outbox,
    shard: Arc<Shard<Session>>,
    /// Its place there, or [`NO_SEAT`].
    seat: AtomicUsize,
    alarm: Alarm,
    /// See [`Session::assembling_bytes`].
    assembling: AtomicUsize,
    shared: Arc<Shared>,
}

impl Session {
    pub(crate) fn new(
        shared: Arc<Shared>,
        identity: Identity,
        remote_addr: Option<SocketAddr>,
        writer: Writer,
    ) -> Self {
        let shard = shared.hub.next_shard();
        let log = Arc::clone(shard.log());
        Self(Arc::new(Inner {
            id: SessionId::random(),
            identity,
            remote_addr,
            connected_at: SystemTime::now(),
            latch: CloseLatch::default(),
            outbox: Outbox::new(
                writer,
                Arc::clone(&shared.queue_limits),
                Arc::clone(&shared.queue_budget),
                log,
            ),
            shard,
            seat: AtomicUsize::new(NO_SEAT),
            alarm: Alarm::new(),
            assembling: AtomicUsize::new(0),
            shared,
        }))
    }

    /// The session's unique id.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.0.id
    }

    /// Who it belongs to.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// The peer's address, where the host made it known.
    #[must_use]
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.0.remote_addr
    }

    /// When it connected.
    #[must_use]
    pub fn connected_at(&self) -> SystemTime {
        self.0.connected_at
    }

    /// Whether the session is closing or closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.latch.is_closed()
    }

    /// Why the session ended; `None` while it is open. The first cause is kept.
    #[must_use]
    pub fn close_info(&self) -> Option<DisconnectInfo> {
        self.0.latch.info().cloned()
    }

    /// Waits until the session is closing. A long-running handler learns from it that its client
    /// has left.
    ///
    /// # Cancel safety
    /// Safe: dropping it loses nothing.
    pub async fn closed(&self) {
        self.0.latch.closed().await;
    }

    /// Closes the session: what waits for the client is written first, then a close frame with
    /// this code and reason.
    ///
    /// Idempotent: only the first cause of an end counts. A code that may not stand in a close
    /// frame is sent as 1000; a reason over 123 bytes is cut.
    pub fn close(&self, code: impl Into<CloseCode>, reason: impl Into<String>) {
        let code = code.into();
        let code = if code.is_sendable() {
            code
        } else {
            CloseCode::NORMAL
        };
        self.end(DisconnectInfo::new(Initiator::Server, Some(code), reason));
    }

    /// Sends data to the client on a route.
    ///
    /// It writes at once, or queues what the socket doesn't take, and never waits.
    /// From one of the session's own handlers it leaves as soon as the handler awaits something that
    /// isn't ready or returns, together with what else it sends.
    ///
    /// # Errors
    /// Kind [`Backpressure`](SendErrorKind::Backpressure) when the queue is full and the policy
    /// didn't take the message, [`SessionClosed`](SendErrorKind::SessionClosed) once the session
    /// is closing, [`Encode`](SendErrorKind::Encode) when the data can't be encoded.
    pub fn send(&self, route: impl Into<Text>, data: impl IntoPayload) -> Result<(), SendError> {
        self.send_message(&Message::new(route, data)?)
    }

    /// Sends a message that is already built.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub fn send_message(&self, message: &Message) -> Result<(), SendError> {
        self.deliver(self.encode(message)?)
    }

    /// Makes a frame for this session alone.
    fn encode(&self, message: &Message) -> Result<Bytes, CodecError> {
        let Inner { outbox, shared, .. } = &*self.0;
        outbox.make(|out| shared.encode_in(out, message))
    }

    /// Sends data, and waits for room in the queue where there is none. For producers that want
    /// to go as fast as the client reads.
    ///
    /// # Cancel safety
    /// Safe: dropped while it waits, nothing is sent.
    ///
    /// # Errors
    /// Kinds [`SessionClosed`](SendErrorKind::SessionClosed) and
    /// [`Encode`](SendErrorKind::Encode).
    pub async fn send_wait(
        &self,
        route: impl Into<Text>,
        data: impl IntoPayload,
    ) -> Result<(), SendError> {
        let frame = self.encode(&Message::new(route, data)?)?;
        self.deliver_wait(frame).await
    }

    /// Sends a message that is already built, and waits for room.
    ///
    /// # Errors
    /// Those of [`send_wait`](Self::send_wait).
    pub async fn send_message_wait(&self, message: &Message) -> Result<(), SendError> {
        let frame = self.encode(message)?;
        self.deliver_wait(frame).await
    }

    /// Hands over a frame that is ready to be written, and waits for room.
    async fn deliver_wait(&self, mut frame: Bytes) -> Result<(), SendError> {
        if self.is_closed() {
            return Err(closed());
        }
        let (taken, offered) = self.0.outbox.push_if_room(&mut frame);
        self.count(taken);
        match offered {
            Ok(()) => Ok(()),
            // Boxed, since there nearly always is room: a handler that sends stays small.
            Err(Refused::Full) => Box::pin(self.deliver_with_room(frame)).await,
            Err(_) => Err(closed()),
        }
    }

    async fn deliver_with_room(&self, frame: Bytes) -> Result<(), SendError> {
        let closing = self.closed();
        let taken = self.0.outbox.push_wait(frame, |taken| self.count(taken));
        tokio::select! {
            biased;
            () = closing => Err(closed()),
            taken = taken => taken.map_err(|_| closed()),
        }
    }

    /// Hands over a frame that is ready to be written.
    pub(crate) fn deliver(&self, frame: Bytes) -> Result<(), SendError> {
        if self.is_closed() {
            return Err(closed());
        }
        let (taken, refused) = self.0.outbox.push(frame);
        self.count(taken);
        match refused {
            Ok(()) => Ok(()),
            Err(Refused::Sealed) => Err(closed()),
            Err(Refused::Dropped) => {
                let context = "the session's queue is full, so the message was dropped";
                Err(SendError::new(SendErrorKind::Backpressure, context))
            }
            Err(Refused::Full) => {
                let context = "the session's queue is full, so the session is being closed";
                Err(SendError::new(SendErrorKind::Backpressure, context))
            }
        }
    }

    /// Writes what a round of its shard's dispatcher brings, and returns how many messages that
    /// are.
    pub(crate) fn catch_up(&self, batch: &Batch) -> u64 {
        let taken = self.0.outbox.catch_up(batch);
        self.count_lost(taken);
        taken.sent
    }

    /// Answers the client, outside the policy. It leaves when the session's task next writes.
    /// Returns whether so many replies wait that no more should be made for now.
    fn reply(&self, frame: Bytes) -> bool {
        let (mut taken, full) = self.0.outbox.push_reply(frame);
        taken.sent += 1;
        self.count(taken);
        full
    }

    /// Begins to follow its shard's log.
    pub(crate) fn take_seat(&self) {
        let seat = self.0.shard.insert(self.clone());
        self.0.seat.store(seat, Relaxed);
        self.0.outbox.join();
    }

    /// Gives its seat to others. Returns whether it had one.
    pub(crate) fn leave_seat(&self) -> bool {
        let seat = self.0.seat.swap(NO_SEAT, Relaxed);
        if seat != NO_SEAT {
            self.0.shard.remove(seat);
        }
        seat != NO_SEAT
    }

    /// When its task is to look at the clock.
    pub(crate) fn alarm(&self) -> &Alarm {
        &self.0.alarm
    }

    /// Wakes its task.
    pub(crate) fn wake(&self) {
        self.0.outbox.wake_task();
    }

    fn count(&self, taken: Taken) {
        let shared = &self.0.shared;
        if taken.sent > 0 {
            shared.stats.sent.add(taken.sent);
        }
        self.count_lost(taken);
        if shared.queue_budget.is_over() {
            shared.evict_fullest_queue();
        }
    }

    fn count_lost(&self, taken: Taken) {
        if taken.dropped > 0 {
            self.0.shared.stats.dropped.add(taken.dropped);
        }
        if taken.full {
            self.end_slow();
        }
    }

    /// Ends the session, unless it is ending already.
    pub(crate) fn end(&self, info: DisconnectInfo) -> bool {
        let first = self.0.latch.close(info);
        if first {
            // What was broadcast before this belongs to the session, what comes after doesn't.
            self.count(self.0.outbox.leave());
            self.wake();
        }
        first
    }

    /// Ends the session, and counts it if this is the first cause.
    pub(crate) fn end_counted(&self, counter: &Counter, info: DisconnectInfo) {
        if self.end(info) {
            counter.add(1);
        }
    }

    /// Writes what waits, for the session's task.
    fn poll_write(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.outbox.poll_write(cx, |missed| {
            gap_notice(&self.0.shared, missed).unwrap_or_else(|error| {
                self.0
                    .shared
                    .report(ErrorStage::Message, error, Some(self.clone()));
                Bytes::new()
            })
        })
    }

    /// Tells the client that it may have missed so many messages of other nodes.
    pub(crate) fn note_missed(&self, messages: u64) {
        self.0.outbox.note_missed(messages);
    }

    /// Ends the session of a client that reads too slowly.
    pub(crate) fn end_slow(&self) {
        let code = Some(CloseCode::TRY_AGAIN_LATER);
        let info = DisconnectInfo::new(Initiator::Backpressure, code, "slow consumer");
        self.end_counted(&self.0.shared.stats.slow_consumers, info);
    }

    /// Ends the session at once and gives up all that waits for its client, for want of memory.
    pub(crate) fn evict(&self) {
        self.end_slow();
        let lost = self.0.outbox.evict();
        self.0.shared.stats.dropped.add(lost as u64);
    }

    /// The bytes that wait for the client.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.0.outbox.bytes()
    }

    /// The bytes of messages that the client has begun and not finished, or that wait for their
    /// handlers.
    pub(crate) fn assembling_bytes(&self) -> usize {
        self.0.assembling.load(Relaxed)
    }

    /// The session as presence knows it.
    pub(crate) fn info(&self) -> SessionInfo {
        let node = self.0.shared.node.id.clone();
        let mut info = SessionInfo::new(self.id(), self.identity().key(), node);
        info.remote_addr = self.remote_addr();
        info.connected_at = self.connected_at();
        info
    }

    pub(crate) fn key(&self) -> SessionKey {
        SessionKey {
            identity: self.identity().key().clone(),
            session: self.id(),
        }
    }
}

/// What a session that lost messages is told in band.
fn gap_notice(shared: &Shared, missed: u64) -> Result<Bytes, CodecError> {
    let data = realtime_core::Payload::from(format!(r#"{{"missed":{missed}}}"#));
    shared.encode(&Message::new("gap", data)?)
}

fn closed() -> SendError {
    SendError::new(
        SendErrorKind::SessionClosed,
        "the session is closing or closed",
    )
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id())
            .field("identity", &self.identity())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
