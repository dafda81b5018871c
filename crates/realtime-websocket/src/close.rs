//! Close codes and the payload of a close frame.

use std::fmt;

use crate::Violation;

/// A close code. Any number can be held; few may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the endpoint goes away.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a kind of data that is not accepted.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1007: text that isn't UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: refused by policy.
    pub const POLICY: Self = Self(1008);
    /// 1009: a message that is too big.
    pub const TOO_BIG: Self = Self(1009);
    /// 1011: the server failed.
    pub const INTERNAL: Self = Self(1011);

    /// The code with this number.
    #[must_use]
    pub const fn new(code: u16) -> Self {
        Self(code)
    }

    /// The number.
    #[must_use]
    pub const fn as_u16(self) -> u16 {
        self.0
    }

    /// Whether the code may stand in a close frame: RFC 6455, section 7.4, and the codes that
    /// were registered since.
    #[must_use]
    pub const fn is_sendable(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a close frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseFrame {
    /// Why the connection is closed.
    pub code: CloseCode,
    /// The same for people; may be empty.
    pub reason: String,
}

impl CloseFrame {
    /// Reads the payload of a close frame; an empty one says nothing.
    pub(crate) fn parse(payload: &[u8]) -> Result<Option<Self>, Violation> {
        let (code, reason) = match payload {
            [] => return Ok(None),
            [_] => return Err(Violation::BadClose),
            [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
        };
        let code = CloseCode(code);
        if !code.is_sendable() {
            return Err(Violation::BadClose);
        }
        let reason = std::str::from_utf8(reason).map_err(|_| Violation::BadUtf8)?;
        Ok(Some(Self {
            code,
            reason: reason.to_owned(),
        }))
    }
}
