//! Where RabbitMQ is, and how it is used.

mod build;
mod builder;
#[cfg(feature = "rustls")]
mod certificates;

use std::{fmt, time::Duration};

use lapin::{tcp::OwnedTLSConfig, uri::AMQPUri};
use realtime_core::{AnyCredentialProvider, Namespace, broker::BrokerError};

pub use builder::AmqpConfigBuilder;

/// Where RabbitMQ is, and how it is used. `Debug` shows no password and no key.
///
/// ```
/// use std::time::Duration;
///
/// use realtime::broker::amqp::AmqpConfig;
///
/// let config = AmqpConfig::builder("amqp://guest:s3cret@rabbit-1")
///     .url("amqp://guest:s3cret@rabbit-2")
///     .namespace("chat")
///     .heartbeat(Duration::from_secs(10))
///     .build()?;
/// assert_eq!(config.namespace().as_str(), "chat");
/// assert!(!format!("{config:?}").contains("s3cret"));
/// # Ok::<(), realtime::broker::BrokerError>(())
/// ```
#[derive(Clone)]
pub struct AmqpConfig {
    pub(crate) urls: Vec<AMQPUri>,
    pub(crate) credentials: Option<AnyCredentialProvider>,
    pub(crate) namespace: Namespace,
    pub(crate) heartbeat: Duration,
    pub(crate) confirms: bool,
    pub(crate) declares: bool,
    pub(crate) queue_messages: u32,
    pub(crate) queue_bytes: u32,
    pub(crate) queue_ttl: Duration,
    pub(crate) prefetch: u16,
    pub(crate) max_message: usize,
    pub(crate) tls: OwnedTLSConfig,
    pub(crate) tls_server_name: Option<String>,
}

impl AmqpConfig {
    /// For the RabbitMQ at this URL. What it doesn't say has its default; what isn't understood is
    /// an error.
    ///
    /// ```text
    /// amqp://[user:password@]host[:5672][/vhost][?namespace=realtime][&heartbeat=5]
    ///        [&frame_max=32768][&channel_max=…]
    /// ```
    ///
    /// With the feature `rustls`, the scheme may be `amqps`, with the port 5671; then
    /// `tlsServerName=` says which name the servers' certificates have. Without a user it
    /// is `guest`, and without a slash the vhost is `/`; `/%2F` says the same, and a slash with
    /// nothing behind it is the vhost without a name, as RabbitMQ has it. `namespace` keeps
    /// clusters that share a RabbitMQ apart; `heartbeat` is in whole seconds, `frame_max` in bytes.
    ///
    /// # Errors
    /// Kind [`Config`](realtime_core::broker::BrokerErrorKind::Config) when it isn't such a URL.
    /// The error shows no password.
    pub fn from_url(url: impl Into<String>) -> Result<Self, BrokerError> {
        Self::builder(url).build()
    }

    /// Starts with a URL as [`from_url`](Self::from_url) reads it. What is set on the builder
    /// wins.
    pub fn builder(url: impl Into<String>) -> AmqpConfigBuilder {
        AmqpConfigBuilder::new(url.into())
    }

    /// The name that is expected in the certificate of the server at this URL.
    pub(crate) fn name_of<'n>(&'n self, url: &'n AMQPUri) -> &'n str {
        let host = &url.authority.host;
        self.tls_server_name.as_ref().unwrap_or(host)
    }

    /// What the names of the exchange and of all queues begin with, after `rt.`.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }
}

impl fmt::Debug for AmqpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpConfig")
            .field("urls", &self.urls.iter().map(shown).collect::<Vec<_>>())
            .field("namespace", &self.namespace)
            .field("heartbeat", &self.heartbeat)
            .field("confirms", &self.confirms)
            .field("declares", &self.declares)
            .field("queue_messages", &self.queue_messages)
            .field("queue_bytes", &self.queue_bytes)
            .field("queue_ttl", &self.queue_ttl)
            .field("prefetch", &self.prefetch)
            .field("max_message", &self.max_message)
            .field("tls_server_name", &self.tls_server_name)
            .finish_non_exhaustive()
    }
}

/// Where a URL leads, without its secrets.
pub(crate) fn shown(url: &AMQPUri) -> String {
    let (scheme, at) = (&url.scheme, &url.authority);
    let host = match at.host.contains(':') {
        true => format!("[{}]", at.host),
        false => at.host.clone(),
    };
    format!("{scheme}://{host}:{}/{}", at.port, url.vhost)
}
