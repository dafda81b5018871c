//! How a client is made.

use std::{future::Future, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use realtime_codec_json::JsonCodec;
use realtime_core::{BoxError, codec::Codec};

use crate::{
    BuildError, Client,
    address::Address,
    compression::Compression,
    settings::{Settings, Tls},
    token::{Getter, TokenIn, TokenReason},
    upgrade::is_own,
};

/// The settings of a [`Client`]: from [`Client::builder`].
///
/// ```no_run
/// use std::time::Duration;
/// use realtime_client::{Client, TokenIn};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::builder("wss://gateway.example/ws")
///     .token(async |_reason| Ok(Some(std::env::var("TOKEN")?)))
///     .token_in(TokenIn::Message)
///     .timeout(Duration::from_secs(5))
///     .connect()?;
/// # Ok(()) }
/// ```
#[must_use]
pub struct ClientBuilder {
    url: String,
    headers: Vec<(String, String)>,
    roots: Vec<String>,
    codec: Arc<dyn Codec>,
    token: Option<Getter>,
    token_in: TokenIn,
    connect_timeout: Duration,
    timeout: Duration,
    write_timeout: Duration,
    backoff: (Duration, Duration),
    ping: (Option<Duration>, Duration),
    max_message: usize,
    queue: usize,
    max_requests: usize,
    inbox: usize,
    max_attempts: Option<u32>,
    compression: Compression,
}

/// Tokens may stand in the URL and in headers, so neither is shown.
impl std::fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientBuilder").finish_non_exhaustive()
    }
}

impl ClientBuilder {
    pub(crate) fn new(url: String) -> Self {
        Self {
            url,
            headers: Vec::new(),
            roots: Vec::new(),
            codec: Arc::new(JsonCodec),
            token: None,
            token_in: TokenIn::default(),
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            backoff: (Duration::from_millis(500), Duration::from_secs(20)),
            ping: (Some(Duration::from_secs(25)), Duration::from_secs(5)),
            max_message: 16 << 20,
            queue: 100,
            max_requests: 1024,
            inbox: 1024,
            max_attempts: None,
            compression: Compression::default(),
        }
    }

    /// Gets a token: asked before each attempt to connect, and when the one that was shown is about
    /// to end; one question at a time.
    ///
    /// `None` says that nobody is signed in any more, and ends the client; after a refusal, with the
    /// code or status of that. After an error, a panic, or [`connect_timeout`](Self::connect_timeout)
    /// without an answer, it is asked again later; the error's text is in the
    /// [state](crate::State) meanwhile. A token that the server has refused isn't shown again.
    pub fn token<F, Fut>(mut self, get: F) -> Self
    where
        F: Fn(TokenReason) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Option<String>, BoxError>> + Send + 'static,
    {
        self.token = Some(Getter::new(get));
        self
    }

    /// Where the token is shown. Default: in the header `Authorization`.
    pub fn token_in(mut self, place: TokenIn) -> Self {
        self.token_in = place;
        self
    }

    /// Adds a header to each upgrade request.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Speaks another codec than JSON. Its name is the subprotocol.
    ///
    /// The server's own messages (`error`, `gap`, the answer to `join`) are read as JSON, so the
    /// codec's [`decode`](Codec::decode) has to give their data as JSON.
    pub fn codec(mut self, codec: impl Codec) -> Self {
        self.codec = Arc::new(codec);
        self
    }

