//! How a gateway is described.

use std::{sync::Arc, time::Duration};

use realtime_core::{
    BoxError, Incarnation, NodeId,
    auth::{Anonymous, AnyAuthenticator, Authenticator},
    broker::{AnyBroker, Broker, LocalBroker, NodeInfo},
    codec::Codec,
    extract::Reply,
    presence::{AnyPresence, MemoryPresence, Presence},
};
use tower_layer::{Identity as NoLayer, Layer, Stack};
use tower_service::Service;

use super::{Gateway, settings::Settings};
use crate::{
    Backpressure, BuildError, Config, Inbound, PresenceDown, Router,
    admission::{Admission, Slots},
    handling::{
        Hook, Hooks, RouterService,
        extract::{ConnectContext, DisconnectContext, ErrorHookContext},
        middleware::stack_factory,
    },
    node::{Parts, Traceparent},
};

/// Describes a gateway. Made by [`Gateway::builder`].
///
/// With nothing set it has anonymous identities, no routes, and an in-process broker and presence.
/// `S` is the state of hooks that are added from here on; `L` are the layers so far.
#[must_use = "a builder does nothing until it is built"]
pub struct Builder<S = (), L = NoLayer> {
    codec: Arc<dyn Codec>,
    config: Config,
    authenticator: AnyAuthenticator,
    broker: AnyBroker,
    /// It was given by the application.
    joins: bool,
    presence: AnyPresence,
    router: Router,
    hooks: Hooks,
    hook_state: S,
    layers: L,
    traceparent: Option<Traceparent>,
}

impl Builder {
    pub(crate) fn new(codec: impl Codec) -> Self {
        Self {
            codec: Arc::new(codec),
            config: Config::default(),
            authenticator: AnyAuthenticator::new(Anonymous),
            broker: AnyBroker::new(LocalBroker::new()),
            joins: false,
            presence: AnyPresence::new(MemoryPresence::new()),
            router: Router::new(),
            hooks: Hooks::default(),
            hook_state: (),
            layers: NoLayer::new(),
            traceparent: None,
        }
    }
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {$(
        $(#[$doc])*
        pub fn $name(mut self, $name: $type) -> Self {
            self.config.$name = $name;
            self
        }
    )*};
}

impl<S: Clone + Send + Sync + 'static, L> Builder<S, L> {
    /// Sets who may connect. Default: everybody, as one anonymous identity.
    pub fn authenticator(mut self, authenticator: impl Authenticator) -> Self {
        self.authenticator = AnyAuthenticator::new(authenticator);
        self
    }

    /// Sets how other nodes are reached. Default: there are none.
    pub fn broker(mut self, broker: impl Broker) -> Self {
        self.broker = AnyBroker::new(broker);
        self.joins = true;
        self
    }

    /// Sets where it is remembered who is online. Default: in this process.
    pub fn presence(mut self, presence: impl Presence) -> Self {
        self.presence = AnyPresence::new(presence);
        self
    }

    /// Sets the handlers of messages. Default: none.
    pub fn router(mut self, router: Router) -> Self {
        self.router = router;
        self
    }

    /// Adds a layer around the handlers. The first that is added is the outermost.
    pub fn layer<N>(self, layer: N) -> Builder<S, Stack<N, L>> {
        Builder {
            codec: self.codec,
            config: self.config,
            authenticator: self.authenticator,
            broker: self.broker,
            joins: self.joins,
            presence: self.presence,
            router: self.router,
            hooks: self.hooks,
            hook_state: self.hook_state,
            layers: Stack::new(layer, self.layers),
            traceparent: self.traceparent,
        }
    }

    /// Sets what `State<T>` is in the hooks that are added after it.
    pub fn hook_state<S2>(self, state: S2) -> Builder<S2, L> {
        Builder {
            codec: self.codec,
            config: self.config,
            authenticator: self.authenticator,
            broker: self.broker,
            joins: self.joins,
            presence: self.presence,
            router: self.router,
            hooks: self.hooks,
            hook_state: state,
            layers: self.layers,
            traceparent: self.traceparent,
        }
    }

    /// Adds a hook that runs when a session is registered, before its first message is read. An
    /// error refuses the session with 1008: it is taken out of presence and the hub again, and no
    /// `on_disconnect` hook runs. Several run in order.
    ///
    /// While it runs, the session gets broadcasts already: who may connect is for the
    /// authenticator to say.
    pub fn on_connect<Args>(mut self, hook: impl Hook<Args, ConnectContext<S>>) -> Self {
        self.hooks.on_connect(hook, self.hook_state.clone());
        self
    }

