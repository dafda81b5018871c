//! The gateway itself: the handle that applications hold.

mod audience;
mod broadcast;
mod builder;
mod control;
mod drain;
mod entry;
mod extract;
mod inspect;
mod pace;
mod probes;
mod rebalance;
mod request;
mod revoke;
mod service;
mod settings;
mod shutdown;
mod speaking;
mod targeted;

use std::{
    fmt,
    sync::{Arc, Weak, atomic::AtomicBool, atomic::Ordering::SeqCst},
};

use realtime_core::{
    IdentityKey, NodeId, SessionId,
    broker::Broker,
    codec::Codec,
    presence::{NodeSessions, Online, Presence, PresenceError, PresenceErrorKind, SessionInfo},
};

use crate::{
    ErrorStage, Health, HealthStatus, Session, StartError, StartErrorKind, Stats,
    admission::Admission,
    background::Background,
    handling::Host,
    health::Link,
    node::{Joined, Node, Parts},
};

pub use audience::Audience;
pub use builder::Builder;
pub use inspect::{
    Inspection, LinkAges, Phase, RoomCursor, RoomPage, RoomQuery, RoomView, SessionCursor,
    SessionPage, SessionQuery, SessionView,
};
#[cfg(feature = "admin")]
pub use inspect::{Tap, TapDirection, TapEnd, TapLimits, TappedMessage};
pub use probes::{Livez, Readyz};
pub use request::{Answer, Answers};
use shutdown::Shutdown;
pub use shutdown::ShutdownReport;
pub use speaking::Speaking;

/// A WebSocket gateway: a tower service that turns upgrade requests into sessions, and the handle
/// by which the application reaches them.
///
/// Cheap to clone; every clone is the same gateway. When the last clone is dropped without a
/// [`shutdown`](Self::shutdown), its sessions are closed with 1001 and its background tasks end.
/// A handler must not capture a clone, or that never happens: use `Gateway` as an argument instead.
///
/// Use it from one tokio runtime: its background tasks run in the one in which it was started or
/// accepted its first connection. When a runtime is dropped, so are its sessions, without their
/// hooks.
#[derive(Clone)]
pub struct Gateway(Arc<Handle>);

struct Handle {
    node: Arc<Node>,
    background: Arc<Background>,
    admission: Admission,
    /// `start` was called, and has not failed so far.
    starting: AtomicBool,
    shutdown: Shutdown,
}

impl Gateway {
    /// Begins to describe a gateway that speaks this codec. Everything else has a default.
    ///
    /// ```
    /// use realtime::{Gateway, codec::JsonCodec};
    ///
    /// // The same as `realtime::builder()`.
    /// let gateway = Gateway::builder(JsonCodec).build()?;
    /// assert_eq!(gateway.codec().name(), "realtime.json");
    /// # Ok::<(), realtime::error::BuildError>(())
    /// ```
    pub fn builder(codec: impl Codec) -> Builder {
        Builder::new(codec)
    }

    fn new(parts: Parts, admission: Admission) -> Self {
        let node = Arc::new(Node::new(parts));
        let handle = Arc::new(Handle {
            background: Background::new(&node),
            node,
            admission,
            starting: AtomicBool::new(false),
            shutdown: Shutdown::new(),
        });
        handle.node.set_host(Host::of(&handle));
        let node = Arc::downgrade(&handle.node);
        let _set_once = handle.node.env.doors.set(Weak::clone(&node) as _);
        let _set_once = handle.node.env.gatekeeper.set(node as _);
        Self(handle)
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.0.node
    }

    /// Without leases, nothing ever ends the sessions of a node that crashed.
    fn warn_of_ghosts(&self) {
        let registry = &self.node().registry;
        if registry.ttl.is_none() && registry.presence.outlives_nodes() {
            tracing::warn!(
                target: crate::log_targets::PRESENCE,
                "sessions have no lease (`presence_ttl` is None) in a presence store that outlives \
                 this node: if it crashes, they stay online for ever; set `presence_ttl`",
            );
        }
    }