    /// Trusts these certificates (PEM), too, beside the system's own.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn root_certificates(mut self, pem: impl Into<String>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// How long a request waits for its answer, and whatever is said for a connection, where it says
    /// nothing else. Default: 10 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long getting a token, and an attempt to connect, may take each. Default: 10 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long the server may take nothing of what is sent to it, while something waits: then the
    /// connection is given up, and another one made. Default: 10 s.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = timeout;
        self
    }

    /// The longest first wait before it comes back, and the longest of all: a random part of a delay
    /// that doubles from one to the other. Default: 500 ms and 20 s.
    ///
    /// It begins anew with the first message of the server, and not when a connection opens. A time
    /// that the server names holds in its place, up to ten minutes.
    pub fn backoff(mut self, first: Duration, most: Duration) -> Self {
        self.backoff = (first, most);
        self
    }

    /// How long the server may be silent before it is asked by a ping whether it is there (25 s), and
    /// how long its answer may take (5 s). With `None` it is asked only when it opens, and when a
    /// request isn't answered in time.
    pub fn ping(mut self, every: impl Into<Option<Duration>>, timeout: Duration) -> Self {
        self.ping = (every.into(), timeout);
        self
    }

    /// The most bytes of a message from the server. Default: 16 MiB.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// How many messages and requests may wait for a connection, each for no longer than its
    /// timeout: 100 by default. With 0 nothing waits.
    pub fn queue(mut self, messages: usize) -> Self {
        self.queue = messages;
        self
    }

    /// How many requests may wait for their answers at once. Default: 1,024.
    pub fn max_requests(mut self, requests: usize) -> Self {
        self.max_requests = requests;
        self
    }

    /// How many messages wait in each stream for their reader; then the oldest is dropped, and the
    /// reader told. Default: 1,024. However many there may be, they have no more than 64 MiB of data.
    pub fn inbox(mut self, messages: usize) -> Self {
        self.inbox = messages;
        self
    }

    /// Gives up after so many attempts in a row without a message from the server. Default: never.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// Offers to compress messages (`permessage-deflate`). Default: no.
    ///
    /// Where the server agrees, messages of 512 bytes and more are compressed, each by itself. A gateway
    /// doesn't speak it yet: it declines, and nothing is compressed. It is for servers of another make.
    ///
    /// A connection holds no window: each thread that has sent such a message holds about 380 KB, and
    /// each that has received one about 56 KB, for all its connections. Only where the server asks for
    /// a small window, a connection may hold up to as much by itself. [`max_message`] is what a message
    /// may have once it is inflated.
    ///
    /// How long a compressed message is tells something of what is in it. Leave it off where messages
    /// carry secrets beside what others have written.
    ///
    /// [`max_message`]: Self::max_message
    ///
    /// ```no_run
    /// # use realtime_client::Client;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::builder("wss://gateway.example/ws").compression().connect()?;
    /// # let _ = client; Ok(()) }
    /// ```
    #[cfg(feature = "deflate")]
    #[cfg_attr(docsrs, doc(cfg(feature = "deflate")))]
    pub fn compression(mut self) -> Self {
        self.compression = Compression(Some(Default::default()));
        self
    }

    /// Begins to connect, in a task of its own, and comes back until [`Client::close`], or until the
    /// last handle is dropped.
    ///
    /// # Errors
    /// When a setting can't be, or there is no tokio runtime here. That there is no connection is
    /// none: [`Client::state`] says it.
    pub fn connect(self) -> Result<Client, BuildError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        let settings = self.settings()?;
        Ok(Client::start(Arc::new(settings), &runtime))
    }

    fn settings(self) -> Result<Settings, BuildError> {
        let address = Address::parse(&self.url)?;
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers {
            let wrong = || BuildError::Header(name.clone());
            let parsed = HeaderName::try_from(&name).map_err(|_| wrong())?;
            let value = HeaderValue::try_from(value).map_err(|_| wrong())?;
            let is_token = parsed == http::header::AUTHORIZATION
                && self.token.is_some()
                && self.token_in == TokenIn::Header;
            if is_own(&parsed) || is_token {
                return Err(wrong());
            }
            headers.append(parsed, value);
        }
        let times = [
            self.timeout,
            self.write_timeout,
            self.connect_timeout,
            self.backoff.0,
            self.backoff.1,
            self.ping.1,
        ];
        if times.iter().chain(&self.ping.0).any(Duration::is_zero) {
            return Err(BuildError::Setting("expected times that are not zero"));
        }
        const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
        if times.iter().chain(&self.ping.0).any(|time| *time > LONGEST) {
            return Err(BuildError::Setting("expected times of at most a year"));
        }
        if self.inbox == 0 || self.max_requests == 0 || self.max_message == 0 {
            return Err(BuildError::Setting(
                "expected an inbox, requests and messages that are not zero",
            ));
        }
        if self.max_attempts == Some(0) {
            let expected = "expected at least one attempt; leave `max_attempts` out for any number";
            return Err(BuildError::Setting(expected));
        }
        if self.backoff.0 > self.backoff.1 {
            let expected = "expected a back-off whose first wait is no longer than its longest";
            return Err(BuildError::Setting(expected));
        }
        if !is_token(self.codec.name()) {
            return Err(BuildError::Setting(
                "expected a codec whose name is a token of HTTP",
            ));
        }
        let tls = match address.is_tls {
            true => Some(tls(&self.roots)?),
            false => None,
        };
        Ok(Settings {
            address,
            tls,
            headers,
            codec: self.codec,
            token: self.token,
            token_in: self.token_in,
            connect_timeout: self.connect_timeout,
            timeout: self.timeout,
            write_timeout: self.write_timeout,
            backoff: self.backoff,
            ping: self.ping,
            max_message: self.max_message,
            queue: self.queue,
            max_requests: self.max_requests,
            inbox: self.inbox,
            max_attempts: self.max_attempts,
            compression: self.compression,
        })
    }
}

/// Whether it can be one of several subprotocols.
pub(crate) fn is_token(text: &str) -> bool {
    let in_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_|~`".contains(&b);
    !text.is_empty() && text.bytes().all(in_token)
}

#[cfg(feature = "rustls")]
fn tls(roots: &[String]) -> Result<Tls, BuildError> {
    Tls::new(roots)
}

#[cfg(not(feature = "rustls"))]
fn tls(_: &[String]) -> Result<Tls, BuildError> {
    Err(BuildError::Tls("expected the feature `rustls`".to_owned()))
}
