//! Where RabbitMQ is, and how it is used.

use std::{fmt, time::Duration};

use lapin::{
    tcp::OwnedTLSConfig,
    uri::{AMQPScheme, AMQPUri},
};
use realtime_core::{InvalidNamespace, Namespace, broker::BrokerError};

use crate::{address, error::config as invalid};

const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(5);

/// Where RabbitMQ is, and how it is used. `Debug` shows no password.
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
        AmqpConfigBuilder {
            urls: vec![url.into()],
            namespace: None,
            heartbeat: None,
            confirms: true,
            declares: true,
            queue_messages: 100_000,
            queue_bytes: 64 << 20,
            queue_ttl: Duration::from_secs(30),
            prefetch: 512,
            max_message: 8 << 20,
            #[cfg(feature = "rustls")]
            root_certificates: None,
            #[cfg(feature = "rustls")]
            tls_server_name: None,
        }
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

/// Makes an [`AmqpConfig`]. `Debug` shows no password.
#[derive(Clone)]
#[must_use]
pub struct AmqpConfigBuilder {
    urls: Vec<String>,
    namespace: Option<String>,
    heartbeat: Option<Duration>,
    confirms: bool,
    declares: bool,
    queue_messages: u32,
    queue_bytes: u32,
    queue_ttl: Duration,
    prefetch: u16,
    max_message: usize,
    #[cfg(feature = "rustls")]
    root_certificates: Option<String>,
    #[cfg(feature = "rustls")]
    tls_server_name: Option<String>,
}

