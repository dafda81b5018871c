//! How a gateway is described.

mod options;
mod spoken;

use std::sync::Arc;

use realtime_core::{
    BoxError, Incarnation, NodeId,
    auth::{Anonymous, AnyAuthenticator, Authenticator},
    broker::{AnyBroker, Broker, LocalBroker, NodeInfo},
    codec::Codec,
    extract::Reply,
    history::{AnyHistory, History, MemoryHistory},
    presence::{AnyPresence, MemoryPresence, Presence},
    revocation::{AnyRevocations, Revocations},
};
use tower_layer::{Identity as NoLayer, Layer, Stack};
use tower_service::Service;

use self::spoken::dialects;
use super::{Gateway, settings::Settings};
#[cfg(feature = "traces")]
use crate::Traces;
use crate::{
    BuildError, BuildErrorKind, Config, Inbound, Router,
    admission::{Admission, Authentication, Slots},
    dialects::Encoder,
    handling::{
        CompleteRouter, Hook, Hooks, RouterService,
        extract::{ConnectContext, DisconnectContext, ErrorHookContext, PresenceContext},
        middleware::stack_factory,
    },
    node::Parts,
    traces::Tracer,
};

/// Describes a gateway. Made by [`Gateway::builder`].
///
/// With nothing set it has anonymous identities, no routes, and an in-process broker and presence.
/// `S` is the state of hooks that are added from here on; `L` are the layers so far.
///
/// ```
/// use std::time::Duration;
/// use realtime::{
///     Json, Router, Session,
///     middleware::{LoggerLayer, RecoveryLayer},
/// };
///
/// async fn welcome(session: Session) -> Result<(), realtime::error::SendError> {
///     session.send("welcome", Json(session.identity_key().id()))
/// }
///
/// let gateway = realtime::builder()
///     .router(Router::new().route("echo", async |Json(text): Json<String>| Json(text)))
///     .layer(LoggerLayer::new())
///     .layer(RecoveryLayer::new())
///     .on_connect(welcome)
///     .heartbeat(Some(Duration::from_secs(15)))
///     .build()?;
/// # Ok::<(), realtime::error::BuildError>(())
/// ```
#[must_use = "a builder does nothing until it is built"]
pub struct Builder<S = (), L = NoLayer> {
    codec: Arc<dyn Codec>,
    others: Vec<Encoder>,
    config: Config,
    authenticator: AnyAuthenticator,
    broker: AnyBroker,
    /// It was given by the application.
    joins: bool,
    presence: AnyPresence,
    history: Option<AnyHistory>,
    revocations: Option<AnyRevocations>,
    router: Router,
    hooks: Hooks,
    hook_state: S,
    layers: L,
    #[cfg(feature = "traces")]
    traces: Option<Traces>,
}

impl Builder {
    pub(crate) fn new(codec: impl Codec) -> Self {
        Self {
            codec: Arc::new(codec),
            others: Vec::new(),
            config: Config::default(),
            authenticator: AnyAuthenticator::new(Anonymous),
            broker: AnyBroker::new(LocalBroker::new()),
            joins: false,
            presence: AnyPresence::new(MemoryPresence::new()),
            history: None,
            revocations: None,
            router: Router::new(),
            hooks: Hooks::default(),
            hook_state: (),
            layers: NoLayer::new(),
            #[cfg(feature = "traces")]
            traces: None,
        }
    }
}

