//! The settings of [`Config`], one by one.

use std::time::Duration;

use realtime_core::NodeId;

use super::Builder;
#[cfg(feature = "deflate")]
use crate::Compression;
use crate::{Backpressure, Config, Limits, PresenceDown, RevocationsDown};

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {$(
        $(#[$doc])*
        pub fn $name(mut self, $name: $type) -> Self {
            self.config.$name = $name;
            self
        }
    )*};
}

impl<S, L> Builder<S, L> {
    /// Replaces all settings. Setters that are called later win.
    ///
    /// ```
    /// use realtime::Config;
    ///
    /// let config: Config = serde_json::from_str(r#"{"heartbeat": "15s", "read_limit": 4096}"#)?;
    /// let gateway = realtime::builder().config(config).queue_messages(64).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
        /// See [`Config::decode_details`].
        decode_details: bool,
        /// See [`Config::drain_notice`].
        drain_notice: Option<Duration>,
        /// See [`Config::drain_over`].
        drain_over: Option<Duration>,
        /// See [`Config::shutdown_timeout`].
        shutdown_timeout: Option<Duration>,
        /// See [`Config::auth_timeout`].
        auth_timeout: Option<Duration>,
        /// See [`Config::token_in_message`].
        token_in_message: Option<Duration>,
        /// See [`Config::accept_then_close`].
        accept_then_close: bool,
        /// See [`Config::expiry_notice`].
        expiry_notice: Option<Duration>,
        /// See [`Config::expiry_grace`].
        expiry_grace: Option<Duration>,
        /// See [`Config::longest_token`].
        longest_token: Duration,
        /// See [`Config::revocations_down`].
        revocations_down: RevocationsDown,
        /// See [`Config::hook_timeout`].
        hook_timeout: Option<Duration>,
        /// See [`Config::max_connections`].
        max_connections: Option<usize>,
        /// See [`Config::max_authenticating`].
        max_authenticating: usize,
        /// See [`Config::max_rooms_per_session`].
        max_rooms_per_session: usize,
        /// See [`Config::max_rooms`].
        max_rooms: usize,
        /// See [`Config::max_repliers_per_session`].
        max_repliers_per_session: usize,
        /// See [`Config::replier_timeout`].
        replier_timeout: Option<Duration>,
        /// See [`Config::presence_ttl`].
        presence_ttl: Option<Duration>,
        /// See [`Config::presence_grace`].
        presence_grace: Option<Duration>,
        /// See [`Config::tenant_presence`].
        tenant_presence: bool,
        /// See [`Config::require_presence`].
        require_presence: bool,
        /// See [`Config::presence_down`].
        presence_down: PresenceDown,
        /// See [`Config::queue_budget`].
        queue_budget: usize,
        /// See [`Config::assembly_budget`].
        assembly_budget: usize,
        /// See [`Config::limits`].
        limits: Limits,
    }

    /// See [`Config::compression`].
    ///
    /// ```
    /// use realtime::config::{Compression, CompressionLevel};
    ///
    /// let mut compression = Compression::default();
    /// compression.level = CompressionLevel::Fast;
    /// compression.plain_routes = vec!["authenticate".to_owned(), "secrets.*".to_owned()];
    /// let gateway = realtime::builder().compression(compression).build()?;
    /// # Ok::<(), realtime::error::BuildError>(())
    /// ```
    #[cfg(feature = "deflate")]
    #[cfg_attr(docsrs, doc(cfg(feature = "deflate")))]
    pub fn compression(mut self, compression: impl Into<Option<Compression>>) -> Self {
        self.config.compression = compression.into();
        self
    }

    /// See [`Config::name`].
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.config.name = name.into();
        self
    }

    /// See [`Config::node_id`].
    pub fn node_id(mut self, node_id: NodeId) -> Self {
        self.config.node_id = Some(node_id);
        self
    }

    /// See [`Config::origin_patterns`].
    ///
    /// ```
    /// let origins = ["*.example.com", "http://localhost:5173"];
    /// let gateway = realtime::builder().origin_patterns(origins).build()?;
    /// # Ok::<(), realtime::error::BuildError>(())
    /// ```
    pub fn origin_patterns<P: Into<String>>(
        mut self,
        patterns: impl IntoIterator<Item = P>,
    ) -> Self {
        self.config.origin_patterns = patterns.into_iter().map(Into::into).collect();
        self
    }

    /// See [`Config::trusted_proxies`].
    ///
    /// ```
    /// let gateway = realtime::builder().trusted_proxies(["10.0.0.0/8", "fd00::1"]).build()?;
    /// # Ok::<(), realtime::error::BuildError>(())
    /// ```
    pub fn trusted_proxies<N: Into<String>>(
        mut self,
        networks: impl IntoIterator<Item = N>,
    ) -> Self {
        self.config.trusted_proxies = networks.into_iter().map(Into::into).collect();
        self
    }

    /// See [`Config::insecure_origins`].
    pub fn insecure_origins(mut self) -> Self {
        self.config.insecure_origins = true;
        self
    }
}
