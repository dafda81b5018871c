//! Where Redis is, and how it is used.

use std::{fmt, time::Duration};

use realtime_core::{CredentialProvider, Namespace, history::HistoryError};
use realtime_redis::{Deployment, DeploymentBuilder, pool::PoolConfig};

use crate::error::invalid_deployment;

/// Where Redis is, and how it is used. `Debug` shows no password.
///
/// ```
/// use std::time::Duration;
///
/// use realtime::history::redis::RedisConfig;
///
/// let config = RedisConfig::builder("redis://rt:secret@redis.internal:6379/2")
///     .namespace("shop")
///     .command_timeout(Duration::from_millis(500))
///     .build()?;
/// assert_eq!(config.namespace().as_str(), "shop");
/// assert!(!format!("{config:?}").contains("secret"));
/// # Ok::<(), realtime::history::HistoryError>(())
/// ```
#[derive(Clone)]
pub struct RedisConfig(pub(crate) PoolConfig);

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
    /// With `rediss` in place of `redis` it is spoken over TLS, which needs the feature `rustls`;
    /// then `tlsServerName=` says which name the servers' certificates have.
    /// The namespace can be given in each of them.
    ///
    /// # Errors
    /// Kind [`Config`](realtime_core::history::HistoryErrorKind::Config) when the URL isn't one
    /// of these.
    pub fn from_url(url: impl Into<String>) -> Result<Self, HistoryError> {
        Self::builder(url).build()
    }

    /// Starts with a URL as [`from_url`](Self::from_url) reads it. What is set on the builder
    /// wins.
    pub fn builder(url: impl Into<String>) -> RedisConfigBuilder {
        RedisConfigBuilder {
            deployment: Deployment::builder(url),
            pool_size: PoolConfig::DEFAULT_POOL_SIZE,
            command_timeout: PoolConfig::DEFAULT_COMMAND_TIMEOUT,
        }
    }

    /// What all keys of these histories start with, after `rt:`.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        self.0.namespace()
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Makes a [`RedisConfig`]. `Debug` shows no password.
#[derive(Clone)]
#[must_use]
pub struct RedisConfigBuilder {
    deployment: DeploymentBuilder,
    pool_size: usize,
    command_timeout: Duration,
}

impl RedisConfigBuilder {
    /// What all keys start with, after `rt:`, so that several gateways share one Redis: 1 to 64
    /// ASCII letters, digits, `-`, `_` or `.`. Default `realtime`.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.deployment = self.deployment.namespace(namespace);
        self
    }

    /// Asks for the user and the password whenever a connection is made, in place of those in the
    /// URL: for tokens that expire, and passwords that are changed. Where the provider names no
    /// user, it is that of the URL. Sentinels are shown what the URL says. It is asked for each
    /// connection of the pool.
    ///
    /// One that fails, panics, or takes longer than 5 s is a failed attempt, and the next one comes
    /// after the usual pause. A connection lives on with what it was made with, until Redis ends it.
    ///
    /// ```
    /// use realtime::{node::ServerCredentials, history::redis::RedisConfig};
    ///
    /// # async fn token_of_the_cloud() -> std::io::Result<String> { Ok(String::new()) }
    /// let config = RedisConfig::builder("rediss://redis").credentials(async || {
    ///     let token = token_of_the_cloud().await?;
    ///     std::io::Result::Ok(ServerCredentials::new("chat", token))
    /// });
    /// ```
    pub fn credentials(mut self, provider: impl CredentialProvider) -> Self {
        self.deployment = self.deployment.credentials(provider);
        self
    }

    /// How many connections are held, 1 to 64. Default 4.
    pub fn pool_size(mut self, connections: usize) -> Self {
        self.pool_size = connections;
        self
    }

    /// How long a command may take, 10 ms to 60 s. Default 1 s.
    pub fn command_timeout(mut self, timeout: Duration) -> Self {
        self.command_timeout = timeout;
        self
    }

    /// Trusts these root certificates, in PEM, as well as the system's, for a `rediss:` URL. It is
    /// refused where it would have no effect: without a `rediss:` URL, or without a certificate.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn root_certificates(mut self, pem: impl Into<String>) -> Self {
        self.deployment = self.deployment.root_certificates(pem);
        self
    }

    /// Shows this certificate to servers that ask for one, for a `rediss:` URL: the chain in PEM, the
    /// own certificate first, and its private key in PEM (PKCS #8, PKCS #1 or SEC1, without a
    /// passphrase). It is refused where it would have no effect, or can't be read. User and password
    /// are shown as well.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn client_certificate(
        mut self,
        chain_pem: impl Into<String>,
        key_pem: impl Into<String>,
    ) -> Self {
        self.deployment = self.deployment.client_certificate(chain_pem, key_pem);
        self
    }

    /// Expects this name in the servers' certificates, for a `rediss:` URL whose servers are known
    /// by addresses while their certificates have names: a cluster that announces addresses, say.
    /// It holds for all servers. Without it the host is expected that the URL, the sentinels or the
    /// cluster name; a cluster's `hostname` (Redis 7) where it has one.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn tls_server_name(mut self, name: impl Into<String>) -> Self {
        self.deployment = self.deployment.tls_server_name(name);
        self
    }

    /// Checks everything. Opens no connection.
    ///
    /// # Errors
    /// Kind [`Config`](realtime_core::history::HistoryErrorKind::Config), saying which value was
    /// not as expected.
    pub fn build(self) -> Result<RedisConfig, HistoryError> {
        let (deployment, ()) = self
            .deployment
            .build(|_| Ok(()))
            .map_err(invalid_deployment)?;
        let config = PoolConfig::new(deployment, self.pool_size, self.command_timeout);
        config.map(RedisConfig).map_err(invalid_deployment)
    }
}

