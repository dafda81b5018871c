//! What a gateway, its sessions and its background tasks share.

use std::{
    fmt,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, OnceLock, atomic::AtomicBool},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use realtime_core::{
    BoxError, Message,
    auth::AnyAuthenticator,
    broker::{AnyBroker, NodeInfo},
    codec::{Codec, CodecError, FrameKind},
    presence::AnyPresence,
};
use realtime_websocket::{Kind, frame};
use tokio::sync::{Notify, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Config, ErrorContext, ErrorStage, Session, admission::Admission, budget::Budget,
    gateway::WeakGateway, health::Watched, hooks::Hooks, hub::Hub, lease::Leaving, log::Chain,
    middleware::MessageService, middleware::StackFactory, origin::OriginPolicy,
    peer::TrustedProxies, router::RouteTable, router::RouterService, session::QueueLimits,
    session::Times, stats::Counters, unreachable::Unreachable,
};

/// How many error reports may be under way to the error hooks at once.
const ERROR_REPORTS: usize = 256;

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) node: NodeInfo,
    pub(crate) codec: Arc<dyn Codec>,
    pub(crate) authenticator: AnyAuthenticator,
    pub(crate) broker: AnyBroker,
    /// The application has given it a broker: there may be other nodes.
    #[cfg_attr(not(feature = "server"), expect(dead_code, reason = "for `serve`"))]
    pub(crate) joins: bool,
    pub(crate) presence: AnyPresence,
    pub(crate) origin: OriginPolicy,
    pub(crate) proxies: TrustedProxies,
    pub(crate) traceparent: Option<Traceparent>,
    pub(crate) hooks: Arc<Hooks>,
    pub(crate) hub: Hub,
    pub(crate) admission: Admission,
    pub(crate) queue_limits: Arc<QueueLimits>,
    pub(crate) queue_budget: Arc<Budget>,
    pub(crate) assembly_budget: Arc<Budget>,
    /// Held by whoever looks for the fullest queue.
    evicting: Mutex<()>,
    pub(crate) stats: Counters,
    /// A ping that is ready to be written.
    pub(crate) ping: Bytes,
    /// The tasks of sessions, and of what they started.
    pub(crate) tasks: TaskTracker,
    /// The relay and the renewal of leases.
    pub(crate) background: TaskTracker,
    /// Cancelled when the gateway takes no more connections.
    pub(crate) drain: CancellationToken,
    /// Ends the background tasks.
    pub(crate) stop: CancellationToken,
    /// Ends the sessions that are still closing at the shutdown deadline.
    pub(crate) abort: CancellationToken,
    /// Somebody has called `start`, which has not failed so far.
    pub(crate) starting: AtomicBool,
    /// The broker is joined.
    pub(crate) started: AtomicBool,
    pub(crate) leasing: AtomicBool,
    pub(crate) leaving: Leaving,
    /// Leases are to be renewed at once.
    pub(crate) renew_now: Notify,
    /// A session could not be registered.
    pub(crate) register_later: Notify,
    pub(crate) broker_link: Watched,
    pub(crate) presence_link: Watched,
    pub(crate) unreachable: Unreachable,
    table: Arc<RouteTable>,
    stack: StackFactory,
    error_reports: Arc<Semaphore>,
    weak: OnceLock<WeakGateway>,
}

/// Finds out the current W3C trace context.
pub(crate) type Traceparent = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// What the builder has put together.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) node: NodeInfo,
    pub(crate) codec: Arc<dyn Codec>,
    pub(crate) authenticator: AnyAuthenticator,
    pub(crate) broker: AnyBroker,
    pub(crate) joins: bool,
    pub(crate) presence: AnyPresence,
    pub(crate) origin: OriginPolicy,
    pub(crate) proxies: TrustedProxies,
    pub(crate) traceparent: Option<Traceparent>,
    pub(crate) hooks: Hooks,
    pub(crate) table: RouteTable,
    pub(crate) stack: StackFactory,
}

