//! Where Redis is, and how it is used.

use std::fmt;

use realtime_core::{CredentialProvider, Namespace, broker::BrokerError};
use realtime_redis::{Deployment, DeploymentBuilder, InvalidDeployment, slot};

use crate::{
    channels::Channels,
    error::{invalid, invalid_deployment},
};

const DEFAULT_MAX_MESSAGE: usize = 8 << 20;
/// Redis cuts off who has more than 32 MiB waiting, unless it is set otherwise.
const MOST_MAX_MESSAGE: usize = 64 << 20;
/// What is put around a message: its stamp, and the name of its channel.
const AROUND: usize = 16 * 1024;

/// The commands of pub/sub.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words {
    pub(crate) publish: &'static [u8],
    pub(crate) subscribe: &'static [u8],
    pub(crate) unsubscribe: &'static [u8],
}

const PLAIN: Words = Words {
    publish: b"PUBLISH",
    subscribe: b"SUBSCRIBE",
    unsubscribe: b"UNSUBSCRIBE",
};

/// Of a cluster: what is published goes to one server, and not to all of them.
const SHARDED: Words = Words {
    publish: b"SPUBLISH",
    subscribe: b"SSUBSCRIBE",
    unsubscribe: b"SUNSUBSCRIBE",
};

/// Where Redis is, and how it is used. `Debug` shows no password.
///
/// ```
/// use realtime::broker::redis::RedisBrokerConfig;
///
/// let config = RedisBrokerConfig::builder("redis://rt:s3cret@redis.internal")
///     .namespace("chat")
///     .max_message(1 << 20)
///     .build()?;
/// assert_eq!(config.namespace().as_str(), "chat");
/// assert!(!format!("{config:?}").contains("s3cret"));
/// # Ok::<(), realtime::broker::BrokerError>(())
/// ```
#[derive(Clone)]
pub struct RedisBrokerConfig {
    pub(crate) deployment: Deployment,
    pub(crate) channels: Channels,
    pub(crate) max_message: usize,
}

impl RedisBrokerConfig {
    /// For the Redis at this URL. What it doesn't say has its default; what isn't understood is an
    /// error.
    ///
    /// ```text
    /// redis://[[user]:password@]host[:6379][/database][?namespace=realtime][&maxMessage=8388608]
    /// redis-cluster://[[user]:password@]host[:6379][?node=host:port&node=…]
    /// redis-sentinel://[[user]:password@]host[:26379][/database]?sentinelServiceName=…
    ///                  [&node=host:port…][&sentinelUsername=…][&sentinelPassword=…]
    /// ```
    ///
    /// With `rediss` in place of `redis` it is spoken over TLS, which needs the feature `rustls`;
    /// then `tlsServerName=` says which name the servers' certificates have. `namespace` keeps
    /// clusters of gateways that share a Redis apart, and so does the number of a database, though
    /// pub/sub knows none: it becomes a part of the channels' names. `maxMessage` is in bytes. Both
    /// can be given in each of these.
    ///
    /// # Errors
    /// Kind [`Config`](realtime_core::broker::BrokerErrorKind::Config) when it isn't such a URL.
    /// The error shows no password.
    pub fn from_url(url: impl Into<String>) -> Result<Self, BrokerError> {
        Self::builder(url).build()
    }

    /// Starts with a URL as [`from_url`](Self::from_url) reads it. What is set on the builder
    /// wins.
    pub fn builder(url: impl Into<String>) -> RedisBrokerConfigBuilder {
        RedisBrokerConfigBuilder {
            deployment: Deployment::builder(url),
            max_message: None,
        }
    }

    /// What the names of all channels have in common, in braces after `rt:`.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.deployment.namespace
    }

    /// What is said to publish, and to begin and end to receive.
    pub(crate) fn words(&self) -> Words {
        match self.deployment.is_cluster() {
            true => SHARDED,
            false => PLAIN,
        }
    }

    /// The slot of a cluster in which all channels are.
    pub(crate) fn slot(&self) -> u16 {
        slot(self.channels.tag().as_bytes())
    }

    /// The largest item that is read: a message and what is around it.
    pub(crate) fn read_limit(&self) -> usize {
        self.max_message + AROUND
    }
}

impl fmt::Debug for RedisBrokerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBrokerConfig")
            .field("deployment", &self.deployment)
            .field("max_message", &self.max_message)
            .finish_non_exhaustive()
    }
}

/// Makes a [`RedisBrokerConfig`]. `Debug` shows no password.
#[derive(Debug, Clone)]
#[must_use]
pub struct RedisBrokerConfigBuilder {
    deployment: DeploymentBuilder,
    max_message: Option<usize>,
}

