//! The configuration that each backend over a pool has under its own name, with its own errors: a type
//! of this crate would show applications another crate, and one error for all.

/// Declares `RedisConfig` and `RedisConfigBuilder` over [`PoolConfig`](crate::pool::PoolConfig).
///
/// - `module`: the backend's module of the facade, for the examples;
/// - `keys`: whose keys begin with the namespace;
/// - `timeout`: what is to be said of the time of a command, where there is something;
/// - `error` and `kind`: the backend's error, and where its kind for a wrong configuration is
///   documented;
/// - `invalid`: a function from [`InvalidDeployment`](crate::InvalidDeployment) to that error.
///
/// Shared by the crates of this workspace; not part of the public API.
#[doc(hidden)]
#[macro_export]
macro_rules! __redis_config {
    (
        module: $module:literal,
        keys: $keys:literal,
        timeout: $timeout:literal,
        error: $error:ident,
        kind: $kind:literal,
        invalid: $invalid:path $(,)?
    ) => {
        /// Where Redis is, and how it is used. `Debug` shows no password.
        ///
        /// ```
        /// use std::time::Duration;
        ///
        #[doc = concat!("use realtime::", $module, "::redis::RedisConfig;")]
        ///
        /// let config = RedisConfig::builder("redis://rt:secret@redis.internal:6379/2")
        ///     .namespace("shop")
        ///     .command_timeout(Duration::from_millis(500))
        ///     .build()?;
        /// assert_eq!(config.namespace().as_str(), "shop");
        /// assert!(!format!("{config:?}").contains("secret"));
        #[doc = concat!("# Ok::<(), realtime::", $module, "::", stringify!($error), ">(())")]
        /// ```
        #[derive(Clone)]
        pub struct RedisConfig(pub(crate) $crate::pool::PoolConfig);

        impl RedisConfig {
            /// Reads a URL. What it doesn't say has its default; what isn't understood is an error.
            ///
            /// ```text
            /// redis://[[user]:password@]host[:6379][/database][?namespace=realtime]
            /// redis-cluster://[[user]:password@]host[:6379][?node=host:port&node=…]
            /// redis-sentinel://[[user]:password@]host[:26379][/database]?sentinelServiceName=…
            ///                  [&node=host:port…][&sentinelUsername=…][&sentinelPassword=…]
            /// ```
            ///
            /// With `rediss` in place of `redis` it is spoken over TLS, which needs the feature
            /// `rustls`; then `tlsServerName=` says which name the servers' certificates have.
            /// The namespace can be given in each of them.
            ///
            /// # Errors
            #[doc = concat!("Kind ", $kind, " when the URL isn't one of these.")]
            pub fn from_url(
                url: impl ::std::convert::Into<::std::string::String>,
            ) -> ::std::result::Result<Self, $error> {
                Self::builder(url).build()
            }

            /// Starts with a URL as [`from_url`](Self::from_url) reads it. What is set on the
            /// builder wins.
            pub fn builder(
                url: impl ::std::convert::Into<::std::string::String>,
            ) -> RedisConfigBuilder {
                RedisConfigBuilder($crate::pool::PoolConfig::builder(url))
            }

            #[doc = concat!("What all keys of ", $keys, " start with, after `rt:`.")]
            #[must_use]
            pub fn namespace(&self) -> &::realtime_core::Namespace {
                self.0.namespace()
            }
        }

        impl ::std::fmt::Debug for RedisConfig {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Debug::fmt(&self.0, f)
            }
        }

        /// Makes a [`RedisConfig`]. `Debug` shows no password.
        #[derive(Clone)]
        #[must_use]
        pub struct RedisConfigBuilder($crate::pool::PoolConfigBuilder);

        impl RedisConfigBuilder {
            /// What all keys start with, after `rt:`, so that several gateways share one Redis: 1
            /// to 64 ASCII letters, digits, `-`, `_` or `.`. Default `realtime`.
            pub fn namespace(
                self,
                namespace: impl ::std::convert::Into<::std::string::String>,
            ) -> Self {
                Self(self.0.namespace(namespace))
            }

            /// Asks for the user and the password whenever a connection is made, in place of those
            /// in the URL: for tokens that expire, and passwords that are changed. Where the
            /// provider names no user, it is that of the URL. Sentinels are shown what the URL says.
            /// It is asked for each connection of the pool.
            ///
            /// One that fails, panics, or takes longer than 5 s is a failed attempt, and the next
            /// one comes after the usual pause. A connection lives on with what it was made with,
            /// until Redis ends it.
            ///
            /// ```
            #[doc = concat!("use realtime::", $module, "::redis::RedisConfig;")]
            /// use realtime::node::ServerCredentials;
            ///
            /// # async fn token_of_the_cloud() -> std::io::Result<String> { Ok(String::new()) }
            /// let config = RedisConfig::builder("rediss://redis").credentials(async || {
            ///     let token = token_of_the_cloud().await?;
            ///     std::io::Result::Ok(ServerCredentials::new("chat", token))
            /// });
            /// ```
            pub fn credentials(self, provider: impl ::realtime_core::CredentialProvider) -> Self {
                Self(self.0.credentials(provider))
            }

            /// How many connections are held, 1 to 64. Default 4.
            pub fn pool_size(self, connections: usize) -> Self {
                Self(self.0.pool_size(connections))
            }

            #[doc = concat!("How long a command may take, 10 ms to 60 s", $timeout, ". Default 1 s.")]
            pub fn command_timeout(self, timeout: ::std::time::Duration) -> Self {
                Self(self.0.command_timeout(timeout))
            }

            /// Trusts these root certificates, in PEM, as well as the system's, for a `rediss:` URL.
            /// It is refused where it would have no effect: without a `rediss:` URL, or without a
            /// certificate.
            #[cfg(feature = "rustls")]
            #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
            pub fn root_certificates(
                self,
                pem: impl ::std::convert::Into<::std::string::String>,
            ) -> Self {
                Self(self.0.root_certificates(pem))
            }

            /// Shows this certificate to servers that ask for one, for a `rediss:` URL: the chain in
            /// PEM, the own certificate first, and its private key in PEM (PKCS #8, PKCS #1 or SEC1,
            /// without a passphrase). It is refused where it would have no effect, or can't be read.
            /// User and password are shown as well.
            #[cfg(feature = "rustls")]
            #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
            pub fn client_certificate(
                self,
                chain_pem: impl ::std::convert::Into<::std::string::String>,
                key_pem: impl ::std::convert::Into<::std::string::String>,
            ) -> Self {
                Self(self.0.client_certificate(chain_pem, key_pem))
            }

            /// Expects this name in the servers' certificates, for a `rediss:` URL whose servers are
            /// known by addresses while their certificates have names: a cluster that announces
            /// addresses, say. It holds for all servers. Without it the host is expected that the
            /// URL, the sentinels or the cluster name; a cluster's `hostname` (Redis 7) where it has
            /// one.
            #[cfg(feature = "rustls")]
            #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
            pub fn tls_server_name(
                self,
                name: impl ::std::convert::Into<::std::string::String>,
            ) -> Self {
                Self(self.0.tls_server_name(name))
            }

            /// Checks everything. Opens no connection.
            ///
            /// # Errors
            #[doc = concat!("Kind ", $kind, ", saying which value was not as expected.")]
            pub fn build(self) -> ::std::result::Result<RedisConfig, $error> {
                self.0.build().map(RedisConfig).map_err($invalid)
            }
        }

        impl ::std::fmt::Debug for RedisConfigBuilder {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}
