//! Makes the configuration of a pool, from a URL and what is set beside it.

use std::{fmt, time::Duration};

use realtime_core::CredentialProvider;

use super::PoolConfig;
use crate::{Deployment, DeploymentBuilder, InvalidDeployment};

impl PoolConfig {
    /// Starts with a URL. What is set on the builder wins.
    pub fn builder(url: impl Into<String>) -> PoolConfigBuilder {
        PoolConfigBuilder {
            deployment: Deployment::builder(url),
            pool_size: Self::DEFAULT_POOL_SIZE,
            command_timeout: Self::DEFAULT_COMMAND_TIMEOUT,
        }
    }
}

/// Makes a [`PoolConfig`]. `Debug` shows no password.
///
/// Each backend over a pool has it under a name of its own, with errors of its own: see
/// `__redis_config!`.
#[derive(Clone)]
#[must_use]
pub struct PoolConfigBuilder {
    deployment: DeploymentBuilder,
    pool_size: usize,
    command_timeout: Duration,
}

impl PoolConfigBuilder {
    /// What everything of a cluster of gateways is named after.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.deployment = self.deployment.namespace(namespace);
        self
    }

    /// Who is asked for the user and the password whenever a connection is made.
    pub fn credentials(mut self, provider: impl CredentialProvider) -> Self {
        self.deployment = self.deployment.credentials(provider);
        self
    }

    /// How many connections are held to each server.
    pub fn pool_size(mut self, connections: usize) -> Self {
        self.pool_size = connections;
        self
    }

    /// How long a command may take.
    pub fn command_timeout(mut self, timeout: Duration) -> Self {
        self.command_timeout = timeout;
        self
    }

    /// Root certificates in PEM that are trusted as well as the system's.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn root_certificates(mut self, pem: impl Into<String>) -> Self {
        self.deployment = self.deployment.root_certificates(pem);
        self
    }

    /// What is shown to servers that ask for a certificate: the chain and its private key in PEM.
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

    /// The name that is expected in the certificates of all servers.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn tls_server_name(mut self, name: impl Into<String>) -> Self {
        self.deployment = self.deployment.tls_server_name(name);
        self
    }

    /// Checks everything. Opens no connection.
    ///
    /// # Errors
    /// When a part of the URL or a setting isn't understood, or has no effect.
    pub fn build(self) -> Result<PoolConfig, InvalidDeployment> {
        let (deployment, ()) = self.deployment.build(|_| Ok(()))?;
        PoolConfig::new(deployment, self.pool_size, self.command_timeout)
    }
}

impl fmt::Debug for PoolConfigBuilder {
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
    use super::*;

    fn from_url(url: &str) -> Result<PoolConfig, InvalidDeployment> {
        PoolConfig::builder(url).build()
    }

    #[test]
    fn urls_are_read() {
        let config = from_url("redis://u:s3cret@h:7/2?namespace=shop").unwrap();
        assert_eq!(config.namespace().as_str(), "shop");
        assert_eq!(config.client().database, Some(2));
        assert_eq!(config.client().username.as_deref(), Some("u"));
        assert_eq!(config.client().password.as_deref(), Some("s3cret"));
        assert_eq!(config.client().server.hosts()[0].to_string(), "h:7");
        let shown = format!("{config:?} {:?}", PoolConfig::builder("redis://:s3cret@h"));
        assert!(!shown.contains("s3cret"), "{shown}");
        let config = from_url("redis://h").unwrap();
        assert_eq!(
            (config.namespace().as_str(), config.pool_size()),
            ("realtime", 4)
        );
        assert_eq!(config.client().server.hosts()[0].port, 6379);
        let config = from_url("redis://[::1]:7").unwrap();
        assert_eq!(&*config.client().server.hosts()[0].host, "::1");
        let config = from_url("redis-cluster://a:1?node=b:2&namespace=n").unwrap();
        assert!(config.is_clustered() && config.client().server.hosts().len() == 2);
        let config = from_url("redis-cluster://h?node=[::1]:2").unwrap();
        let hosts = config.client().server.hosts();
        let ports: Vec<_> = hosts
            .iter()
            .map(|server| (&*server.host, server.port))
            .collect();
        assert_eq!(ports, [("h", 6379), ("::1", 2)]);
        let sentinel = "redis-sentinel://:pw@a:1/3?sentinelServiceName=main&sentinelPassword=x";
        let config = from_url(sentinel).unwrap();
        assert!(config.client().server.is_sentinel());
        let config = PoolConfig::builder("redis://h?namespace=a").namespace("b");
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
            let error = from_url(url).unwrap_err();
            assert!(!format!("{error:?}").contains("s3cret"), "{url}: {error:?}");
        }
        let builder = || PoolConfig::builder("redis://h");
        assert!(builder().pool_size(0).build().is_err());
        assert!(builder().pool_size(65).build().is_err());
        assert!(builder().command_timeout(Duration::ZERO).build().is_err());
        assert!(builder().namespace("a b").build().is_err());
        assert!(builder().namespace("a".repeat(65)).build().is_err());
    }

    #[cfg(not(feature = "rustls"))]
    #[test]
    fn tls_names_the_feature_that_it_needs() {
        let error = from_url("rediss://h").unwrap_err();
        assert!(error.to_string().contains("`rustls`"), "{error}");
    }
}