impl fmt::Debug for RedisConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfigBuilder")
            .field("deployment", &self.deployment)
            .field("pool_size", &self.pool_size)
            .field("command_timeout", &self.command_timeout)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use realtime_core::history::HistoryErrorKind;

    use super::*;

    #[test]
    fn urls_are_read() {
        let config = RedisConfig::from_url("redis://u:s3cret@h:7/2?namespace=shop").unwrap();
        assert_eq!(config.namespace().as_str(), "shop");
        assert_eq!(config.0.client().database, Some(2));
        assert_eq!(config.0.client().username.as_deref(), Some("u"));
        assert_eq!(config.0.client().password.as_deref(), Some("s3cret"));
        assert_eq!(config.0.client().server.hosts()[0].to_string(), "h:7");
        let shown = format!("{config:?} {:?}", RedisConfig::builder("redis://:s3cret@h"));
        assert!(!shown.contains("s3cret"), "{shown}");
        let config = RedisConfig::from_url("redis://h").unwrap();
        assert_eq!(
            (config.namespace().as_str(), config.0.pool_size()),
            ("realtime", 4)
        );
        assert_eq!(config.0.client().server.hosts()[0].port, 6379);
        let config = RedisConfig::from_url("redis://[::1]:7").unwrap();
        assert_eq!(&*config.0.client().server.hosts()[0].host, "::1");
        let config = RedisConfig::from_url("redis-cluster://a:1?node=b:2&namespace=n").unwrap();
        assert!(config.0.is_clustered() && config.0.client().server.hosts().len() == 2);
        let config = RedisConfig::from_url("redis-cluster://h?node=[::1]:2").unwrap();
        let hosts = config.0.client().server.hosts();
        let ports: Vec<_> = hosts
            .iter()
            .map(|server| (&*server.host, server.port))
            .collect();
        assert_eq!(ports, [("h", 6379), ("::1", 2)]);
        let sentinel = "redis-sentinel://:pw@a:1/3?sentinelServiceName=main&sentinelPassword=x";
        let config = RedisConfig::from_url(sentinel).unwrap();
        assert!(config.0.client().server.is_sentinel());
        let config = RedisConfig::builder("redis://h?namespace=a").namespace("b");
        assert_eq!(config.build().unwrap().namespace().as_str(), "b");
    }

    #[test]
    fn nonsense_is_refused_without_showing_secrets() {
        let urls = [
            "",
            "h:6379",
            "http://u:s3cret@h",
            "redis://",
            "redis://u:s3cret@h/x",
            "redis://u:s3cret@h/999",
            "redis://u:s3cret@h/+1",
            "redis://u:s3cret@h/1/",
            "redis://u:s3cret@h#1",
            "redis://s3cret@h",
            "redis://u:s3cret@h?node=h:1",
            "redis://u:s3cret@h?sentinelServiceName=x",
            "redis-cluster://u:s3cret@h:1?sentinelPassword=s3cret",
            "redis-cluster://u:s3cret@h:1?node=::1:6379",
            "redis-cluster://u:s3cret@h:1?node=",
            "redis-sentinel://u:s3cret@h?sentinelServiceName=",
            "redis-sentinel://u:s3cret@h?sentinelServiceName=a&sentinelServiceName=b",
            "redis-sentinel://h?sentinelServiceName=a&sentinelUsername=s3cret",
            "redis-sentinel://h?sentinelServiceName=a&sentinelPassword=",
            "redis-sentinel://h?sentinelServiceName=a&sentinelUsername=&sentinelPassword=s3cret",
            "redis://:@h",
            "redis-cluster://u:s3cret@h:1?node=010.0.0.1:1",
            "redis://u:s3cret@h?s3cret=1",
            "redis://u:s3cret@h?namespace=",
            "redis://u:s3cret@h?namespace=s3cret%20",
            "redis://u:s3cret@h?namespace=a&namespace=b",
            "redis-cluster://u:s3cret@h:1/1",
            "redis-cluster://u:s3cret@h:1?node=s3cret",
            "redis-sentinel://u:s3cret@h",
        ];
        for url in urls {
            let error = RedisConfig::from_url(url).unwrap_err();
            assert_eq!(error.kind(), HistoryErrorKind::Config, "{url}");
            assert!(!error.is_transient());
            assert!(!format!("{error:?}").contains("s3cret"), "{url}: {error:?}");
        }
        let builder = || RedisConfig::builder("redis://h");
        assert!(builder().pool_size(0).build().is_err());
        assert!(builder().pool_size(65).build().is_err());
        assert!(builder().command_timeout(Duration::ZERO).build().is_err());
        assert!(builder().namespace("a b").build().is_err());
        assert!(builder().namespace("a".repeat(65)).build().is_err());
    }

    #[cfg(not(feature = "rustls"))]
    #[test]
    fn tls_names_the_feature_that_it_needs() {
        let error = RedisConfig::from_url("rediss://h").unwrap_err();
        assert!(error.to_string().contains("`rustls`"), "{error}");
    }
}
