//! Where RabbitMQ is, and how it is used.

use std::{fmt, time::Duration};

use lapin::uri::{AMQPScheme, AMQPUri};
use realtime_core::{Namespace, broker::BrokerError};

use crate::error::config as invalid;

/// Where RabbitMQ is, and how it is used. All but the URL has a default.
///
/// `Debug` shows no password.
///
/// ```
/// use realtime_broker_amqp::AmqpConfig;
///
/// let config = AmqpConfig::from_url("amqp://guest:s3cret@localhost?namespace=chat")?;
/// assert_eq!(config.namespace().as_str(), "chat");
/// assert!(!format!("{config:?}").contains("s3cret"));
/// # Ok::<(), realtime_core::broker::BrokerError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct AmqpConfig {
    pub(crate) urls: Vec<AMQPUri>,
    pub(crate) namespace: Namespace,
    pub(crate) heartbeat: Duration,
    pub(crate) confirms: bool,
    pub(crate) declares: bool,
    pub(crate) queue_messages: u32,
    pub(crate) queue_bytes: u32,
    pub(crate) queue_ttl: Duration,
    pub(crate) prefetch: u16,
    pub(crate) max_message: usize,
}

impl AmqpConfig {
    /// For the RabbitMQ at this URL: `amqp://user:password@host:port/vhost`. With the feature
    /// `rustls`, the scheme may be `amqps`. `?namespace=` keeps clusters that share a RabbitMQ
    /// apart; its default is `realtime`.
    ///
    /// # Errors
    /// Kind [`Config`](realtime_core::broker::BrokerErrorKind::Config) when it isn't such a URL.
    /// The error shows no password.
    pub fn from_url(url: &str) -> Result<Self, BrokerError> {
        let (url, namespace) = split(url)?;
        Ok(Self {
            urls: vec![parse(&url)?],
            namespace,
            heartbeat: Duration::from_secs(5),
            confirms: true,
            declares: true,
            queue_messages: 100_000,
            queue_bytes: 64 << 20,
            queue_ttl: Duration::from_secs(30),
            prefetch: 512,
            max_message: 8 << 20,
        })
    }

    /// Adds the URL of another node of the same RabbitMQ cluster, which is tried in turn.
    ///
    /// # Errors
    /// Those of [`from_url`](Self::from_url).
    pub fn url(mut self, url: &str) -> Result<Self, BrokerError> {
        self.urls.push(parse(&split(url)?.0)?);
        Ok(self)
    }