    /// Adds a hook that runs when a session has ended, was taken out of presence and the hub, and
    /// its last handler has returned. Several run in order. It does not run for sessions that the
    /// shutdown deadline cut off.
    pub fn on_disconnect<Args>(mut self, hook: impl Hook<Args, DisconnectContext<S>>) -> Self {
        self.hooks.on_disconnect(hook, self.hook_state.clone());
        self
    }

    /// Adds a hook that hears of errors that no caller sees: of authentication, messages, hooks,
    /// the broker, presence and unexpected disconnects. Without any they go to the log, under the
    /// target `realtime::error`.
    pub fn on_error<Args>(mut self, hook: impl Hook<Args, ErrorHookContext<S>>) -> Self {
        self.hooks.on_error(hook, self.hook_state.clone());
        self
    }

    /// Replaces all settings. Setters that are called later win.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    setters! {
        /// See [`Config::heartbeat`].
        heartbeat: Option<Duration>,
        /// See [`Config::pong_timeout`].
        pong_timeout: Option<Duration>,
        /// See [`Config::write_timeout`].
        write_timeout: Option<Duration>,
        /// See [`Config::read_limit`].
        read_limit: usize,
        /// See [`Config::min_message_rate`].
        min_message_rate: Option<u32>,
        /// See [`Config::queue_messages`].
        queue_messages: usize,
        /// See [`Config::queue_bytes`].
        queue_bytes: usize,
        /// See [`Config::backpressure`].
        backpressure: Backpressure,
        /// See [`Config::shutdown_timeout`].
        shutdown_timeout: Option<Duration>,
        /// See [`Config::auth_timeout`].
        auth_timeout: Option<Duration>,
        /// See [`Config::hook_timeout`].
        hook_timeout: Option<Duration>,
        /// See [`Config::max_connections`].
        max_connections: Option<usize>,
        /// See [`Config::max_authenticating`].
        max_authenticating: usize,
        /// See [`Config::presence_ttl`].
        presence_ttl: Option<Duration>,
        /// See [`Config::require_presence`].
        require_presence: bool,
        /// See [`Config::presence_down`].
        presence_down: PresenceDown,
        /// See [`Config::queue_budget`].
        queue_budget: usize,
        /// See [`Config::assembly_budget`].
        assembly_budget: usize,
    }

    /// See [`Config::node_id`].
    pub fn node_id(mut self, node_id: NodeId) -> Self {
        self.config.node_id = Some(node_id);
        self
    }

    /// See [`Config::origin_patterns`].
    pub fn origin_patterns<P: Into<String>>(
        mut self,
        patterns: impl IntoIterator<Item = P>,
    ) -> Self {
        self.config.origin_patterns = patterns.into_iter().map(Into::into).collect();
        self
    }

    /// See [`Config::trusted_proxies`].
    pub fn trusted_proxies<N: Into<String>>(
        mut self,
        networks: impl IntoIterator<Item = N>,
    ) -> Self {
        self.config.trusted_proxies = networks.into_iter().map(Into::into).collect();
        self
    }

    /// Sets how the current W3C trace context is found out. What it returns travels with
    /// broadcasts and targeted messages to the other nodes, where it is the field `traceparent`
    /// of the span `realtime::relay`. Default: none travels.
    pub fn traceparent(
        mut self,
        current: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.traceparent = Some(Arc::new(current));
        self
    }

    /// See [`Config::insecure_origins`].
    pub fn insecure_origins(mut self) -> Self {
        self.config.insecure_origins = true;
        self
    }

    /// Builds the gateway. It needs no runtime and opens no connection.
    ///
    /// # Errors
    /// Kind [`InvalidOption`](BuildErrorKind::InvalidOption), naming the setting, or
    /// [`DuplicateRoute`](BuildErrorKind::DuplicateRoute), naming the route.
    pub fn build(self) -> Result<Gateway, BuildError>
    where
        L: Layer<RouterService> + Send + Sync + 'static,
        L::Service: Service<Inbound, Response = Reply, Error: Into<BoxError>> + Send + 'static,
        <L::Service as Service<Inbound>>::Future: Send + 'static,
    {
        let settings = Settings::parse(self.config)?;
        settings.check(&self.authenticator)?;
        let Settings {
            config,
            origin,
            proxies,
        } = settings;
        let admission = Admission::new(
            origin,
            proxies,
            self.authenticator,
            config.auth_timeout,
            Slots::new(config.max_connections, config.max_authenticating),
        );
        let id = config.node_id.clone().unwrap_or_else(NodeId::random);
        let parts = Parts {
            info: NodeInfo::new(id, Incarnation::random()),
            config,
            codec: self.codec,
            broker: self.broker,
            joins: self.joins,
            presence: self.presence,
            traceparent: self.traceparent,
            hooks: self.hooks,
            table: self.router.build()?,
            stack: stack_factory(self.layers),
        };
        Ok(Gateway::new(parts, admission))
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
