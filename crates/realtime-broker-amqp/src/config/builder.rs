//! What can be chosen.

use std::{fmt, time::Duration};

use realtime_core::{AnyCredentialProvider, CredentialProvider};

/// Makes an [`AmqpConfig`](super::AmqpConfig). `Debug` shows no password and no key.
#[derive(Clone)]
#[must_use]
pub struct AmqpConfigBuilder {
    pub(super) urls: Vec<String>,
    pub(super) credentials: Option<AnyCredentialProvider>,
    pub(super) namespace: Option<String>,
    pub(super) heartbeat: Option<Duration>,
    pub(super) confirms: bool,
    pub(super) declares: bool,
    pub(super) queue_messages: u32,
    pub(super) queue_bytes: u32,
    pub(super) queue_ttl: Duration,
    pub(super) prefetch: u16,
    pub(super) max_message: usize,
    #[cfg(feature = "rustls")]
    pub(super) root_certificates: Option<String>,
    /// The chain, and the key of its first certificate.
    #[cfg(feature = "rustls")]
    pub(super) client_certificate: Option<(String, String)>,
    #[cfg(feature = "rustls")]
    pub(super) tls_server_name: Option<String>,
}

impl AmqpConfigBuilder {
    pub(super) fn new(url: String) -> Self {
        Self {
            urls: vec![url],
            credentials: None,
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
            client_certificate: None,
            #[cfg(feature = "rustls")]
            tls_server_name: None,
        }
    }

    /// Adds the URL of another node of the same RabbitMQ cluster, which is tried in turn. All lead to
    /// one vhost, and all name a user and a password, or none does, also where they come from
    /// [`credentials`](Self::credentials), which may name no user. Where several name a namespace, a
    /// heartbeat or a TLS server name, they must agree.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.urls.push(url.into());
        self
    }

    /// Asks for the user and the password whenever a connection is made, in place of those in the
    /// URLs: for tokens that expire, and passwords that are changed. The provider is asked once a
    /// server answers, for both connections of a link together. Where it names no user, it is that
    /// of the URL.
    ///
    /// One that fails, panics, or takes longer than 5 s is a failed attempt, and the next one comes
    /// after the usual pause; at the start it is the error of `subscribe`. A user or a password
    /// with a zero byte can't be sent, and is such a failure, too.
    ///
    /// A connection lives on with what it was made with. A RabbitMQ that closes it when its token
    /// expires makes a short outage of it, as any other that is made anew.
    ///
    /// ```
    /// use realtime::{broker::amqp::AmqpConfig, node::ServerCredentials};
    ///
    /// # async fn token_of_the_cloud() -> std::io::Result<String> { Ok(String::new()) }
    /// let config = AmqpConfig::builder("amqps://rabbit").credentials(async || {
    ///     let token = token_of_the_cloud().await?;
    ///     std::io::Result::Ok(ServerCredentials::new("chat", token))
    /// });
    /// ```
    pub fn credentials(mut self, provider: impl CredentialProvider) -> Self {
        self.credentials = Some(AnyCredentialProvider::new(provider));
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
    /// and reported as a gap. Default 100,000 messages and 64 MiB. Of bytes there is to be room for
    /// [`max_message`](Self::max_message) and [`MAX_STAMP`](realtime_core::broker::stream::MAX_STAMP)
    /// at least: a message for which there is none would be dropped as it comes.
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

    /// Shows this certificate to servers that ask for one, for `amqps:` URLs: the chain in PEM, the
    /// own certificate first, and its private key in PEM (PKCS #8, PKCS #1 or SEC1, without a
    /// passphrase). It is refused where it would have no effect, or can't be read; that the two
    /// belong together is found out when a connection is made.
    ///
    /// User and password are shown as well.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn client_certificate(
        mut self,
        chain_pem: impl Into<String>,
        key_pem: impl Into<String>,
    ) -> Self {
        self.client_certificate = Some((chain_pem.into(), key_pem.into()));
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
}

impl fmt::Debug for AmqpConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpConfigBuilder")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}