impl AmqpConfigBuilder {
    /// Adds the URL of another node of the same RabbitMQ cluster, which is tried in turn. Where
    /// several name a namespace, a heartbeat or a TLS server name, they must agree.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.urls.push(url.into());
        self
    }

    /// Keeps clusters that share a RabbitMQ apart: 1 to 64 ASCII letters, digits, `-`, `_` or
    /// `.`. Default `realtime`.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// How often each side shows that it is alive, in whole seconds. 1 to 60 s; default 5 s.
    pub fn heartbeat(mut self, heartbeat: Duration) -> Self {
        self.heartbeat = Some(heartbeat);
        self
    }

    /// Whether RabbitMQ confirms each publication. Default yes. Without, a publication is done
    /// when it is written, nobody learns that a node is gone, and a second node under the id of one
    /// that lags behind is not noticed.
    pub fn confirms(mut self, confirms: bool) -> Self {
        self.confirms = confirms;
        self
    }

    /// Whether the exchange is declared. Default yes. Say no where the user may not configure
    /// exchanges: then `rt.{namespace}`, direct and durable, must be there.
    pub fn declares(mut self, declares: bool) -> Self {
        self.declares = declares;
        self
    }

    /// How much may wait in a node's queue. Past it RabbitMQ drops the oldest, which is noticed
    /// and reported as a gap. Default 100,000 messages and 64 MiB.
    pub fn queue_limits(mut self, messages: u32, bytes: u32) -> Self {
        (self.queue_messages, self.queue_bytes) = (messages, bytes);
        self
    }

    /// How long a message may wait in a node's queue. 1 s to a day; default 30 s.
    pub fn queue_ttl(mut self, ttl: Duration) -> Self {
        self.queue_ttl = ttl;
        self
    }

    /// How many messages RabbitMQ sends ahead of their acknowledgement. Default 512.
    ///
    /// It bounds memory by messages, not by bytes: a node keeps at most `prefetch` + 1,024 that the
    /// gateway has not received yet, and another `prefetch` just after a link was made, each of at
    /// most [`max_message`](Self::max_message) bytes. RabbitMQ keeps `prefetch` of them beside
    /// what [`queue_limits`](Self::queue_limits) allows.
    pub fn prefetch(mut self, messages: u16) -> Self {
        self.prefetch = messages;
        self
    }

    /// The largest message, in bytes. Publishing a larger one fails, and one that comes from
    /// elsewhere is dropped and reported. Default 8 MiB. What nodes announce of themselves
    /// doesn't count as a message.
    ///
    /// Bounds elsewhere count messages, so this one makes bytes of them: at most 2,048 are
    /// published and not confirmed yet, and [`prefetch`](Self::prefetch) says how many wait to be
    /// received.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// Trusts these root certificates, in PEM, as well as the system's, for `amqps:` URLs. It is
    /// refused where it would have no effect: without an `amqps:` URL, or without a certificate.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn root_certificates(mut self, pem: impl Into<String>) -> Self {
        self.root_certificates = Some(pem.into());
        self
    }

    /// Expects this name in the servers' certificates, for `amqps:` URLs whose servers are known by
    /// addresses, or by other names than the certificates have. It holds for all servers. Without
    /// it the host of the URL is expected.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn tls_server_name(mut self, name: impl Into<String>) -> Self {
        self.tls_server_name = Some(name.into());
        self
    }

    /// Checks everything. Opens no connection.
    ///
    /// # Errors
    /// Kind [`Config`](realtime_core::broker::BrokerErrorKind::Config), naming what was not as
    /// expected.
    pub fn build(self) -> Result<AmqpConfig, BrokerError> {
        let (mut urls, mut names) = (Vec::new(), Vec::new());
        let (mut namespaces, mut heartbeats) = (Vec::new(), Vec::new());
        for url in &self.urls {
            let address = address::read(url)?;
            namespaces.extend(address.namespace);
            heartbeats.extend(address.heartbeat);
            names.extend(address.tls_server_name);
            urls.push(address.uri);
        }
        let namespace = match &self.namespace {
            Some(named) => Some(named.parse().map_err(not_a_namespace)?),
            None => the_one("namespace", namespaces)?,
        };
        let heartbeat = match self.heartbeat {
            Some(heartbeat) => heartbeat,
            None => the_one("heartbeat", heartbeats)?.unwrap_or(DEFAULT_HEARTBEAT),
        };
        check_heartbeat(heartbeat)?;
        self.check(&urls)?;
        #[cfg(feature = "rustls")]
        self.check_certificates(&urls)?;
        let tls_server_name = self.server_name(&urls, names)?;
        Ok(AmqpConfig {
            urls,
            namespace: namespace.unwrap_or_default(),
            heartbeat,
            confirms: self.confirms,
            declares: self.declares,
            queue_messages: self.queue_messages,
            queue_bytes: self.queue_bytes,
            queue_ttl: self.queue_ttl,
            prefetch: self.prefetch,
            max_message: self.max_message,
            tls: OwnedTLSConfig {
                identity: None,
                #[cfg(feature = "rustls")]
                cert_chain: self.root_certificates,
                #[cfg(not(feature = "rustls"))]
                cert_chain: None,
            },
            tls_server_name,
        })
    }

    /// The name that is expected in certificates, in place of the host.
    fn server_name(
        &self,
        urls: &[AMQPUri],
        named: Vec<String>,
    ) -> Result<Option<String>, BrokerError> {
        #[cfg(feature = "rustls")]
        let set = self.tls_server_name.clone();
        #[cfg(not(feature = "rustls"))]
        let set = None;
        let name = match set {
            Some(name) => Some(name),
            None => the_one("tlsServerName", named)?,
        };
        if name.is_some() && !urls.iter().any(is_tls) {
            let got = "a TLS server name was given, but no amqps: URL; use amqps: to speak TLS";
            return Err(invalid(got.to_owned()));
        }
        #[cfg(feature = "rustls")]
        if let Some(name) = &name {
            rustls_pki_types::ServerName::try_from(name.as_str()).map_err(|e| {
                invalid("tls_server_name: expected a host name".to_owned()).with_source(e)
            })?;
        }
        Ok(name)
    }

    fn check(&self, urls: &[AMQPUri]) -> Result<(), BrokerError> {
        let second = Duration::from_secs(1);
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
        if !cfg!(feature = "rustls") && urls.iter().any(is_tls) {
            return Err(invalid(
                "amqps: needs the feature `rustls` of realtime-broker-amqp; switch it on or use \
                 amqp:"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

#[cfg(feature = "rustls")]
impl AmqpConfigBuilder {
    fn check_certificates(&self, urls: &[AMQPUri]) -> Result<(), BrokerError> {
        use rustls_pki_types::{CertificateDer, pem::PemObject};

        let Some(pem) = &self.root_certificates else {
            return Ok(());
        };
        if !urls.iter().any(is_tls) {
            let got = "root certificates were given, but no amqps: URL; use amqps: to speak TLS";
            return Err(invalid(got.to_owned()));
        }
        let certificates: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        match certificates {
            Ok(certificates) if !certificates.is_empty() => Ok(()),
            _ => Err(invalid(
                "root_certificates: expected at least one certificate in PEM; got none that can be \
                 read"
                .to_owned(),
            )),
        }
    }
}

impl fmt::Debug for AmqpConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpConfigBuilder")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

fn is_tls(url: &AMQPUri) -> bool {
    url.scheme == AMQPScheme::AMQPS
}

fn not_a_namespace(_: InvalidNamespace) -> BrokerError {
    // What it got may be a part of the URL that was meant as something else.
    let expected = "expected a namespace of 1 to 64 ASCII letters, digits, '-', '_' or '.'";
    invalid(expected.to_owned())
}

/// What several URLs say of one thing.
fn the_one<T: PartialEq>(name: &str, said: Vec<T>) -> Result<Option<T>, BrokerError> {
    let mut said = said.into_iter();
    let first = said.next();
    if said.any(|other| Some(other) != first) {
        return Err(invalid(format!(
            "{name}: expected the same in each URL; got two that differ"
        )));
    }
    Ok(first)
}

/// The protocol counts in whole seconds.
fn check_heartbeat(heartbeat: Duration) -> Result<(), BrokerError> {
    if (1..=60).contains(&heartbeat.as_secs()) && heartbeat.subsec_nanos() == 0 {
        return Ok(());
    }
    Err(invalid(format!(
        "heartbeat: expected 1 to 60 whole seconds; got {heartbeat:?}"
    )))
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

#[cfg(test)]
mod tests {
    use realtime_core::broker::BrokerErrorKind;

    use super::*;

    #[test]
    fn nonsense_is_refused_by_name_and_without_the_password() {
        let config = || AmqpConfig::builder("amqp://u:s3cret@h");
        let rows = [
            (config().namespace("a b"), "expected a namespace"),
            (config().heartbeat(Duration::ZERO), "heartbeat"),
            (
                config().heartbeat(Duration::from_millis(1_500)),
                "heartbeat",
            ),
            (config().url("amqp://h?heartbeat=61"), "heartbeat"),
            (config().queue_limits(0, 1), "queue_messages"),
            (config().queue_limits(1, 0), "queue_bytes"),
            (config().queue_ttl(Duration::ZERO), "queue_ttl"),
            (config().prefetch(0), "prefetch"),
            (config().max_message(0), "max_message"),
            (config().url("http://u:s3cret@h"), "expected a URL"),
            (
                config().url("amqp://h?tlsServerName=h"),
                "a TLS server name",
            ),
        ];
        for (builder, name) in rows {
            assert!(!format!("{builder:?}").contains("s3cret"));
            let error = builder.build().unwrap_err();
            assert!(error.to_string().starts_with(name), "{error}");
        }
        for url in [
            "",
            "h:1",
            "http://u:s3cret@h",
            "amqp://u:s3cret@h:port",
            "amqp://u@h?namespace=s3cret%20",
        ] {
            let error = AmqpConfig::from_url(url).unwrap_err();
            assert_eq!(error.kind(), BrokerErrorKind::Config);
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
        assert!(!format!("{:?}", config().build().unwrap()).contains("s3cret"));
    }

    #[test]
    fn what_the_urls_say_is_used_unless_the_builder_says_otherwise() {
        let config = AmqpConfig::from_url("amqp://h/v?namespace=chat&heartbeat=9").unwrap();
        assert_eq!(config.namespace().as_str(), "chat");
        assert_eq!(config.heartbeat, Duration::from_secs(9));
        let config = AmqpConfig::builder("amqp://h?namespace=a&heartbeat=9");
        let config = config.namespace("b").heartbeat(Duration::from_secs(8));
        let config = config.build().unwrap();
        assert_eq!(config.namespace().as_str(), "b");
        assert_eq!(config.heartbeat, Duration::from_secs(8));
    }

    #[test]
    fn what_a_further_url_says_counts_too() {
        let config = AmqpConfig::builder("amqp://a").url("amqp://b?namespace=chat&heartbeat=9");
        let config = config.build().unwrap();
        assert_eq!(config.namespace().as_str(), "chat");
        assert_eq!(config.heartbeat, Duration::from_secs(9));
        for (one, other) in [
            ("namespace=a", "namespace=b"),
            ("heartbeat=1", "heartbeat=2"),
        ] {
            let config = AmqpConfig::builder(format!("amqp://a?{one}"));
            let error = config.url(format!("amqp://b?{other}")).build().unwrap_err();
            assert!(error.to_string().contains("the same"), "{error}");
        }
    }

    #[cfg(not(feature = "rustls"))]
    #[test]
    fn tls_names_the_feature_that_it_needs() {
        let error = AmqpConfig::from_url("amqps://h").unwrap_err();
        assert!(error.to_string().contains("`rustls`"), "{error}");
    }
}
