//! The handle of one connected client.

mod attempt;
mod authenticate;
mod end;
mod end_cause;
mod env;
mod extensions;
mod living;
mod observed;
mod origin;
mod replier;
mod requests;
mod rooms;
mod send;
mod unread;
mod wake_at;
mod written;

use std::{fmt, net::SocketAddr, sync::Arc, time::SystemTime};

use once_cell::race::OnceBox;
use realtime_core::{
    CloseCode, DisconnectInfo, Identity, IdentityKey, IdentityUpdate, IntoPayload, Message,
    SessionId, Text,
    presence::{SessionInfo, SessionKey},
};

use crate::{
    SendError,
    budget::Share,
    outbound::{Log, Outbox},
    quiet::drop_quietly,
    transport::SocketWriter,
};

pub(crate) use attempt::Attempt;
pub(crate) use authenticate::Gatekeeper;
pub(crate) use end::End;
pub(crate) use end_cause::{EndCause, REPLACED};
pub(crate) use env::Env;
pub use extensions::Extensions;
pub(crate) use living::{Due, Living, TooMuch};
pub use replier::Replier;
pub(crate) use replier::{Unanswered, too_late, unanswered};
pub(crate) use requests::Sorted;
pub(crate) use rooms::{Doors, Entrance, Publish, Request, room_closed};
pub(crate) use send::check_route;
pub(crate) use unread::LONGEST_ANSWER;
pub(crate) use wake_at::WakeAt;

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

// In this order: what each delivery looks at lies side by side, behind the count of the `Arc`, and takes
// as few lines of the processor's cache as it can.
#[repr(C)]
struct Inner {
    outbox: Outbox,
    end: End,
    wake_at: WakeAt,
    id: SessionId,
    connected_as: Identity,
    /// Where that ends, or has changed.
    living: OnceBox<Living>,
    remote_addr: Option<SocketAddr>,
    connected_at: SystemTime,
    /// Messages that the client has begun and not finished, or that wait for their handlers.
    held: Share,
    extensions: Extensions,
    #[cfg(feature = "admin")]
    observed: observed::Observed,
    env: Arc<Env>,
}

impl Session {
    pub(crate) fn new(
        env: Arc<Env>,
        log: Arc<Log>,
        identity: Identity,
        remote_addr: Option<SocketAddr>,
        socket: SocketWriter,
    ) -> Self {
        let queued = Share::new(Arc::clone(&env.queued));
        let ends = identity.expires_at().is_some();
        let this = Self(Arc::new(Inner {
            id: SessionId::random(),
            connected_as: identity,
            living: OnceBox::new(),
            remote_addr,
            connected_at: SystemTime::now(),
            end: End::default(),
            outbox: Outbox::new(
                socket,
                Arc::clone(&env.queue_limits),
                queued,
                log,
                env.metrics.clone(),
            ),
            wake_at: WakeAt::new(),
            held: Share::new(Arc::clone(&env.held)),
            extensions: Extensions::default(),
            #[cfg(feature = "admin")]
            observed: observed::Observed::default(),
            env,
        }));
        if ends {
            this.lives();
        }
        this
    }