impl Shared {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            config,
            node,
            codec,
            authenticator,
            broker,
            joins,
            presence,
            origin,
            proxies,
            traceparent,
            hooks,
            ..
        } = parts;
        Self {
            node,
            codec,
            authenticator,
            broker,
            joins,
            presence,
            origin,
            proxies,
            traceparent,
            hooks: Arc::new(hooks),
            hub: Hub::new(),
            admission: Admission::new(config.max_connections, config.max_authenticating),
            queue_limits: Arc::new(QueueLimits {
                messages: config.queue_messages,
                bytes: config.queue_bytes,
                policy: config.backpressure,
            }),
            queue_budget: Arc::new(Budget::new(config.queue_budget)),
            assembly_budget: Arc::new(Budget::new(config.assembly_budget)),
            evicting: Mutex::new(()),
            stats: Counters::default(),
            ping: frame::ping(&[]),
            tasks: TaskTracker::new(),
            background: TaskTracker::new(),
            drain: CancellationToken::new(),
            stop: CancellationToken::new(),
            abort: CancellationToken::new(),
            starting: AtomicBool::new(false),
            started: AtomicBool::new(false),
            leasing: AtomicBool::new(false),
            leaving: Leaving::new(),
            renew_now: Notify::new(),
            register_later: Notify::new(),
            broker_link: Watched::new(),
            presence_link: Watched::new(),
            unreachable: Unreachable::default(),
            table: Arc::new(parts.table),
            stack: parts.stack,
            error_reports: Arc::new(Semaphore::new(ERROR_REPORTS)),
            weak: OnceLock::new(),
            config,
        }
    }

    pub(crate) fn set_weak(&self, weak: WeakGateway) {
        let _set_once = self.weak.set(weak);
    }

    pub(crate) fn weak(&self) -> WeakGateway {
        self.weak.get().cloned().unwrap_or_default()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    pub(crate) fn new_stack(&self) -> Box<dyn MessageService> {
        (self.stack)(RouterService {
            table: Arc::clone(&self.table),
            gateway: self.weak(),
        })
    }

    pub(crate) fn heartbeat(&self) -> Times {
        Times {
            interval: self.config.heartbeat,
            pong_timeout: self.config.pong_timeout,
        }
    }

    /// Encodes a message into a frame that is ready to be written to any session.
    pub(crate) fn encode(&self, message: &Message) -> Result<Bytes, CodecError> {
        self.encode_in(&mut BytesMut::with_capacity(256), message)
    }

    /// The same, split off a buffer.
    pub(crate) fn encode_in(
        &self,
        out: &mut BytesMut,
        message: &Message,
    ) -> Result<Bytes, CodecError> {
        frame::server_frame_in(out, |out| {
            Ok(match self.codec.encode(message, out)? {
                FrameKind::Binary => Kind::Binary,
                FrameKind::Text => Kind::Text,
            })
        })
    }

    /// Ends sessions, the one with the fullest queue first, until the budget holds again.
    pub(crate) fn evict_fullest_queue(&self) {
        // One at a time: others that see the budget exceeded go on.
        let Ok(_alone) = self.evicting.try_lock() else {
            return;
        };
        while self.queue_budget.is_over() {
            let open = self.hub.all().into_iter().filter(|s| !s.is_closed());
            let fullest = open
                .map(|s| (s.queued_bytes(), s))
                .max_by_key(|(bytes, _)| *bytes);
            match fullest {
                Some((1.., session)) => session.evict(),
                // What is left belongs to sessions that are closing.
                _ => return,
            }
        }
    }

    pub(crate) fn close_fullest_assembly(&self) {
        use realtime_core::{CloseCode, DisconnectInfo, Initiator};

        let open = self.hub.all().into_iter().filter(|s| !s.is_closed());
        let fullest = open.max_by_key(Session::assembling_bytes);
        if let Some(fullest) = fullest.filter(|s| s.assembling_bytes() > 0) {
            let code = Some(CloseCode::MESSAGE_TOO_BIG);
            let reason = "too many messages wait on this server";
            let info = DisconnectInfo::new(Initiator::Error, code, reason);
            fullest.end_counted(&self.stats.violations, info);
        }
    }

    /// Tells the error hooks, or the log where there are none.
    pub(crate) fn report(
        &self,
        stage: ErrorStage,
        error: impl Into<BoxError>,
        session: Option<Session>,
    ) {
        let context = ErrorContext::new(stage, error, session);
        if self.hooks.error.is_empty() {
            let session = context.session().map(Session::id);
            tracing::warn!(target: "realtime::error", ?stage, ?session, error = %Chain(context.error()));
            return;
        }
        let Ok(permit) = Arc::clone(&self.error_reports).try_acquire_owned() else {
            self.stats.errors_unreported.add(1);
            return;
        };
        let (hooks, weak) = (Arc::clone(&self.hooks), self.weak());
        let limit = self.config.hook_timeout.unwrap_or(Duration::MAX);
        self.tasks.spawn(async move {
            for hook in &hooks.error {
                let called = AssertUnwindSafe(async { hook(weak.clone(), context.clone()).await });
                let ran = tokio::time::timeout(limit, called.catch_unwind()).await;
                if !matches!(ran, Ok(Ok(Ok(())))) {
                    tracing::warn!(target: "realtime::error", ?stage, "an error hook failed");
                }
            }
            drop(permit);
        });
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}