impl RedisBrokerConfigBuilder {
    /// Keeps clusters of gateways that share a Redis apart: 1 to 64 ASCII letters, digits, `-`,
    /// `_` or `.`. Default `realtime`.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.deployment = self.deployment.namespace(namespace);
        self
    }

    /// Asks for the user and the password whenever a connection is made, in place of those in the
    /// URL: for tokens that expire, and passwords that are changed. Where the provider names no
    /// user, it is that of the URL. Sentinels are shown what the URL says.
    ///
    /// One that fails, panics, or takes longer than 5 s is a failed attempt, and the next one comes
    /// after the usual pause; at the start it is the error of `subscribe`. A connection lives on
    /// with what it was made with, until Redis ends it.
    ///
    /// ```
    /// use realtime::{broker::redis::RedisBrokerConfig, node::ServerCredentials};
    ///
    /// # async fn token_of_the_cloud() -> std::io::Result<String> { Ok(String::new()) }
    /// let config = RedisBrokerConfig::builder("rediss://redis").credentials(async || {
    ///     let token = token_of_the_cloud().await?;
    ///     std::io::Result::Ok(ServerCredentials::new("chat", token))
    /// });
    /// ```
    pub fn credentials(mut self, provider: impl CredentialProvider) -> Self {
        self.deployment = self.deployment.credentials(provider);
        self
    }

    /// The largest message, in bytes: 1 KiB to 64 MiB. Publishing a larger one fails, and one that
    /// comes from elsewhere is dropped and reported. Default 8 MiB.
    ///
    /// Keep it well below the first number of Redis's `client-output-buffer-limit pubsub`, 32 MiB
    /// unless it is set: a node for which more than that waits is cut off by Redis.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = Some(bytes);
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
    /// by addresses while their certificates have names. It holds for all servers.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn tls_server_name(mut self, name: impl Into<String>) -> Self {
        self.deployment = self.deployment.tls_server_name(name);
        self
    }

    /// Checks everything. Opens no connection.
    ///
    /// # Errors
    /// Kind [`Config`](realtime_core::broker::BrokerErrorKind::Config), saying which value was not
    /// as expected.
    pub fn build(self) -> Result<RedisBrokerConfig, BrokerError> {
        let built = self.deployment.build(|url| {
            let Some(text) = url.take("maxMessage")? else {
                return Ok(None);
            };
            // Rust reads a plus sign, too.
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            let wrong = || {
                let expected = "maxMessage: expected a number of bytes; got something else";
                InvalidDeployment::new(expected)
            };
            text.parse()
                .ok()
                .filter(|_| digits)
                .map(Some)
                .ok_or_else(wrong)
        });
        let (deployment, in_url) = built.map_err(invalid_deployment)?;
        #[cfg(not(feature = "rustls"))]
        if deployment.uses_tls() {
            return Err(invalid_deployment(InvalidDeployment::needs_rustls()));
        }
        let max_message = self.max_message.or(in_url).unwrap_or(DEFAULT_MAX_MESSAGE);
        if !(1024..=MOST_MAX_MESSAGE).contains(&max_message) {
            return Err(invalid(format!(
                "max_message: expected 1024 to {MOST_MAX_MESSAGE} bytes; got {max_message}"
            )));
        }
        Ok(RedisBrokerConfig {
            channels: Channels::of(&deployment),
            deployment,
            max_message,
        })
    }
}

#[cfg(test)]
mod tests {
    use realtime_core::broker::{BrokerErrorKind, Topic};

    use super::*;

    fn channel(url: &str) -> String {
        RedisBrokerConfig::from_url(url)
            .unwrap()
            .channels
            .name(&Topic::All)
    }

    #[test]
    fn the_namespace_and_the_database_keep_channels_apart() {
        assert_eq!(channel("redis://h"), "rt:{realtime}:all");
        assert_eq!(channel("redis://h/0?namespace=chat"), "rt:{chat}:all");
        assert_eq!(channel("redis://h/2?namespace=chat"), "rt:{chat/2}:all");
        let config = RedisBrokerConfig::from_url("redis-cluster://h?namespace=foo").unwrap();
        assert_eq!(config.slot(), 12_182);
    }

    #[test]
    fn what_is_not_understood_is_refused_without_showing_secrets() {
        for url in [
            "redis://u:s3cret@h?maxMessage=s3cret",
            "redis://u:s3cret@h?maxMessage=%2B5000",
            "redis://u:s3cret@h?maxMessage=1",
            "redis://u:s3cret@h?maxMessage=99999999999",
            "redis://u:s3cret@h?s3cret=1",
            "redis-sentinel://u:s3cret@h",
            "amqp://u:s3cret@h",
        ] {
            let error = RedisBrokerConfig::from_url(url).unwrap_err();
            assert_eq!(error.kind(), BrokerErrorKind::Config, "{url}");
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
        let config = RedisBrokerConfig::from_url("redis://u:s3cret@h?maxMessage=5000").unwrap();
        assert_eq!(config.max_message, 5_000);
        assert!(!format!("{config:?}").contains("s3cret"), "{config:?}");
    }
}
