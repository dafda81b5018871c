//! What the tasks of a gateway share: its sessions and background tasks, and the gateway itself.

mod assembly;
mod readings;

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use realtime_core::{
    BoxError,
    broker::{AnyBroker, BrokerEvents, Join, NodeInfo, Subscription},
    history::AnyHistory,
    presence::{Presence, PresenceEvents},
    revocation::AnyRevocations,
};
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Config, ErrorStage, Inbound, Session,
    admission::{Authentication, Slots},
    cluster::{Load, Order, Peers, Refusals, Surveys},
    handling::{
        Hooks, Host, RoomTable, RouterService,
        middleware::{Stack, StackFactory},
    },
    health::{Link, Watched},
    heard::Heard,
    hub::Hub,
    kept::Kept,
    limits::NodeLimits,
    metrics::{Metrics, Received, Size, Timing},
    registry::Registry,
    reports::{Fault, Reports},
    room_topics::{RoomTopic, RoomTopics},
    session::{EndCause, Env},
    tasks::Tasks,
    traces::{Luck, Traced, Tracer},
    unreachable::Unreachable,
};

pub(crate) use assembly::Parts;

/// How long after the link to other nodes is up they have had time to say that they are there.
pub(crate) const INTRODUCED: Duration = Duration::from_millis(1_500);

/// One member of a cluster, or a single one.
pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) info: NodeInfo,
    /// When it was built.
    pub(crate) built: Instant,
    pub(crate) env: Arc<Env>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) broker: AnyBroker,
    /// The application has given it a broker: there may be other nodes.
    pub(crate) joins: bool,
    pub(crate) broker_link: Watched,
    /// What the broker was joined with, while the gateway is started.
    pub(crate) joined: Kept<Joined>,
    /// The topics of the broker that its rooms travel on.
    pub(crate) room_topics: RoomTopics,
    /// What is so of rooms, by their names.
    pub(crate) room_table: Arc<RoomTable>,
    pub(crate) history: AnyHistory,
    pub(crate) history_link: Watched,
    /// Turns at asking the history for those who join. What is sent meanwhile waits behind no more
    /// questions than there are turns, however many come back at once.
    pub(crate) asking: Semaphore,
    /// Turns at the authenticator for those who have a session and show a token.
    pub(crate) showing: Semaphore,
    pub(crate) authentication: Authentication,
    /// How many there are, and may be.
    slots: Slots,
    /// What is no longer to be believed, for all nodes.
    pub(crate) revocations: AnyRevocations,
    pub(crate) revocations_link: Watched,
    /// The application has given it a store of them: other nodes may revoke.
    pub(crate) has_store_of_revocations: bool,
    /// What was revoked just now.
    pub(crate) heard: Heard,
    pub(crate) registry: Registry,
    pub(crate) presence_events: Kept<PresenceEvents>,
    pub(crate) unreachable: Unreachable,
    /// The other nodes that are there.
    pub(crate) peers: Peers,
    /// What they have been asked.
    pub(crate) surveys: Arc<Surveys>,
    /// How much of what they ask is under way.
    pub(crate) load: Load,
    /// In which order it is done.
    pub(crate) order: Arc<Order>,
    /// What they are told about what isn't done.
    pub(crate) refusals: Refusals,
    /// How much clients may do.
    pub(crate) limits: NodeLimits,
    pub(crate) hooks: Arc<Hooks>,
    pub(crate) reports: Reports,
    /// The tasks of sessions, and of what they started.
    pub(crate) tasks: Tasks,
    /// The background tasks.
    pub(crate) background: TaskTracker,
    /// Cancelled when the gateway accepts no more connections; what it has goes on until `ending`.
    pub(crate) draining: CancellationToken,
    /// When balancers will have noticed that, once there is a plan for it.
    noticed: OnceLock<Instant>,
    /// Cancelled when the shutdown begins.
    pub(crate) ending: CancellationToken,
    /// Ends the background tasks.
    pub(crate) stop: CancellationToken,
    /// Ends the sessions that are still closing at the shutdown deadline.
    pub(crate) abort: CancellationToken,
    /// The broker is joined.
    started: AtomicBool,
    said_alone: AtomicBool,
    listens: AtomicBool,
    router: Arc<RouterService>,
    stack: StackFactory,
}

/// What is received from the broker.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) messages: Subscription,
    pub(crate) events: BrokerEvents,
}

impl Node {
    /// Makes the gateway known to handlers and hooks, once.
    pub(crate) fn set_host(&self, host: Host) {
        let _set_once = self.router.host.set(host);
    }

    pub(crate) fn host(&self) -> Host {
        self.router.host.get().cloned().unwrap_or_default()
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.env.metrics
    }

    pub(crate) fn tracer(&self) -> &Tracer {
        &self.env.tracer
    }

    /// A message comes to its handler: whether that is traced.
    #[inline(always)]
    pub(crate) fn trace(&self, luck: &mut Luck, inbound: &Inbound) -> Option<Traced> {
        let Inbound { session, message } = inbound;
        self.tracer().message(luck, message, || {
            let label = self.router.table.label(message.route());
            (session.id(), session.origin(), label)
        })
    }

    /// No more connections are accepted, and by then balancers will have noticed.
    pub(crate) fn begin_draining(&self, noticed: Instant) {
        self.noticed.get_or_init(|| noticed);
        self.draining.cancel();
    }

