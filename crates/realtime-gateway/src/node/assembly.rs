//! How a node is put together.

use std::{
    sync::{Arc, OnceLock, atomic::AtomicBool},
    time::Duration,
};

use realtime_core::{
    broker::{AnyBroker, NodeInfo},
    history::AnyHistory,
    presence::AnyPresence,
    revocation::{AnyRevocations, MemoryRevocations},
};
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Node;
use crate::{
    Config,
    admission::{Authentication, Slots},
    backends::{bounded_broker, bounded_history, bounded_presence, bounded_revocations},
    budget::Budget,
    clock::Clock,
    cluster::{Load, Peers, Refusals, Surveys},
    compression::Deflater,
    dialects::Dialects,
    handling::{Hooks, RoomTable, RouteTable, RouterService, middleware::StackFactory},
    health::Watched,
    heard::Heard,
    hub::Hub,
    kept::Kept,
    limits::NodeLimits,
    metrics::Metrics,
    outbound::QueueLimits,
    registry::Registry,
    reports::Reports,
    room_topics::RoomTopics,
    session::Env,
    stats::Counters,
    tasks::Tasks,
    traces::Tracer,
    unreachable::Unreachable,
};

/// How late a deadline is noticed at the most, as a share of the shortest that counts.
const PRECISION: u32 = 16;
const FINEST: Duration = Duration::from_millis(2);
const COARSEST: Duration = Duration::from_secs(1);

/// How many who join ask the history at the same time.
const ASKING: usize = 64;

/// What the builder has put together.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) info: NodeInfo,
    pub(crate) dialects: Dialects,
    pub(crate) broker: AnyBroker,
    pub(crate) joins: bool,
    pub(crate) presence: AnyPresence,
    pub(crate) authentication: Authentication,
    pub(crate) slots: Slots,
    pub(crate) revocations: Option<AnyRevocations>,
    pub(crate) tracer: Tracer,
    pub(crate) hooks: Hooks,
    pub(crate) table: RouteTable,
    pub(crate) rooms: Arc<RoomTable>,
    pub(crate) history: AnyHistory,
    pub(crate) stack: StackFactory,
}

impl Node {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            config,
            info,
            dialects,
            broker,
            joins,
            presence,
            authentication,
            slots,
            revocations,
            tracer,
            hooks,
            mut table,
            rooms,
            history,
            stack,
        } = parts;
        let stats = Arc::new(Counters::default());
        let dialects = dialects.compressing(Deflater::new(&config, &stats));
        let hub = Arc::new(Hub::new(dialects.variants()));
        let policy = config.backpressure.name();
        let metrics = Metrics::new(&config.name, policy, table.take_patterns());
        let env = Arc::new(env(
            (&config, &info),
            dialects,
            &hub,
            Arc::clone(&stats),
            (metrics.clone(), tracer),
        ));
        let presence = bounded_presence(presence, metrics.clone());
        let has_roster = config.tenant_presence || rooms.has_presence();
        let registry = Registry::new(
            presence,
            has_roster,
            config.presence_ttl,
            Arc::clone(&stats),
        );
        let (hooks, host, tasks) = (Arc::new(hooks), Arc::default(), Tasks::default());
        let ending = CancellationToken::new();
        let reports = Reports::new(
            Arc::clone(&hooks),
            Arc::clone(&host),
            config.hook_timeout,
            stats,
            tasks.clone(),
        );
        Self {
            surveys: Arc::new(Surveys::new(info.incarnation.as_u64())),
            peers: Peers::default(),
            load: Load::default(),
            order: Arc::default(),
            refusals: Refusals::default(),
            info,
            built: Instant::now(),
            env,
            hub,
            broker: bounded_broker(broker, metrics.clone()),
            joins,
            broker_link: Watched::new(),
            joined: Kept::default(),
            room_topics: RoomTopics::new(),
            asking: Semaphore::new(ASKING),
            showing: Semaphore::new(config.max_authenticating.min(Semaphore::MAX_PERMITS)),
            room_table: rooms,
            history: bounded_history(history, metrics.clone()),
            history_link: Watched::new(),
            authentication,
            slots,
            has_store_of_revocations: revocations.is_some(),
            revocations: bounded_revocations(
                revocations.unwrap_or_else(|| AnyRevocations::new(MemoryRevocations::new())),
                metrics,
            ),
            revocations_link: Watched::new(),
            heard: Heard::default(),
            registry,
            presence_events: Kept::default(),
            unreachable: Unreachable::default(),
            limits: NodeLimits::new(&config.limits),
            hooks,
            reports,
            tasks,
            background: TaskTracker::new(),
            draining: ending.child_token(),
            noticed: OnceLock::new(),
            ending,
            stop: CancellationToken::new(),
            abort: CancellationToken::new(),
            started: AtomicBool::new(false),
            said_alone: AtomicBool::new(false),
            listens: AtomicBool::new(false),
            router: Arc::new(RouterService {
                table: Arc::new(table),
                host,
            }),
            stack,
            config,
        }
    }
}

fn env(
    (config, info): (&Config, &NodeInfo),
    dialects: Dialects,
    hub: &Arc<Hub>,
    stats: Arc<Counters>,
    (metrics, tracer): (Metrics, Tracer),
) -> Env {
    let queued = Arc::new(Budget::new(config.queue_budget));
    let (weak, budget) = (Arc::downgrade(hub), Arc::clone(&queued));
    Env {
        node: info.clone(),
        dialects,
        queue_limits: Arc::new(QueueLimits {
            messages: config.queue_messages,
            bytes: config.queue_bytes,
            policy: config.backpressure,
        }),
        queued,
        held: Arc::new(Budget::new(config.assembly_budget)),
        stats,
        metrics,
        tracer,
        clock: Arc::new(Clock::new(tick(config))),
        #[cfg(feature = "admin")]
        taps: crate::tap::Taps::default(),
        expiry_notice: config.expiry_notice.unwrap_or_default(),
        max_repliers: config.max_repliers_per_session,
        replier_timeout: config.replier_timeout,
        relieve: Box::new(move || {
            if let Some(hub) = weak.upgrade() {
                hub.relieve_queues(&budget);
            }
        }),
        gatekeeper: OnceLock::new(),
        doors: OnceLock::new(),
    }
}

/// How often peers' deadlines are looked at.
fn tick(config: &Config) -> Duration {
    let Config {
        heartbeat,
        pong_timeout,
        write_timeout,
        replier_timeout,
        ..
    } = *config;
    [heartbeat, pong_timeout, write_timeout, replier_timeout]
        .into_iter()
        .flatten()
        .min()
        .map_or(COARSEST, |shortest| shortest / PRECISION)
        .clamp(FINEST, COARSEST)
}