    /// The session's unique id.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.0.id
    }

    /// Who it belongs to, as its client has shown last: roles and claims may be others than a moment
    /// before, tenant and id stay the same.
    ///
    /// ```
    /// use realtime::{ClientError, Session};
    ///
    /// async fn delete_room(session: Session) -> Result<(), ClientError> {
    ///     if !session.identity().has_role("admin") {
    ///         return Err(ClientError::new("forbidden", "only an admin may delete a room"));
    ///     }
    ///     Ok(())
    /// }
    /// # let _router = realtime::Router::<()>::new().route("delete_room", delete_room);
    /// ```
    #[must_use]
    pub fn identity(&self) -> Identity {
        let changed = self.0.living.get().and_then(Living::identity);
        changed.unwrap_or_else(|| self.0.connected_as.clone())
    }

    /// Tenant and id of whom it belongs to. They stay the same for as long as it lives.
    #[must_use]
    pub fn identity_key(&self) -> &IdentityKey {
        self.0.connected_as.key()
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

    /// What the application keeps with this session: a value of each type.
    ///
    /// ```
    /// use realtime::{Json, Router, Session};
    /// # use realtime::Identity;
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// #[derive(Clone)]
    /// struct Language(&'static str);
    ///
    /// /// A hook or a handler keeps it,
    /// async fn choose(session: Session) {
    ///     session.extensions().insert(Language("de"));
    /// }
    ///
    /// /// and any other reads it.
    /// async fn greet(session: Session) -> Json<&'static str> {
    ///     match session.extensions().get::<Language>() {
    ///         Some(Language("de")) => Json("Guten Tag"),
    ///         _ => Json("Hello"),
    ///     }
    /// }
    ///
    /// let router = Router::new().route("greet", greet);
    /// let gateway = realtime::builder().on_connect(choose).router(router).build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # assert_eq!(ann.request("greet", ()).await?.decode::<String>()?, "Guten Tag");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.0.extensions
    }

    /// Whether the session is closing or closed.
    ///
    /// ```
    /// use realtime::CloseCode;
    /// # use realtime::Identity;
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # let session = ann.session(&gateway).ok_or("no session")?;
    /// assert!(!session.is_closed());
    /// session.close(CloseCode::NORMAL, "done");
    /// assert!(session.is_closed(), "from the call on, though the client doesn't know yet");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.end.is_recorded()
    }

    /// Why the session ended; `None` while it is open. The first cause is kept.
    ///
    /// ```
    /// use realtime::{CloseCode, Initiator};
    /// # use realtime::Identity;
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # let session = ann.session(&gateway).ok_or("no session")?;
    /// assert!(session.close_info().is_none());
    /// session.close(CloseCode::DISCONNECTED, "signed out");
    /// let info = session.close_info().ok_or("still open")?;
    /// assert_eq!((info.initiator, info.code), (Initiator::Server, Some(CloseCode::DISCONNECTED)));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn close_info(&self) -> Option<DisconnectInfo> {
        self.0.end.info().cloned()
    }

    /// Waits until the session is closing. A long-running handler learns from it that its client
    /// has left.
    ///
    /// # Cancel safety
    /// Safe: dropping it loses nothing.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use realtime::{Json, Router, Session};
    /// # use realtime::Identity;
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// /// Sends the time every second, for as long as the client is there.
    /// async fn clock(session: Session) {
    ///     let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ///     for second in 0_u32.. {
    ///         tokio::select! {
    ///             () = session.closed() => return,
    ///             _ = ticks.tick() => drop(session.send("tick", Json(second))),
    ///         }
    ///     }
    /// }
    ///
    /// let gateway = realtime::builder().router(Router::new().route("clock", clock)).build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # ann.send("clock", ()).await?;
    /// # assert_eq!(ann.receive_on("tick").await?.decode::<u32>()?, 0);
    /// # assert_eq!(ann.receive_on("tick").await?.decode::<u32>()?, 1);
    /// # ann.close(realtime::CloseCode::NORMAL, "").await?;
    /// # ann.closed().await?;
    /// # assert_eq!(gateway.shutdown().await.aborted, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn closed(&self) {
        self.0.end.recorded().await;
    }

    /// Closes the session: what waits for the client is written first, then a close frame with
    /// this code and reason.
    ///
    /// Idempotent: only the first cause of an end counts. A reason over 123 bytes is cut.
    ///
    /// ```
    /// use realtime::CloseCode;
    /// # use realtime::Identity;
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # let session = ann.session(&gateway).ok_or("no session")?;
    /// session.close(CloseCode::DISCONNECTED, "signed out");
    /// session.close(CloseCode::NORMAL, "too late: the first close counts");
    /// let end = ann.closed().await?;
    /// assert_eq!((end.code, &*end.reason), (Some(CloseCode::DISCONNECTED), "signed out"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn close(&self, code: CloseCode, reason: impl Into<String>) {
        self.end(EndCause::Closed(code, reason.into()));
    }

    /// Sends data to the client on a route.
    ///
    /// It writes at once, or queues what the socket doesn't accept, and never waits. From one of
    /// the session's own handlers it leaves as soon as the handler awaits something that isn't
    /// ready or returns, together with everything else it sends.
    ///
    /// A loop of sends that awaits nothing holds its thread, as any such loop does: use
    /// [`send_wait`](Self::send_wait), which lets others have a turn, or
    /// `tokio::task::yield_now`.
    ///
    /// # Errors
    /// Kind [`Backpressure`](crate::SendErrorKind::Backpressure) when the queue is full and the policy
    /// didn't accept the message, [`SessionClosed`](crate::SendErrorKind::SessionClosed) once the session
    /// is closing, [`Encode`](crate::SendErrorKind::Encode) when the data can't be encoded, and for
    /// one of the gateway's own [routes](realtime_core::codec::routes), such as `gap`: clients would
    /// take it for the gateway's word.
    ///
    /// ```
    /// use realtime::{Json, error::SendErrorKind};
    /// # use realtime::Identity;
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # let session = ann.session(&gateway).ok_or("no session")?;
    /// match session.send("score", Json((2, 1))) {
    ///     Ok(()) => {}
    ///     Err(error) if error.kind() == SendErrorKind::SessionClosed => println!("it has left"),
    ///     Err(error) => return Err(error.into()),
    /// }
    /// assert_eq!(ann.receive_on("score").await?.decode::<(u32, u32)>()?, (2, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn send(&self, route: impl Into<Text>, data: impl IntoPayload) -> Result<(), SendError> {
        self.send_message(&Message::new(route, data)?)
    }

    /// Sends a message that is already built.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    ///
    /// ```
    /// use realtime::{Json, Message};
    /// # use realtime::Identity;
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # let session = ann.session(&gateway).ok_or("no session")?;
    /// let message = Message::new("score", Json((2, 1)))?.with_metadata("lang", "en");
    /// session.send_message(&message)?;
    /// let received = ann.receive().await?;
    /// assert_eq!(received.metadata().ok_or("no metadata")?["lang"], "en");
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_message(&self, message: &Message) -> Result<(), SendError> {
        self.deliver(self.encode_sent(message)?)
    }

    /// Sends data, and waits for room in the queue where there is none. For producers that want
    /// to go as fast as the client reads. Those who wait are served in the order in which they
    /// came.
    ///
    /// # Cancel safety
    /// Safe: dropped while it waits, nothing is sent.
    ///
    /// # Errors
    /// Kinds [`SessionClosed`](crate::SendErrorKind::SessionClosed) and
    /// [`Encode`](crate::SendErrorKind::Encode), as for [`send`](Self::send).
    ///
    /// ```
    /// use realtime::{Json, Router, Session, error::SendError};
    /// # use realtime::Identity;
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// /// A large file, in pieces, as fast as the client reads them.
    /// async fn download(session: Session) -> Result<(), SendError> {
    ///     for piece in 0..1_000 {
    ///         session.send_wait("piece", Json(piece)).await?;
    ///     }
    ///     Ok(())
    /// }
    ///
    /// let router = Router::new().route("download", download);
    /// let gateway = realtime::builder().queue_messages(16).router(router).build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # ann.send("download", ()).await?;
    /// # for piece in 0..1_000 {
    /// #     assert_eq!(ann.receive_on("piece").await?.decode::<u32>()?, piece);
    /// # }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn send_wait(
        &self,
        route: impl Into<Text>,
        data: impl IntoPayload,
    ) -> Result<(), SendError> {
        let frame = self.encode_sent(&Message::new(route, data)?)?;
        self.deliver_wait(frame).await
    }

    /// Sends a message that is already built, and waits for room.
    ///
    /// # Errors
    /// Those of [`send_wait`](Self::send_wait).
    ///
    /// ```
    /// use realtime::{Json, Message};
    /// # use realtime::Identity;
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # let session = ann.session(&gateway).ok_or("no session")?;
    /// let message = Message::new("piece", Json(1))?;
    /// session.send_message_wait(&message).await?;
    /// assert_eq!(ann.receive_on("piece").await?.decode::<u32>()?, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn send_message_wait(&self, message: &Message) -> Result<(), SendError> {
        let frame = self.encode_sent(message)?;
        self.deliver_wait(frame).await
    }

    /// Whom it belonged to when it began.
    pub(crate) fn connected_as(&self) -> &Identity {
        &self.0.connected_as
    }

    /// Of an identity that ends, or has changed.
    pub(crate) fn living(&self) -> Option<&Living> {
        self.0.living.get()
    }

    /// How often its roles or claims have changed.
    pub(crate) fn changes(&self) -> u64 {
        self.living().map_or(0, Living::changes)
    }

    /// Its client has shown this one, which has the same tenant and id.
    pub(crate) fn show_identity(&self, identity: Identity) {
        let Env {
            clock,
            expiry_notice,
            ..
        } = &*self.0.env;
        let began = self.connected_as();
        self.lives().show(began, identity, clock, *expiry_notice);
        self.look_at_the_clock();
    }

    /// The application changes it.
    pub(crate) fn update_identity(&self, update: &IdentityUpdate) -> Result<(), TooMuch> {
        let Env {
            clock,
            expiry_notice,
            ..
        } = &*self.0.env;
        let began = self.connected_as();
        self.lives().update(began, update, clock, *expiry_notice)?;
        self.look_at_the_clock();
        Ok(())
    }

    fn lives(&self) -> &Living {
        self.0.living.get_or_init(|| {
            let Env {
                clock,
                expiry_notice,
                ..
            } = &*self.0.env;
            Box::new(Living::new(self.connected_as(), clock, *expiry_notice))
        })
    }

    fn look_at_the_clock(&self) {
        self.0.wake_at.set_due();
        self.wake();
    }

    /// Begins to follow its shard's log.
    pub(crate) fn follow_log(&self) {
        self.0.outbox.join();
    }

    /// When its task is to look at the clock.
    pub(crate) fn wake_at(&self) -> &WakeAt {
        &self.0.wake_at
    }

    /// Wakes its task.
    pub(crate) fn wake(&self) {
        self.0.outbox.wake_task();
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    pub(crate) fn env(&self) -> &Env {
        &self.0.env
    }

    /// What it holds of messages of its client's.
    pub(crate) fn held(&self) -> &Share {
        &self.0.held
    }

    /// Ends the session, unless it has ended already, and counts why. Returns whether this was the
    /// first cause.
    ///
    /// What was broadcast before this belongs to the session, and nothing that comes after.
    pub(crate) fn end(&self, cause: EndCause) -> bool {
        if self.is_closed() {
            // It may hold somebody else's error.
            drop_quietly(cause);
            return false;
        }
        let Inner {
            env, end, outbox, ..
        } = &*self.0;
        let counter = cause.counter(&env.stats);
        let mut info = Some(cause.into_info());
        let ended = outbox.end(|| info.take().map_or((), |info| end.record(info)));
        drop_quietly(info);
        let Some(accepted) = ended else {
            return false;
        };
        end.notify();
        if let Some(counter) = counter {
            counter.add(1);
        }
        self.count(accepted);
        self.wake();
        if let Some(info) = end.info() {
            env.metrics.closed(info);
        }
        true
    }

    /// The session as presence knows it.
    pub(crate) fn info(&self) -> SessionInfo {
        let node = self.0.env.node.clone();
        let mut info = SessionInfo::new(self.id(), self.identity_key(), node);
        info.remote_addr = self.remote_addr();
        info.connected_at = self.connected_at();
        info
    }

    pub(crate) fn key(&self) -> SessionKey {
        SessionKey {
            identity: self.identity_key().clone(),
            session: self.id(),
        }
    }
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
