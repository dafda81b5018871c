//! How a session ended: close codes and the record that hooks see.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::BoxError;

/// A WebSocket close code.
///
/// The range says what a client of this framework does next: 3000–3499 and 4000–4499 mean
/// reconnect, 3500–3999 and 4500–4999 mean stay away.
///
/// Only codes that may stand in a close frame (RFC 6455, section 7.4, and those registered since):
/// 1000–1003, 1007–1014 and 3000–4999. The others, such as 1006, are what a program reports where
/// there was no close frame; here that is `None` ([`DisconnectInfo::code`]).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct CloseCode(u16);

/// A close code that may not stand in a close frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a close code that may be sent is 1000-1003, 1007-1014 or 3000-4999; got {0}")]
pub struct InvalidCloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the node is shutting down.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a binary frame where the codec speaks text, or the other way round.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1007: text that isn't UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: refused by policy: a connect hook, too many bad messages, an endless message.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: a message over the read limit.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// 1011: the server failed, for example a handler that panicked.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the node restarts.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: a slow consumer, closed by the backpressure policy; a server that is full, or that can't
    /// find out now whose credentials these are.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 3005: what the client had shown has ended, and it has shown nothing fresh: it may come back
    /// with a fresh token.
    pub const EXPIRED: Self = Self(3005);
    /// 3011: the client is to come back, and may find another node: this one has too many sessions.
    pub const RECONNECT: Self = Self(3011);
    /// 3012: the peer didn't answer a ping in time.
    pub const PONG_TIMEOUT: Self = Self(3012);
    /// 3013: the client sends more than it may. It may come back, later.
    pub const TOO_MANY_REQUESTS: Self = Self(3013);
    /// 3500: credentials that are not right, or were revoked.
    pub const UNAUTHORIZED: Self = Self(3500);
    /// 3502: the client has not shown in time who it is.
    pub const NOT_AUTHENTICATED: Self = Self(3502);
    /// 3503: closed by the application, which doesn't want the client back.
    pub const DISCONNECTED: Self = Self(3503);
    /// 3504: more connections than this identity may have.
    pub const TOO_MANY_CONNECTIONS: Self = Self(3504);
    /// 3506: a newer connection of the same identity has taken this one's place.
    pub const REPLACED: Self = Self(3506);

    /// The code with this number.
    ///
    /// # Errors
    /// The number may not stand in a close frame.
    ///
    /// ```
    /// use realtime::CloseCode;
    ///
    /// const KICKED: CloseCode = match CloseCode::new(4000) {
    ///     Ok(code) => code,
    ///     Err(_) => panic!("not a close code"),
    /// };
    /// assert_eq!(KICKED.as_u16(), 4000);
    ///
    /// let refused = CloseCode::new(1006).unwrap_err().to_string();
    /// assert!(refused.contains("3000-4999; got 1006"), "{refused}");
    /// ```
    pub const fn new(code: u16) -> Result<Self, InvalidCloseCode> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Ok(Self(code)),
            _ => Err(InvalidCloseCode(code)),
        }
    }

    /// The code's number.
    #[must_use]
    pub const fn as_u16(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for CloseCode {
    type Error = InvalidCloseCode;

    fn try_from(code: u16) -> Result<Self, InvalidCloseCode> {
        Self::new(code)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Which side or which part of the server ended a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Initiator {
    /// The backpressure policy closed a slow consumer.
    Backpressure,
    /// The client closed, or its connection ended.
    Client,
    /// Something failed: protocol, network, timeout, panic.
    Error,
    /// The application called `Session::close`.
    Server,
    /// The gateway shut down.
    Shutdown,
}

impl fmt::Display for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Backpressure => "backpressure",
            Self::Client => "client",
            Self::Error => "error",
            Self::Server => "server",
            Self::Shutdown => "shutdown",
        })
    }
}

/// Why and how a session ended.
///
/// The first cause is kept: whatever happens after it changes nothing here.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DisconnectInfo {
    /// The close code, sent or received; `None` where the connection ended without one.
    pub code: Option<CloseCode>,
    /// The close reason, or the gateway's own words where there was no close frame.
    pub reason: String,
    /// After what time, at the least, the client was asked to come back, where it was: with the close
    /// frame, whose reason is then JSON, `{"reason": "…", "retry_after": 2.5}`.
    pub retry_after: Option<Duration>,
    /// Who ended the session.
    pub initiator: Initiator,
    /// Whether this is an ordinary end: a close by either side, or a shutdown.
    pub expected: bool,
    /// When the cause was recorded, in UTC.
    pub at: SystemTime,
    /// The error behind it, where there was one.
    pub error: Option<Arc<BoxError>>,
}

impl DisconnectInfo {
    /// A record of an end that happens now.
    ///
    /// `expected` follows from the initiator: everything but an error and backpressure is.
    #[must_use]
    pub fn new(initiator: Initiator, code: Option<CloseCode>, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
            retry_after: None,
            initiator,
            expected: !matches!(initiator, Initiator::Backpressure | Initiator::Error),
            at: SystemTime::now(),
            error: None,
        }
    }

    /// Adds after what time, at the least, the client is asked to come back.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Attaches the error behind the end.
    #[must_use]
    pub fn with_error(mut self, error: impl Into<BoxError>) -> Self {
        self.error = Some(Arc::new(error.into()));
        self
    }
}

impl fmt::Display for DisconnectInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "closed by {}", self.initiator)?;
        if let Some(code) = self.code {
            write!(f, " with {code}")?;
        }
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_codes_are_refused_wherever_one_is_made() {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, u16::MAX] {
            assert_eq!(CloseCode::new(code), Err(InvalidCloseCode(code)));
            assert!(CloseCode::try_from(code).is_err(), "{code}");
            let stored = serde_json::from_value::<CloseCode>(code.into());
            let refused = stored.unwrap_err().to_string();
            assert!(refused.contains(&format!("got {code}")), "{refused}");
        }
        for code in [1000, 1001, 1011, 1014, 3000, 4999] {
            let made = CloseCode::new(code).unwrap();
            let stored = serde_json::to_value(made).unwrap();
            assert_eq!(stored, serde_json::json!(code));
            assert_eq!(serde_json::from_value::<CloseCode>(stored).unwrap(), made);
        }
    }

    #[test]
    fn an_end_reads_as_a_sentence() {
        let info = DisconnectInfo::new(Initiator::Error, Some(CloseCode::PONG_TIMEOUT), "no pong");
        assert_eq!(info.to_string(), "closed by error with 3012: no pong");
        assert!(!info.expected);
    }
}