    fn background(&self) -> &Arc<Background> {
        &self.0.background
    }

    fn admission(&self) -> &Admission {
        &self.0.admission
    }

    /// Joins the other nodes: the broker is subscribed to, and broadcasts and targeted messages
    /// reach them from now on. A single node needs no start.
    ///
    /// # Errors
    /// Kind [`AlreadyStarted`](StartErrorKind::AlreadyStarted) at the second call,
    /// [`Broker`](StartErrorKind::Broker) when the broker can't be joined, or
    /// [`Presence`](StartErrorKind::Presence) when presence is misconfigured, after which it can be
    /// tried again, and [`Closed`](StartErrorKind::Closed) once the gateway shuts down.
    ///
    /// # Cancel safety
    /// Safe: dropped before it returns, the gateway isn't started, and it can be tried again.
    ///
    /// ```
    /// use realtime::error::StartErrorKind;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = realtime::connect::broker("local:")?; // or `amqp://…` from a setting
    /// let gateway = realtime::builder().broker(broker).build()?;
    /// gateway.start().await?;
    /// assert!(gateway.health().is_good());
    /// assert_eq!(gateway.start().await.unwrap_err().kind(), StartErrorKind::AlreadyStarted);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn start(&self) -> Result<(), StartError> {
        let node = self.node();
        if node.is_draining() {
            return Err(closing());
        }
        if self.0.starting.swap(true, SeqCst) {
            let context = "the gateway is started already; start it once";
            return Err(StartError::new(StartErrorKind::AlreadyStarted, context));
        }
        // Undone if this future is dropped before the broker has answered, or if it says no.
        let undo = Undo(Some(&self.0.starting));
        node.listen_to_presence();
        self.background().remember_runtime();
        self.background().ensure();
        match node
            .registry
            .presence
            .is_online(&IdentityKey::new(""))
            .await
        {
            Ok(_nobody) => node.registry.link.is_known_up(),
            Err(error) if error.kind() == PresenceErrorKind::Config => {
                let context = "presence is misconfigured; the source says how";
                return Err(StartError::new(StartErrorKind::Presence, context).with_source(error));
            }
            // It is waited for as it is after an outage.
            Err(error) => node.report(ErrorStage::Presence, error, None),
        }
        let events = node.broker.events();
        let (join, topics) = node.to_join();
        let joined = node.broker.subscribe(join).await;
        let messages = joined.map_err(|error| {
            let context = "the broker could not be joined; the source says why";
            StartError::new(StartErrorKind::Broker, context).with_source(error)
        })?;
        // It may have shut down while the broker was asked. What was joined is left by the drop.
        if node.is_draining() {
            return Err(closing());
        }
        undo.keep();
        node.set_started();
        node.room_topics.begin(&topics);
        // What was sent to rooms meanwhile is in their histories.
        node.hub.rooms().doubt_all();
        node.broker_link.turn(Link::Up);
        node.joined.put(Joined { messages, events });
        Ok(())
    }

    /// Whether an identity has a session online, on any node, as presence says.
    ///
    /// # Errors
    /// When presence can't be asked.
    ///
    /// ```
    /// use realtime::{Identity, IdentityKey};
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let ann = connect(&gateway, Identity::new("ann").with_tenant("acme")).await?;
    /// assert!(gateway.is_online(&IdentityKey::new("ann").with_tenant("acme")).await?);
    /// assert!(!gateway.is_online(&IdentityKey::new("bob").with_tenant("acme")).await?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn is_online(&self, identity: &IdentityKey) -> Result<bool, PresenceError> {
        self.node().registry.presence.is_online(identity).await
    }

    /// Which of these identities have a session online, on any node, as presence says, in one call.
    ///
    /// # Errors
    /// When presence can't be asked. Those of whom it isn't known are named in the answer.
    ///
    /// ```
    /// use realtime::{Identity, IdentityKey};
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let ann = connect(&gateway, Identity::new("ann")).await?;
    /// let friends = ["ann", "bob"].map(IdentityKey::new);
    /// let answer = gateway.are_online(&friends).await?;
    /// assert!(answer.online.contains(&friends[0]) && !answer.online.contains(&friends[1]));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn are_online(&self, identities: &[IdentityKey]) -> Result<Online, PresenceError> {
        self.node().registry.presence.online(identities).await
    }

    /// The sessions of an identity that are online, on all nodes, as presence says.
    ///
    /// # Errors
    /// When presence can't be asked.
    ///
    /// ```
    /// use realtime::{Identity, IdentityKey};
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let phone = connect(&gateway, Identity::new("ann")).await?;
    /// # let laptop = connect(&gateway, Identity::new("ann")).await?;
    /// let sessions = gateway.sessions_of(&IdentityKey::new("ann")).await?;
    /// for info in &sessions {
    ///     println!("{} on node {} since {:?}", info.session_id, info.node_id, info.connected_at);
    /// }
    /// assert_eq!(sessions.len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn sessions_of(
        &self,
        identity: &IdentityKey,
    ) -> Result<Vec<SessionInfo>, PresenceError> {
        self.node().registry.presence.sessions(identity).await
    }

    /// The nodes on which an identity is online, each with the number of its sessions there, as presence
    /// says. It costs what the number of nodes costs, however many sessions there are.
    ///
    /// # Errors
    /// When presence can't be asked.
    ///
    /// ```
    /// use realtime::{Identity, IdentityKey};
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let phone = connect(&gateway, Identity::new("ann")).await?;
    /// # let laptop = connect(&gateway, Identity::new("ann")).await?;
    /// let nodes = gateway.nodes_of(&IdentityKey::new("ann")).await?;
    /// assert_eq!((&nodes[0].node.id, nodes[0].sessions), (gateway.node_id(), 2));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn nodes_of(
        &self,
        identity: &IdentityKey,
    ) -> Result<Vec<NodeSessions>, PresenceError> {
        self.node().registry.presence.nodes(identity).await
    }

    /// A session of this node. For one on any node there is [`session`](Self::session).
    ///
    /// ```
    /// use realtime::{CloseCode, Identity};
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # let id = ann.session(&gateway).ok_or("no session")?.id();
    /// // `id` comes from a list of sessions, say, or from a log line.
    /// if let Some(session) = gateway.local_session(id) {
    ///     session.close(CloseCode::DISCONNECTED, "closed by an administrator");
    /// }
    /// # assert_eq!(ann.closed().await?.code, Some(CloseCode::DISCONNECTED));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn local_session(&self, id: SessionId) -> Option<Session> {
        self.node().hub.get(id)
    }

    /// All sessions of this node, as they are now.
    ///
    /// ```
    /// use realtime::{Identity, Json};
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut admin = connect(&gateway, Identity::new("ann").with_role("admin")).await?;
    /// # let mut guest = connect(&gateway, Identity::new("bob")).await?;
    /// let all = gateway.local_sessions();
    /// for session in all.iter().filter(|session| session.identity().has_role("admin")) {
    ///     session.send("alert", Json("the disk is full"))?;
    /// }
    /// # assert_eq!(admin.receive_on("alert").await?.decode::<String>()?, "the disk is full");
    /// # guest.expect_nothing().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn local_sessions(&self) -> Vec<Session> {
        self.node().hub.all()
    }

    /// The sessions of an identity on this node.
    ///
    /// ```
    /// use realtime::{CloseCode, Identity, IdentityKey};
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// for session in gateway.local_sessions_of(&IdentityKey::new("ann")) {
    ///     session.close(CloseCode::DISCONNECTED, "signed out");
    /// }
    /// # assert_eq!(ann.closed().await?.reason, "signed out");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn local_sessions_of(&self, identity: &IdentityKey) -> Vec<Session> {
        self.node().hub.of(identity)
    }

    /// This node's name.
    ///
    /// ```
    /// let gateway = realtime::builder().node_id("eu-1".parse()?).build()?;
    /// assert_eq!(gateway.node_id().as_str(), "eu-1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn node_id(&self) -> &NodeId {
        &self.node().info.id
    }

    /// What this gateway is called in its process: [`Config::name`](crate::Config::name).
    ///
    /// ```
    /// let gateway = realtime::builder().name("chat").build()?;
    /// assert_eq!(gateway.name(), "chat");
    /// # Ok::<(), realtime::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        &self.node().config.name
    }

    /// The codec that this gateway speaks.
    #[must_use]
    pub fn codec(&self) -> &Arc<dyn Codec> {
        self.node().env.dialects.codec()
    }

    /// How the node is, and its links to the broker and the stores. For balancers and supervisors there
    /// are [`Readyz`](crate::Readyz) and [`Livez`](crate::Livez).
    ///
    /// ```
    /// use realtime::report::{HealthStatus, Link};
    ///
    /// # let gateway = realtime::builder().build()?;
    /// let health = gateway.health();
    /// if let Link::Down { cause, .. } = &health.broker {
    ///     eprintln!("other nodes can't be reached: {cause}");
    /// }
    /// assert_eq!(health.status, HealthStatus::Ready);
    /// println!("{}", serde_json::to_string(&health).unwrap_or_default());
    /// # Ok::<(), realtime::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn health(&self) -> Health {
        let node = self.node();
        let sessions = node.hub.len();
        let links = Health {
            status: HealthStatus::Ready,
            reasons: Vec::new(),
            sessions,
            broker: node.broker_link.link(),
            history: node.history_link.link(),
            revocations: node.revocations_link.link(),
            presence: node.registry.link.link(),
        };
        let most = node.config.max_connections.filter(|most| *most > 0);
        let full = most.filter(|most| sessions >= *most);
        links.judged(node.is_draining(), node.joins && !node.is_started(), full)
    }

    /// What has happened so far, in numbers.
    ///
    /// ```
    /// use realtime::Identity;
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let ann = connect(&gateway, Identity::new("ann")).await?;
    /// let stats = gateway.stats();
    /// println!("{} sessions open, {} messages dropped", stats.open, stats.dropped);
    /// assert_eq!(stats.open, 1);
    /// // All of it, for an endpoint of your own.
    /// let json = serde_json::to_string(&stats)?;
    /// # assert!(json.contains("\"open\":1"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.node().snapshot()
    }

    /// Tells the recorder of the process what [`stats`](Self::stats) counts and how the gateway is
    /// now, with all else of [`METRICS`](crate::METRICS) that isn't recorded where it happens. It is done
    /// every 5 s by itself; call it before a scrape is answered, and the answer is of now. When the
    /// gateway has ended, all gauges are told to be 0, and stay so.
    ///
    /// It may be called by several at once, and costs some 150 look-ups in the recorder. A panic of
    /// the recorder's is passed on.
    ///
    /// ```
    /// # fn render() -> String { String::new() }
    /// # let gateway = realtime::builder().build()?;
    /// gateway.record_metrics();
    /// let answer = render(); // by the exporter of your choice
    /// # Ok::<(), realtime::error::BuildError>(())
    /// ```
    #[cfg(feature = "metrics")]
    #[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
    pub fn record_metrics(&self) {
        self.node().tell_metrics();
    }
}

/// A start that came to nothing may be tried again.
struct Undo<'s>(Option<&'s AtomicBool>);

impl Undo<'_> {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if let Some(starting) = self.0 {
            starting.store(false, SeqCst);
        }
    }
}

fn closing() -> StartError {
    let context = "the gateway is shutting down, so it can't be started";
    StartError::new(StartErrorKind::Closed, context)
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.node.ending.cancel();
        self.node.stop();
        self.node.cut_off();
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("node", self.node_id())
            .field("open", &self.node().hub.len())
            .finish_non_exhaustive()
    }
}