    /// For how long balancers may still send new ones here.
    pub(crate) fn notice_left(&self) -> Duration {
        let noticed = self.noticed.get();
        noticed.map_or(Duration::ZERO, |at| {
            at.saturating_duration_since(Instant::now())
        })
    }

    /// Whether no more connections are accepted.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Whether the shutdown has begun, which ends all there is.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.is_cancelled()
    }

    /// Whether the other nodes are joined.
    pub(crate) fn is_started(&self) -> bool {
        self.started.load(SeqCst)
    }

    /// Whether messages go to other nodes, too.
    pub(crate) fn reaches_others(&self) -> bool {
        let started = self.is_started();
        if !started && self.joins {
            self.say_that_it_is_alone();
        }
        started
    }

    /// Says that it isn't started, though there may be other nodes: once, when a session opens or
    /// something is sent, for half a cluster looks like a whole one.
    pub(crate) fn say_if_alone(&self) {
        self.reaches_others();
    }

    #[cold]
    fn say_that_it_is_alone(&self) {
        // It may be started just now: then this sees it, or what starts it sees that this was said.
        if !self.said_alone.swap(true, SeqCst) && !self.is_started() {
            tracing::warn!(
                target: crate::log_targets::BROKER,
                "the gateway has a broker and isn't started, so messages reach this node's \
                 sessions only; call `Gateway::start`, as `serve` does",
            );
        }
    }

    /// Whether sessions that presence has of another node may be there: not where the broker has had
    /// the time to say which nodes there are, and that is none of them. It was killed, say.
    pub(crate) fn may_hold_sessions(&self, other: &NodeInfo) -> bool {
        if *other == self.info {
            // Its own sessions it knows itself.
            return false;
        }
        let link = &self.broker_link;
        let knows = self.is_started() && link.link() == Link::Up && link.age() >= INTRODUCED;
        !knows || self.peers.has(other)
    }

    /// What the broker is to be joined with: this node, and the topics of its rooms.
    pub(crate) fn to_join(&self) -> (Join, Vec<RoomTopic>) {
        let wanted = |topic: &RoomTopic| self.hub.rooms().wants(*topic);
        let topics: Vec<RoomTopic> = RoomTopic::all().filter(wanted).collect();
        let names = topics.iter().filter_map(|topic| topic.name());
        (Join::new(self.info.clone()).with_topics(names), topics)
    }

    pub(crate) fn set_started(&self) {
        self.started.store(true, SeqCst);
        if self.said_alone.load(SeqCst) {
            // A host that listened before it has started it: nothing is wrong any more.
            tracing::info!(
                target: crate::log_targets::BROKER,
                "the gateway is started now, so messages reach the other nodes, too",
            );
        }
    }

    /// Listens to presence from here on: before it is first asked, so that nothing that happens to
    /// it is missed.
    pub(crate) fn listen_to_presence(&self) {
        if self.listens.load(SeqCst) {
            return;
        }
        let events = self.registry.presence.events();
        if !self.listens.swap(true, SeqCst) {
            self.presence_events.put(events);
        }
    }

    /// Whether nobody is waited for any more: the shutdown deadline has passed, or the last handle
    /// of the gateway is gone. Its clock may stand still.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.abort.is_cancelled() || self.stop.is_cancelled()
    }

    /// Ends what sessions are still busy with, those too that had ended already and finish what
    /// came before.
    pub(crate) fn cut_off(&self) {
        for session in self.hub.all() {
            session.end(EndCause::Shutdown);
            session.wake();
        }
    }

    /// Ends the background tasks, and releases those who wait for them.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
        self.hub.close_logs();
    }

    /// Whether a message on this route is a ping that the gateway answers itself.
    pub(crate) fn is_own_ping(&self, route: &str) -> bool {
        self.router.table.is_own_ping(route)
    }

    /// A message on this route comes to its handler.
    #[inline]
    pub(crate) fn begin_with(&self, route: &str, size: Size) -> Timing {
        self.metrics()
            .begin(size, || self.router.table.number(route))
    }

    /// This has become of so many messages of a client, which are so long together. Each is counted
    /// here, once.
    #[inline]
    pub(crate) fn received(&self, became: Received, messages: u64, size: Size) {
        let stats = self.stats();
        let counter = match became {
            Received::Answer => &stats.answered,
            Received::Handled => &stats.received,
            Received::Malformed => &stats.malformed,
            Received::RateLimited => &stats.rate_limited,
            Received::Unhandled => &stats.unhandled,
        };
        counter.add(messages);
        self.metrics().received(became, size);
    }

    /// The layers and the router, for one session.
    pub(crate) fn new_stack(&self) -> Stack {
        (self.stack)(&self.router)
    }

    pub(crate) fn report(
        &self,
        stage: ErrorStage,
        error: impl Into<BoxError>,
        session: Option<Session>,
    ) {
        self.reports.report(Fault::Server, stage, error, session);
    }

    /// Reports what the client is to blame for, or the network to it.
    pub(crate) fn report_client(
        &self,
        stage: ErrorStage,
        error: impl Into<BoxError>,
        session: &Session,
    ) {
        let session = Some(session.clone());
        self.reports.report(Fault::Client, stage, error, session);
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}
