//! Where the servers are, and how they are used.

use std::{fmt, time::Duration};

use fred::types::config::Config;
#[cfg(feature = "rustls")]
use fred::types::config::TlsConnector;
use realtime_core::Namespace;

use super::{address, resolver::Resolver};
use crate::{Deployment, InvalidDeployment};

const DEFAULT_POOL_SIZE: usize = 4;
const MAX_POOL_SIZE: usize = 64;
const DEFAULT_COMMAND_TIMEOUT: Duration = Duration::from_secs(1);
const COMMAND_TIMEOUTS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(60);

/// Where the servers of a pool are, and how they are used. `Debug` shows no password.
#[derive(Clone)]
pub struct PoolConfig {
    pub(crate) redis: Config,
    pub(crate) deployment: Deployment,
    pub(crate) namespace: Namespace,
    pub(crate) pool_size: usize,
    pub(crate) command_timeout: Duration,
    pub(crate) resolver: Resolver,
    #[cfg(feature = "rustls")]
    pub(crate) tls_server_name: Option<String>,
}

impl PoolConfig {
    /// How many connections are held, unless it is said: 4.
    pub const DEFAULT_POOL_SIZE: usize = DEFAULT_POOL_SIZE;
    /// How long a command may take, unless it is said: 1 s.
    pub const DEFAULT_COMMAND_TIMEOUT: Duration = DEFAULT_COMMAND_TIMEOUT;

    /// So many connections to each server of a deployment, and this bound on each command.
    ///
    /// # Errors
    /// When it isn't 1 to 64 connections and 10 ms to 60 s, or TLS isn't compiled in.
    pub fn new(
        deployment: Deployment,
        pool_size: usize,
        command_timeout: Duration,
    ) -> Result<Self, InvalidDeployment> {
        let mut redis = address::config(&deployment);
        set_tls(&mut redis, &deployment)?;
        if !(1..=MAX_POOL_SIZE).contains(&pool_size) {
            return Err(InvalidDeployment::new(format!(
                "expected a pool size of 1 to {MAX_POOL_SIZE}; got {pool_size}"
            )));
        }
        if !COMMAND_TIMEOUTS.contains(&command_timeout) {
            return Err(InvalidDeployment::new(format!(
                "expected a command timeout of {COMMAND_TIMEOUTS:?}; got {command_timeout:?}"
            )));
        }
        Ok(Self {
            redis,
            namespace: deployment.namespace.clone(),
            pool_size,
            command_timeout,
            resolver: Resolver::of_the_system(),
            #[cfg(feature = "rustls")]
            tls_server_name: deployment
                .tls
                .as_ref()
                .and_then(|tls| tls.server_name.clone()),
            deployment,
        })
    }

    /// What everything of a cluster of gateways is named after.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// How many connections are held to each server.
    #[must_use]
    pub fn pool_size(&self) -> usize {
        self.pool_size
    }

    /// How long a command may take.
    #[must_use]
    pub fn command_timeout(&self) -> Duration {
        self.command_timeout
    }

    /// What the client library is told.
    #[must_use]
    pub fn client(&self) -> &Config {
        &self.redis
    }

    /// Whether the servers form a cluster.
    #[must_use]
    pub fn is_clustered(&self) -> bool {
        self.redis.server.is_clustered()
    }
}

#[cfg(feature = "rustls")]
fn set_tls(redis: &mut Config, deployment: &Deployment) -> Result<(), InvalidDeployment> {
    let Some(tls) = &deployment.tls else {
        return Ok(());
    };
    redis.tls = Some(TlsConnector::from((*tls.config).clone()).into());
    if let Some(name) = &tls.server_name {
        address::set_server_name(&mut redis.server, name);
    }
    Ok(())
}

/// Another backend may have switched TLS on for what is shared.
#[cfg(not(feature = "rustls"))]
fn set_tls(_: &mut Config, deployment: &Deployment) -> Result<(), InvalidDeployment> {
    match deployment.uses_tls() {
        true => Err(InvalidDeployment::needs_rustls()),
        false => Ok(()),
    }
}

impl fmt::Debug for PoolConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = self.redis.server.hosts();
        let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
        f.debug_struct("RedisConfig")
            .field("hosts", &hosts)
            .field("clustered", &self.is_clustered())
            .field("tls", &self.redis.uses_tls())
            .field("database", &self.redis.database)
            .field("password", &self.redis.password.as_ref().map(|_| "…"))
            .field("namespace", &self.namespace)
            .field("pool_size", &self.pool_size)
            .field("command_timeout", &self.command_timeout)
            .finish()
    }
}
