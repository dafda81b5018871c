//! Where Redis is, and how it is used.

use std::{fmt, time::Duration};

use fred::types::config::{Config, ServerConfig};
use realtime_core::{Namespace, presence::PresenceError};

use crate::error::invalid;

/// Where Redis is, and how it is used. All but the URL has a default.
///
/// `Debug` shows no password.
///
/// ```
/// use realtime_presence_redis::RedisConfig;
///
/// let config = RedisConfig::from_url("redis://rt:s3cret@localhost:6379/1?namespace=chat")?;
/// assert_eq!(config.namespace().as_str(), "chat");
/// assert!(!format!("{config:?}").contains("s3cret"));
/// # Ok::<(), realtime_core::presence::PresenceError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct RedisConfig {
    pub(crate) redis: Config,
    pub(crate) namespace: Namespace,
    pub(crate) connections: usize,
    pub(crate) timeout: Duration,
}

impl RedisConfig {
    /// For the Redis at this URL:
    /// - `redis://user:password@host:port/database`, one server;
    /// - `redis-cluster://user:password@host:port?node=host2:port2`, a cluster;
    /// - `redis-sentinel://user:password@host:port?node=host2:port2&sentinelServiceName=main`.
    ///
    /// With the feature `rustls`, the scheme may be `rediss`, `rediss-cluster` or
    /// `rediss-sentinel`. `?namespace=` keeps clusters that share a Redis apart; its default is
    /// `realtime`, and all keys begin with `rt:{namespace}:`.
    ///
    /// # Errors
    /// Kind [`Config`](realtime_core::presence::PresenceErrorKind::Config) when it isn't such a
    /// URL. The error shows no password.
    pub fn from_url(url: &str) -> Result<Self, PresenceError> {
        let split = Namespace::split_url(url);
        let (url, namespace) = split.map_err(|e| invalid(e.to_string()))?;
        let secure = url.starts_with("rediss");
        if secure && !cfg!(feature = "rustls") {
            let context = "rediss: needs the feature `rustls`; switch it on or use redis:";
            return Err(invalid(context.to_owned()));
        }
        let known = ["redis", "redis-cluster", "redis-sentinel"];
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        let plain = scheme.replacen("rediss", "redis", 1);
        // The reason may quote the URL, and with it the password.
        let parsed = Config::from_url(&url).ok();
        let Some(redis) = parsed.filter(|_| known.contains(&plain.as_str())) else {
            let context = "expected a URL such as redis://user:password@host:6379/0; got \
                           something else";
            return Err(invalid(context.to_owned()));
        };
        Ok(Self {
            redis,
            namespace,
            connections: 4,
            timeout: Duration::from_secs(1),
        })
    }

    /// Keeps clusters that share a Redis apart. Default `realtime`.
    pub fn with_namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = namespace;
        self
    }

    /// How many connections are held, to each server. 1 to 64; default 4.
    pub fn with_connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// How long a command may take. 50 ms to 30 s; default 1 s.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    pub(crate) fn validate(&self) -> Result<(), PresenceError> {
        let connections = self.connections;
        if !(1..=64).contains(&connections) {
            let got = format!("connections: expected 1 to 64; got {connections}");
            return Err(invalid(got));
        }
        let timeout = self.timeout;
        if timeout < Duration::from_millis(50) || timeout > Duration::from_secs(30) {
            return Err(invalid(format!(
                "timeout: expected 50 ms to 30 s; got {timeout:?}"
            )));
        }
        Ok(())
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, servers) = match &self.redis.server {
            ServerConfig::Centralized { server } => ("server", vec![server.to_string()]),
            ServerConfig::Clustered { hosts, .. } => {
                ("cluster", hosts.iter().map(ToString::to_string).collect())
            }
            ServerConfig::Sentinel { hosts, .. } => {
                ("sentinel", hosts.iter().map(ToString::to_string).collect())
            }
        };
        f.debug_struct("RedisConfig")
            .field(kind, &servers)
            .field("database", &self.redis.database)
            .field("namespace", &self.namespace)
            .field("connections", &self.connections)
            .field("timeout", &self.timeout)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use realtime_core::presence::PresenceErrorKind;

    use super::*;

    #[test]
    fn nonsense_is_refused_without_the_password() {
        let urls = [
            "",
            "http://u:s3cret@h",
            "redis://u:s3cret@h:port",
            "redis://u:s3cret@h?namespace=a b",
            #[cfg(not(feature = "rustls"))]
            "rediss://u:s3cret@h",
        ];
        for url in urls {
            let error = RedisConfig::from_url(url).unwrap_err();
            assert_eq!(error.kind(), PresenceErrorKind::Config);
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
        let config = || RedisConfig::from_url("redis://u:s3cret@h").unwrap();
        for (config, name) in [
            (config().with_connections(0), "connections"),
            (config().with_timeout(Duration::ZERO), "timeout"),
        ] {
            let error = config.validate().unwrap_err();
            assert!(error.to_string().starts_with(name), "{error}");
            assert!(!format!("{config:?}").contains("s3cret"));
        }
    }
}