impl<S: Clone + Send + Sync + 'static, L> Builder<S, L> {
    /// Sets who may connect. Default: everybody, as one anonymous identity.
    ///
    /// ```
    /// use realtime::{Identity, auth::StaticToken};
    ///
    /// let token = StaticToken::new("s3cret", Identity::new("backend"))?;
    /// let gateway = realtime::builder().authenticator(token).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn authenticator(mut self, authenticator: impl Authenticator) -> Self {
        self.authenticator = AnyAuthenticator::new(authenticator);
        self
    }

    /// Sets how other nodes are reached. Default: there are none. A gateway with a broker is
    /// [started](Gateway::start).
    ///
    /// ```
    /// use realtime::{Json, broker::LocalBroker};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // Two nodes in one process. `realtime::connect::broker` accepts a URL.
    /// let broker = LocalBroker::new();
    /// let here = realtime::builder().broker(broker.clone()).build()?;
    /// let there = realtime::builder().broker(broker).build()?;
    /// here.start().await?;
    /// there.start().await?;
    /// here.broadcast("news", Json("rain")).await?; // reaches the sessions of both
    /// # Ok(())
    /// # }
    /// ```
    pub fn broker(mut self, broker: impl Broker) -> Self {
        self.broker = AnyBroker::new(broker);
        self.joins = true;
        self
    }

    /// Sets where it is remembered who is online. Default: in this process.
    ///
    /// ```
    /// use realtime::connect;
    ///
    /// // `redis://host` with the feature `presence-redis`.
    /// let url = std::env::var("PRESENCE_URL").unwrap_or_else(|_| "local:".to_owned());
    /// let gateway = realtime::builder().presence(connect::presence(&url)?).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn presence(mut self, presence: impl Presence) -> Self {
        self.presence = AnyPresence::new(presence);
        self
    }

    /// Sets where it is kept what was sent to rooms, for those [rooms](crate::RoomRule::history)
    /// that have a history. Default: in this process. With a broker there is no default, since all
    /// nodes must share it.
    ///
    /// ```
    /// use realtime::{connect, history::MemoryHistory};
    ///
    /// let gateway = realtime::builder().history(MemoryHistory::new()).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn history(mut self, history: impl History) -> Self {
        self.history = Some(AnyHistory::new(history));
        self
    }

    /// Sets where it is remembered what was [revoked](Gateway::revoke). Default: in this process.
    /// With a broker there is no default, since all nodes must share it.
    ///
    /// ```
    /// use realtime::revocation::MemoryRevocations;
    ///
    /// let gateway = realtime::builder().revocations(MemoryRevocations::new()).build()?;
    /// # Ok::<(), realtime::error::BuildError>(())
    /// ```
    pub fn revocations(mut self, revocations: impl Revocations) -> Self {
        self.revocations = Some(AnyRevocations::new(revocations));
        self
    }

    /// Sets the handlers of messages, in place of those that were set before. Default: none.
    ///
    /// ```
    /// use realtime::{Json, Router};
    ///
    /// let router = Router::new().route("echo", async |Json(text): Json<String>| Json(text));
    /// let gateway = realtime::builder().router(router).build()?;
    /// # Ok::<(), realtime::error::BuildError>(())
    /// ```
    pub fn router(mut self, router: impl CompleteRouter) -> Self {
        self.router = router.complete();
        self
    }

    /// Adds a layer around the handlers. The first that is added is the outermost. See
    /// [`middleware`](crate::middleware) for those that are ready and for your own.
    ///
    /// ```
    /// use std::time::Duration;
    /// use realtime::middleware::{RecoveryLayer, TimeoutLayer};
    ///
    /// let gateway = realtime::builder()
    ///     .layer(RecoveryLayer::new())
    ///     .layer(TimeoutLayer::new(Duration::from_secs(5)))
    ///     .build()?;
    /// # Ok::<(), realtime::error::BuildError>(())
    /// ```
    pub fn layer<N>(self, layer: N) -> Builder<S, Stack<N, L>> {
        Builder {
            codec: self.codec,
            others: self.others,
            config: self.config,
            authenticator: self.authenticator,
            broker: self.broker,
            joins: self.joins,
            presence: self.presence,
            history: self.history,
            revocations: self.revocations,
            router: self.router,
            hooks: self.hooks,
            hook_state: self.hook_state,
            layers: Stack::new(layer, self.layers),
            #[cfg(feature = "traces")]
            traces: self.traces,
        }
    }

    /// Sets what `State<T>` is in the hooks that are added after it.
    ///
    /// ```
    /// use std::sync::{Arc, atomic::{AtomicU64, Ordering::Relaxed}};
    /// use realtime::State;
    ///
    /// let visits = Arc::new(AtomicU64::new(0));
    /// let gateway = realtime::builder()
    ///     .hook_state(Arc::clone(&visits))
    ///     .on_connect(async |State(visits): State<Arc<AtomicU64>>| {
    ///         visits.fetch_add(1, Relaxed);
    ///     })
    ///     .build()?;
    /// # Ok::<(), realtime::error::BuildError>(())
    /// ```
    pub fn hook_state<S2>(self, state: S2) -> Builder<S2, L> {
        Builder {
            codec: self.codec,
            others: self.others,
            config: self.config,
            authenticator: self.authenticator,
            broker: self.broker,
            joins: self.joins,
            presence: self.presence,
            history: self.history,
            revocations: self.revocations,
            router: self.router,
            hooks: self.hooks,
            hook_state: state,
            layers: self.layers,
            #[cfg(feature = "traces")]
            traces: self.traces,
        }
    }

    /// Adds a hook that runs when a session is registered, before its first message is read. An
    /// error refuses the session with 1008: it is removed from presence and the hub again, and no
    /// `on_disconnect` hook runs. Several run in order.
    ///
    /// While it runs, the session receives broadcasts already: who may connect is for the
    /// authenticator to say.
    ///
    /// ```
    /// use realtime::{ClientError, Gateway, Json, Session};
    ///
    /// async fn one_tab(gateway: Gateway, session: Session) -> Result<(), ClientError> {
    ///     if gateway.local_sessions_of(session.identity_key()).len() > 1 {
    ///         return Err(ClientError::new("one_tab", "this page is open already"));
    ///     }
    ///     Ok(())
    /// }
    ///
    /// let gateway = realtime::builder().on_connect(one_tab).build()?;
    /// # use realtime::{CloseCode, Identity};
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn check(gateway: Gateway) -> Result<(), Box<dyn std::error::Error>> {
    /// # let mut first = connect(&gateway, Identity::new("ann")).await?;
    /// # let mut second = connect(&gateway, Identity::new("ann")).await?;
    /// # assert_eq!(second.closed().await?.code, Some(CloseCode::POLICY_VIOLATION));
    /// # first.ping().await?;
    /// # Ok(())
    /// # }
    /// # check(gateway).unwrap();
    /// # Ok::<(), realtime::error::BuildError>(())
    /// ```
    pub fn on_connect<Args>(mut self, hook: impl Hook<Args, ConnectContext<S>>) -> Self {
        self.hooks.on_connect(hook, self.hook_state.clone());
        self
    }

    /// Adds a hook that runs when a session has ended, was removed from presence and the hub, and
    /// its last handler has returned. Several run in order. It does not run for sessions that the
    /// shutdown deadline cut off.
    ///
    /// ```
    /// use realtime::{DisconnectInfo, Session};
    ///
    /// let gateway = realtime::builder()
    ///     .on_disconnect(async |session: Session, info: DisconnectInfo| {
    ///         println!("{} was {info}", session.id());
    ///     })
    ///     .build()?;
    /// # Ok::<(), realtime::error::BuildError>(())
    /// ```
    pub fn on_disconnect<Args>(mut self, hook: impl Hook<Args, DisconnectContext<S>>) -> Self {
        self.hooks.on_disconnect(hook, self.hook_state.clone());
        self
    }

    /// Adds a hook that is told who came into a room or has gone from it, for
    /// [rooms](crate::RoomRule::presence) of which that is kept, and who of a tenant is online or
    /// not any more, with [`Config::tenant_presence`]. Its argument is the
    /// [`Change`](realtime_core::presence::Change).
    ///
    /// Each change is told on one node. Should that node die, take too long, or its presence store
    /// fail while it does so, the change is told once more, on this node or another, with the same
    /// version. Several hooks run in order; those of one member's changes one after the other, and
    /// of many members at the same time. It may take [`Config::hook_timeout`], and 5 s at the most.
    /// What runs when the gateway ends has another second.
    ///
    /// ```
    /// use realtime::presence::{Change, ChangeKind, Group};
    ///
    /// async fn seen(change: Change) {
    ///     if let (Group::Tenant(tenant), ChangeKind::Left) = (&change.member.group, change.kind) {
    ///         println!("{} of {tenant:?} was last seen now", change.member.identity.id());
    ///     }
    /// }
    ///
    /// let gateway = realtime::builder().tenant_presence(true).on_presence(seen).build()?;
    /// # Ok::<(), realtime::error::BuildError>(())
    /// ```
    pub fn on_presence<Args>(mut self, hook: impl Hook<Args, PresenceContext<S>>) -> Self {
        self.hooks.on_presence(hook, self.hook_state.clone());
        self
    }

    /// Adds a hook for errors that no caller sees: of authentication, messages, hooks,
    /// the broker, presence and unexpected disconnects. Without any they go to the log, under the
    /// target `realtime::error`.
    ///
    /// ```
    /// use realtime::hooks::ErrorContext;
    ///
    /// let gateway = realtime::builder()
    ///     .on_error(async |error: ErrorContext| {
    ///         eprintln!("{:?}: {}", error.stage(), error.error());
    ///     })
    ///     .build()?;
    /// # Ok::<(), realtime::error::BuildError>(())
    /// ```
    pub fn on_error<Args>(mut self, hook: impl Hook<Args, ErrorHookContext<S>>) -> Self {
        self.hooks.on_error(hook, self.hook_state.clone());
        self
    }

    /// Sets how the gateway takes part in traces: connections, messages, and what goes to other nodes
    /// become spans of `tracing`, under the target `realtime::trace`, and a trace goes on from one node
    /// to the other. Default: nothing is traced.
    ///
    /// ```
    /// use realtime::traces::{OpenTelemetry, Traces};
    ///
    /// // One in a hundred.
    /// let traces = Traces::new(OpenTelemetry::new()).ratio(0.01);
    /// let gateway = realtime::builder().traces(traces).build()?;
    /// # Ok::<(), realtime::error::BuildError>(())
    /// ```
    #[cfg(feature = "traces")]
    #[cfg_attr(docsrs, doc(cfg(feature = "traces")))]
    pub fn traces(mut self, traces: Traces) -> Self {
        self.traces = Some(traces);
        self
    }

    /// Builds the gateway. It needs no runtime and opens no connection.
    ///
    /// # Errors
    /// Kind [`InvalidOption`](crate::BuildErrorKind::InvalidOption), naming the setting, or
    /// [`DuplicateRoute`](crate::BuildErrorKind::DuplicateRoute), naming the route.
    ///
    /// ```
    /// use realtime::error::BuildErrorKind;
    ///
    /// let error = realtime::builder().read_limit(0).build().unwrap_err();
    /// assert_eq!(error.kind(), BuildErrorKind::InvalidOption);
    /// assert!(error.to_string().contains("read_limit"));
    /// ```
    pub fn build(self) -> Result<Gateway, BuildError>
    where
        L: Layer<RouterService> + Send + Sync + 'static,
        L::Service: Service<Inbound, Response = Reply, Error: Into<BoxError>> + Send + 'static,
        <L::Service as Service<Inbound>>::Future: Send + 'static,
    {
        let settings = Settings::parse(self.config)?;
        let dialects = dialects(self.codec, self.others)?;
        settings.check(&self.authenticator, &dialects)?;
        let Settings {
            config,
            origin,
            proxies,
        } = settings;
        let slots = Slots::new(config.max_connections, config.max_authenticating);
        let admission = Admission::new(origin, proxies, slots.clone());
        let (table, rooms) = self.router.build(self.authenticator.accepts_tokens())?;
        let authentication = Authentication::new(
            self.authenticator,
            config.auth_timeout,
            config.expiry_grace.unwrap_or_default(),
        );
        if self.history.is_none() && self.joins && rooms.has_history() {
            let got = "rooms with a history need one that all nodes share, since there is a \
                       broker: give it with `history`";
            return Err(BuildError::new(BuildErrorKind::InvalidOption, got));
        }
        let kept_apart = |kept: &AnyRevocations| !kept.is_shared();
        if self.joins && self.revocations.as_ref().is_some_and(kept_apart) {
            let got = "`revocations` needs a store that all nodes share, since there is a broker";
            return Err(BuildError::new(BuildErrorKind::InvalidOption, got));
        }
        let keeps = rooms.has_presence() || config.tenant_presence;
        if keeps && self.presence.roster().is_none() {
            let got = "rooms with presence, and `tenant_presence`, need a presence store that has \
                       a roster; this one has none: give another one with `presence`";
            return Err(BuildError::new(BuildErrorKind::InvalidOption, got));
        }
        if !keeps && !self.hooks.presence.is_empty() {
            let got = "`on_presence` is never told anything here: set `tenant_presence`, or keep \
                       who is in rooms, with `RoomRule::presence`";
            return Err(BuildError::new(BuildErrorKind::InvalidOption, got));
        }
        let history = self
            .history
            .unwrap_or_else(|| AnyHistory::new(MemoryHistory::new()));
        let id = config.node_id.clone().unwrap_or_else(NodeId::random);
        #[cfg(feature = "traces")]
        let tracer = {
            let checked = self.traces.as_ref().map_or(Ok(()), Traces::check);
            checked.map_err(|got| BuildError::new(BuildErrorKind::InvalidOption, got))?;
            Tracer::new(self.traces, &id)
        };
        #[cfg(not(feature = "traces"))]
        let tracer = Tracer;
        let parts = Parts {
            info: NodeInfo::new(id, Incarnation::random()),
            config,
            dialects,
            broker: self.broker,
            joins: self.joins,
            presence: self.presence,
            authentication,
            slots,
            revocations: self.revocations,
            tracer,
            hooks: self.hooks,
            table,
            rooms,
            history,
            stack: stack_factory(self.layers),
        };
        let gateway = Gateway::new(parts, admission);
        gateway.warn_of_ghosts();
        Ok(gateway)
    }
}

impl<S, L> std::fmt::Debug for Builder<S, L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("codec", &self.codec)
            .field("config", &self.config)
            .field("router", &self.router)
            .finish_non_exhaustive()
    }
}
