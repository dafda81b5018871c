//! The gateway itself: the handle that applications hold.

mod deliver;
mod shutdown;
mod targeted;

use std::{
    fmt,
    sync::{Arc, OnceLock, Weak, atomic::Ordering::SeqCst},
};

use realtime_core::{
    IdentityKey, NodeId, SessionId,
    broker::{Broker, Topic},
    codec::Codec,
    presence::{Presence, PresenceError, PresenceErrorKind, SessionInfo},
};
use tokio::{
    sync::{OnceCell, watch},
    time::Instant,
};

use crate::{
    Builder, ErrorStage, Health, Session, StartError, StartErrorKind, Stats, lease, relay, session,
    shared::{Parts, Shared},
};

pub(crate) use deliver::hand_over;
use shutdown::Begun;
pub use shutdown::ShutdownReport;

/// A WebSocket gateway: a tower service that turns upgrade requests into sessions, and the handle
/// by which the application reaches them.
///
/// Cheap to clone; every clone is the same gateway. When the last clone is dropped without a
/// [`shutdown`](Self::shutdown), its sessions are closed with 1001 and its background tasks end.
/// A handler must not capture a clone, or that never happens: it takes `Gateway` as an argument.
///
/// Use it from one tokio runtime: its background tasks run in the one in which it was started or
/// took its first connection. When a runtime is dropped, so are its sessions, without their hooks.
#[derive(Clone)]
pub struct Gateway(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    shutdown_begun: OnceLock<Begun>,
    shutdown: OnceCell<ShutdownReport>,
    /// When what still runs is cut off, once somebody has said.
    deadline: watch::Sender<Option<Instant>>,
}

impl Gateway {
    /// Begins to describe a gateway that speaks this codec. Everything else has a default.
    pub fn builder(codec: impl Codec) -> Builder {
        Builder::new(codec)
    }

    pub(crate) fn new(parts: Parts) -> Self {
        let shared = Arc::new(Shared::new(parts));
        let gateway = Self(Arc::new(Handle {
            shared,
            shutdown_begun: OnceLock::new(),
            shutdown: OnceCell::new(),
            deadline: watch::Sender::new(None),
        }));
        gateway
            .shared()
            .set_weak(WeakGateway(Arc::downgrade(&gateway.0)));
        gateway
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    /// Joins the other nodes: the broker is subscribed to, and broadcasts and targeted messages
    /// reach them from now on. A single node needs no start.
    ///
    /// # Errors
    /// Kind [`AlreadyStarted`](StartErrorKind::AlreadyStarted) at the second call,
    /// [`Broker`](StartErrorKind::Broker) when the broker can't be joined, or
    /// [`Presence`](StartErrorKind::Presence) when presence is set up wrongly, after which it can
    /// be tried again, and [`Closed`](StartErrorKind::Closed) once the gateway shuts down.
    ///
    /// # Cancel safety
    /// Safe: dropped before it returns, the gateway isn't started, and it can be tried again.
    pub async fn start(&self) -> Result<(), StartError> {
        let shared = self.shared();
        if shared.is_draining() {
            return Err(closing());
        }
        if shared.starting.swap(true, SeqCst) {
            let context = "the gateway is started already; start it once";
            return Err(StartError::new(StartErrorKind::AlreadyStarted, context));
        }
        // Undone if this future is dropped before the broker has answered, or if it says no.
        let undo = Undo(Some(shared));
        // Before presence is asked, so that nothing that happens to it is missed.
        lease::spawn(shared);
        match shared.presence.is_online(&IdentityKey::new("", "")).await {
            Ok(_nobody) => shared.presence_link.is_heard_of(),
            Err(error) if error.kind() == PresenceErrorKind::Config => {
                let context = "presence is set up wrongly";
                return Err(StartError::new(StartErrorKind::Presence, context).with_source(error));
            }
            // It is waited for as it is after an outage.
            Err(error) => shared.report(ErrorStage::Presence, error, None),
        }
        let events = shared.broker.events();
        let topics = [Topic::All, Topic::Node(shared.node.id.clone())];
        let joined = shared
            .broker
            .subscribe(shared.node.clone(), &topics)
            .await
            .map_err(|e| {
                let context = "the broker could not be joined";
                StartError::new(StartErrorKind::Broker, context).with_source(e)
            })?;
        // It may have shut down while the broker was asked. What was joined is left by the drop.
        if shared.is_draining() {
            return Err(closing());
        }
        undo.keep();
        shared.started.store(true, SeqCst);
        relay::spawn(shared, joined, events);
        Ok(())
    }

    /// Whether an identity has a session online, on any node, as presence says.
    ///
    /// # Errors
    /// When presence can't be asked.
    pub async fn is_online(&self, identity: &IdentityKey) -> Result<bool, PresenceError> {
        self.shared().presence.is_online(identity).await
    }

    /// The sessions of an identity that are online, on all nodes, as presence says.
    ///
    /// # Errors
    /// When presence can't be asked.
    pub async fn sessions_of(
        &self,
        identity: &IdentityKey,
    ) -> Result<Vec<SessionInfo>, PresenceError> {
        self.shared().presence.sessions(identity).await
    }

    /// A session of this node.
    #[must_use]
    pub fn session(&self, id: SessionId) -> Option<Session> {
        self.shared().hub.get(id)
    }

    /// All sessions of this node, as they are now.
    #[must_use]
    pub fn local_sessions(&self) -> Vec<Session> {
        self.shared().hub.all()
    }

    /// The sessions of an identity on this node.
    #[must_use]
    pub fn local_sessions_of(&self, identity: &IdentityKey) -> Vec<Session> {
        self.shared().hub.of(identity)
    }

    /// This node's name.
    #[must_use]
    pub fn node_id(&self) -> &NodeId {
        &self.shared().node.id
    }

    /// The codec that this gateway speaks.
    #[must_use]
    pub fn codec(&self) -> &Arc<dyn Codec> {
        &self.shared().codec
    }

    /// How the links to the broker and to presence are.
    #[must_use]
    pub fn health(&self) -> Health {
        Health {
            broker: self.shared().broker_link.link(),
            presence: self.shared().presence_link.link(),
        }
    }

    /// What has happened so far, in numbers.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let shared = self.shared();
        let mut stats = shared.stats.snapshot();
        stats.open = shared.hub.len() as u64;
        stats.queued_bytes = shared.queue_budget.used() as u64;
        stats.assembling_bytes = shared.assembly_budget.used() as u64;
        stats
    }
}

/// A start that came to nothing may be tried again.
struct Undo<'s>(Option<&'s Shared>);

impl Undo<'_> {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if let Some(shared) = self.0 {
            shared.starting.store(false, SeqCst);
        }
    }
}

fn closing() -> StartError {
    let context = "the gateway is shutting down, so it can't be started";
    StartError::new(StartErrorKind::Closed, context)
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.drain.cancel();
        self.shared.stop.cancel();
        for session in self.shared.hub.all() {
            session.end(session::going_away());
        }
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("node", self.node_id())
            .field("open", &self.shared().hub.len())
            .finish_non_exhaustive()
    }
}

/// A reference to a gateway that doesn't keep it alive.
#[derive(Clone, Default)]
pub struct WeakGateway(Weak<Handle>);

impl WeakGateway {
    pub(crate) fn upgrade(&self) -> Option<Gateway> {
        self.0.upgrade().map(Gateway)
    }
}

impl fmt::Debug for WeakGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakGateway").finish_non_exhaustive()
    }
}
