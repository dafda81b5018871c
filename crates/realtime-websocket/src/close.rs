//! Close codes and the payload of a close frame.

use std::fmt;

use crate::Violation;

/// A close code. Any number can be held; few may be sent.
///
/// ```
/// use realtime_websocket::CloseCode;
///
/// assert_eq!(CloseCode::new(1000), CloseCode::NORMAL);
/// assert!(CloseCode::new(4000).is_sendable());
/// assert!(!CloseCode::new(1006).is_sendable());
/// ```
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
    /// 1012: the server restarts.
    pub const RESTART: Self = Self(1012);
    /// 1013: the server can't serve this now; try again later.
    pub const TRY_AGAIN: Self = Self(1013);

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

    /// Whether the code may stand in a close frame: those of RFC 6455, section 7.4, less the ones
    /// that only an API reports (1005, 1006, 1015), and 1012 to 1014, registered since.
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
///
/// ```
/// use realtime_websocket::{CloseCode, Decoder, Event, Limits, Role, frame};
///
/// let sent = frame::close(CloseCode::NORMAL, "bye");
/// let event = Decoder::new(Role::Client, Limits::default()).decode(&mut &sent[..])?;
/// let Some(Event::Close(Some(close))) = event else { unreachable!() };
/// assert_eq!((close.code, &close.reason[..]), (CloseCode::NORMAL, "bye"));
/// # Ok::<(), realtime_websocket::Violation>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseFrame {
    /// Why the connection is closed.
    pub code: CloseCode,
    /// The same for people; may be empty.
    pub reason: String,
}

impl CloseFrame {
    /// Reads the payload of a close frame; an empty one says nothing. The payload's memory becomes
    /// the reason's.
    pub(crate) fn parse(mut payload: Vec<u8>) -> Result<Option<Self>, Violation> {
        let code = match payload[..] {
            [] => return Ok(None),
            [_] => return Err(Violation::BadClose),
            [high, low, ..] => CloseCode(u16::from_be_bytes([high, low])),
        };
        if !code.is_sendable() {
            return Err(Violation::BadClose);
        }
        payload.drain(..2);
        let reason = String::from_utf8(payload).map_err(|_| Violation::BadUtf8)?;
        Ok(Some(Self { code, reason }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_that_may_be_sent_are_these() {
        let sendable: Vec<u16> = (0..=u16::MAX)
            .filter(|code| CloseCode(*code).is_sendable())
            .collect();
        let low = [
            1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
        ];
        assert_eq!(sendable[..12], low);
        assert!(sendable[12..].iter().copied().eq(3000..5000));
    }

    #[test]
    fn a_payload_is_nothing_or_a_code_and_a_reason() {
        let parse = |payload: &[u8]| CloseFrame::parse(payload.to_vec());
        assert_eq!(parse(b""), Ok(None));
        assert_eq!(parse(b"\x03"), Err(Violation::BadClose));
        assert_eq!(parse(b"\x03\xed"), Err(Violation::BadClose));
        assert_eq!(parse(b"\x03\xe8\xff"), Err(Violation::BadUtf8));
        let reason = String::new();
        let code = CloseCode::NORMAL;
        assert_eq!(parse(b"\x03\xe8"), Ok(Some(CloseFrame { code, reason })));
    }
}
