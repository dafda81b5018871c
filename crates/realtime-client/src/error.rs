//! What can go wrong, one value for each thing that a caller may do about it.

use std::{fmt, time::Duration};

use realtime_core::{ClientError, Message, Payload, codec::CodecError};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// Why a request, or what is like one, came to nothing.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The server answered with an error. What that says of what was asked is for its
    /// [code](Refusal::code) to tell: `unknown_route`, `bad_data`, `bad_request`, `malformed` and
    /// `too_many_requests` of the gateway mean that no handler has begun with it. With `timeout`,
    /// `internal` and `unanswered` one may have, and been stopped in the middle. What others mean is
    /// the application's own affair.
    #[error("the server refused: {0}")]
    Refused(Refusal),
    /// The connection ended before there was an answer.
    #[error("the connection ended before the answer")]
    #[non_exhaustive]
    Lost {
        /// Whether the message may have reached the server. If not, it was certainly not done.
        sent: bool,
    },
    /// There was no answer in time.
    #[error("there was no answer in time")]
    #[non_exhaustive]
    TimedOut {
        /// Whether the message may have reached the server. If not, it was certainly not done.
        sent: bool,
    },
    /// As much waits for a connection, or for answers, as may: it was not sent.
    #[error("as many messages wait as may")]
    Full,
    /// The client has ended, and won't connect again: [`Client::state`](crate::Client::state) says why.
    #[error("the client has ended")]
    Ended,
    /// What is to be sent has no form in the codec, or a name isn't one.
    #[error("what is to be sent can't be encoded")]
    Encode(#[source] CodecError),
    /// The answer isn't what was expected.
    #[error("the answer can't be read")]
    Decode(#[source] CodecError),
}

impl RequestError {
    /// What the server said, where it refused.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

/// The error with which a server answers a request.
#[derive(Clone)]
pub struct Refusal {
    error: ClientError,
    /// As it came.
    whole: Payload,
}

impl Refusal {
    /// Of the data of a message on the route `error`.
    pub(crate) fn of(message: &Message) -> Self {
        let said: Said = message.decode().unwrap_or_default();
        let code = said.code.unwrap_or_else(|| "unknown".to_owned());
        let mut error = ClientError::new(code, said.message);
        if said.temporary {
            error = error.temporary();
        }
        if let Some(wait) = said.retry_after.and_then(crate::advice::slot) {
            error = error.with_retry_after(wait);
        }
        if let Some(data) = said.data {
            error = error.with_data(Payload::from(String::from(Box::<str>::from(data))));
        }
        Self {
            error,
            whole: message.data().clone(),
        }
    }

    /// For programs: one of `docs/protocol.md`, or the application's own.
    #[must_use]
    pub fn code(&self) -> &str {
        self.error.code()
    }

    /// For people.
    #[must_use]
    pub fn message(&self) -> &str {
        self.error.message()
    }

    /// Whether it makes sense to try the same again.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.error.is_temporary()
    }

    /// After how long, where the server says so: ten minutes at most.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.error.retry_after()
    }

    /// Data of the application's own, where it has added some: which field is wrong, say. It is JSON.
    #[must_use]
    pub fn data(&self) -> Option<&Payload> {
        self.error.data()
    }

    /// Reads that data; where there is none, as `null`.
    ///
    /// ```no_run
    /// # async fn f(client: realtime_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// #[derive(serde::Deserialize)]
    /// struct Wrong {
    ///     field: String,
    /// }
    ///
    /// if let Err(error) = client.ask::<()>("sign_up", "ann").await
    ///     && let Some(refusal) = error.refusal()
    ///     && refusal.code() == "invalid"
    /// {
    ///     let Wrong { field } = refusal.decode_data()?;
    ///     eprintln!("{field}: {}", refusal.message());
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When it doesn't fit.
    pub fn decode_data<T: DeserializeOwned>(&self) -> Result<T, CodecError> {
        self.error.decode_data()
    }

    /// The error as it came, as one JSON object, with whatever else a server says of it.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.whole
    }
}

/// The message and the code. The data is left out, since errors are logged: [`Refusal::data`].
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

/// Of the data only how many bytes it has.
impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusal")
            .field("code", &self.code())
            .field("message", &self.message())
            .field("is_temporary", &self.is_temporary())
            .field("retry_after", &self.retry_after())
            .field("data_bytes", &self.data().map(Payload::len))
            .finish()
    }
}

#[derive(Deserialize, Default)]
struct Said {
    code: Option<String>,
    #[serde(default)]
    message: String,
    #[serde(default)]
    temporary: bool,
    retry_after: Option<f64>,
    data: Option<Box<RawValue>>,
}

/// Why there can be no client with these settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The URL is none that a WebSocket may have. It isn't shown: a token may stand in it.
    #[error("expected a URL such as wss://host/path, without a user or a fragment; {0}")]
    Url(String),
    /// A header isn't one, or is one of the handshake's own.
    #[error("expected a header that the handshake doesn't set itself; got {0:?}")]
    Header(String),
    /// A setting that can't be.
    #[error("{0}")]
    Setting(&'static str),
    /// `wss:` needs the feature `rustls`, and certificates that can be read.
    #[error("TLS can't be spoken: {0}")]
    Tls(String),
    /// There is no tokio runtime here, in which the connection's task could run.
    #[error("expected to be called within a tokio runtime")]
    NoRuntime,
}