    /// Keeps clusters that share a RabbitMQ apart. Default `realtime`.
    pub fn with_namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = namespace;
        self
    }

    /// How often each side shows that it is alive. 1 to 60 s; default 5 s.
    pub fn with_heartbeat(mut self, heartbeat: Duration) -> Self {
        self.heartbeat = heartbeat;
        self
    }

    /// Whether RabbitMQ confirms each publication. Default yes. Without, a publication is done
    /// when it is written, and nobody hears that a node is gone.
    pub fn with_confirms(mut self, confirms: bool) -> Self {
        self.confirms = confirms;
        self
    }

    /// Whether the exchange is declared. Default yes. Say no where the user may not configure
    /// exchanges: then `rt.{namespace}`, direct and durable, must be there.
    pub fn with_declares(mut self, declares: bool) -> Self {
        self.declares = declares;
        self
    }

    /// How much may wait in a node's queue. Past it RabbitMQ drops the oldest, which is noticed
    /// and reported as a gap. Default 100,000 messages and 64 MiB.
    pub fn with_queue_limits(mut self, messages: u32, bytes: u32) -> Self {
        (self.queue_messages, self.queue_bytes) = (messages, bytes);
        self
    }

    /// How long a message may wait in a node's queue. Default 30 s.
    pub fn with_queue_ttl(mut self, ttl: Duration) -> Self {
        self.queue_ttl = ttl;
        self
    }

    /// How many messages RabbitMQ sends ahead of their acknowledgement. Default 512.
    pub fn with_prefetch(mut self, prefetch: u16) -> Self {
        self.prefetch = prefetch;
        self
    }

    /// The largest message, in bytes. Publishing a larger one fails, and one that comes from
    /// elsewhere is dropped and reported. Default 8 MiB.
    pub fn with_max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    pub(crate) fn validate(&self) -> Result<(), BrokerError> {
        let second = Duration::from_secs(1);
        if self.heartbeat < second || self.heartbeat > 60 * second {
            let got = self.heartbeat;
            return Err(invalid(format!(
                "heartbeat: expected 1 to 60 s; got {got:?}"
            )));
        }
        if self.queue_ttl < second || self.queue_ttl > 86_400 * second {
            let got = self.queue_ttl;
            return Err(invalid(format!(
                "queue_ttl: expected 1 s to a day; got {got:?}"
            )));
        }
        let numbers = [
            ("queue_messages", self.queue_messages as usize),
            ("queue_bytes", self.queue_bytes as usize),
            ("prefetch", usize::from(self.prefetch)),
            ("max_message", self.max_message),
        ];
        for (name, number) in numbers {
            if number == 0 {
                return Err(invalid(format!("{name}: expected at least 1; got 0")));
            }
        }
        let tls = |url: &AMQPUri| url.scheme == AMQPScheme::AMQPS;
        if !cfg!(feature = "rustls") && self.urls.iter().any(tls) {
            return Err(invalid(
                "amqps: needs the feature `rustls`; switch it on or use amqp:".to_owned(),
            ));
        }
        Ok(())
    }
}

fn split(url: &str) -> Result<(String, Namespace), BrokerError> {
    Namespace::split_url(url).map_err(|e| invalid(e.to_string()))
}

fn parse(url: &str) -> Result<AMQPUri, BrokerError> {
    // The reason may quote the URL, and with it the password.
    url.parse().map_err(|_reason: String| {
        invalid(
            "expected a URL such as amqp://user:password@host:5672/vhost; got something else"
                .to_owned(),
        )
    })
}

/// Where a URL leads, without its secrets.
pub(crate) fn shown(url: &AMQPUri) -> String {
    let (scheme, at) = (&url.scheme, &url.authority);
    format!("{scheme}://{}:{}/{}", at.host, at.port, url.vhost)
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
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use realtime_core::broker::BrokerErrorKind;

    use super::*;

    #[test]
    fn nonsense_is_refused_by_name_and_without_the_password() {
        let config = || AmqpConfig::from_url("amqp://u:s3cret@h").unwrap();
        let rows = [
            (config().with_heartbeat(Duration::ZERO), "heartbeat"),
            (config().with_queue_limits(0, 1), "queue_messages"),
            (config().with_queue_ttl(Duration::ZERO), "queue_ttl"),
            (config().with_prefetch(0), "prefetch"),
            (config().with_max_message(0), "max_message"),
        ];
        for (config, name) in rows {
            let error = config.validate().unwrap_err();
            assert!(error.to_string().starts_with(name), "{error}");
            assert!(!format!("{config:?}").contains("s3cret"));
        }
        for url in [
            "",
            "h:1",
            "amqp://u:s3cret@h?namespace=a b",
            "http://u:s3cret@h",
            "amqp://u:s3cret@h:port",
        ] {
            let error = AmqpConfig::from_url(url).unwrap_err();
            assert_eq!(error.kind(), BrokerErrorKind::Config);
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
    }

    #[test]
    fn our_own_parameter_is_taken_out_of_the_url() {
        let config = AmqpConfig::from_url("amqp://h/v?namespace=chat&heartbeat=9").unwrap();
        assert_eq!(config.namespace().as_str(), "chat");
        assert_eq!(config.urls[0].query.heartbeat, Some(9));
        assert_eq!(shown(&config.urls[0]), "amqp://h:5672/v");
    }
}
