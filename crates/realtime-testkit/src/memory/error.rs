//! What a test's client expected and didn't get.

use std::{error::Error, fmt, io};

use realtime_core::{ClientError, codec::CodecError};
use realtime_websocket::Violation;

use super::End;
use crate::client::{Answer, ClientError as HandshakeError};

/// What went wrong at a [`TestClient`](super::TestClient).
///
/// `Debug` shows the same words as `Display`, and the causes: so a test that ends with it, by `?`
/// or by `unwrap`, says what it is.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum TestError {
    /// The request was answered with an error: its code, and the text for people.
    #[error("the request on {route:?} was answered with the error {:?}: {}", .error.code(), .error.message())]
    Answered {
        /// The route of the request.
        route: String,
        /// The error.
        error: ClientError,
    },
    /// A message could not be encoded, or what came could not be decoded.
    #[error("the codec refused a message")]
    Codec(#[from] CodecError),
    /// The connection ended.
    #[error("expected {expected}; got the end of the connection: {end}")]
    Ended {
        /// What was expected.
        expected: String,
        /// How it ended.
        end: End,
    },
    /// The connection failed.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// The upgrade was answered with something else than 101.
    #[error("expected the upgrade to be answered with 101; got {}", .0.status)]
    Refused(Answer),
    /// Something didn't come in time.
    #[error("expected {expected}; got {got}")]
    TimedOut {
        /// What was expected, and within which time.
        expected: String,
        /// What came in its place.
        got: String,
    },
    /// Something came that should not have come.
    #[error("expected {expected}; got {got}")]
    Unexpected {
        /// What was expected.
        expected: String,
        /// What came.
        got: String,
    },
    /// The gateway broke the protocol.
    #[error("the gateway broke the WebSocket protocol")]
    Violation(#[from] Violation),
}

impl TestError {
    /// The code of the error that a request was answered with.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.client_error().map(ClientError::code)
    }

    /// The error that a request was answered with.
    #[must_use]
    pub fn client_error(&self) -> Option<&ClientError> {
        match self {
            Self::Answered { error, .. } => Some(error),
            _ => None,
        }
    }

    /// How the connection ended, if that is what was in the way.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        match self {
            Self::Ended { end, .. } => Some(end),
            _ => None,
        }
    }

    /// The HTTP status by which the upgrade was refused.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(answer) => Some(answer.status),
            _ => None,
        }
    }
}

impl fmt::Debug for TestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl From<HandshakeError> for TestError {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::Refused(answer) => Self::Refused(answer),
            HandshakeError::Io(error) => Self::Io(error),
            HandshakeError::Violation(violation) => Self::Violation(violation),
        }
    }
}
