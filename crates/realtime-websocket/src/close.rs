//! The payload of a close frame, and which codes may stand in one.
//!
//! A code is a plain number here: what the numbers mean is for the layer above to say.

use crate::Violation;

/// What a close frame says.
///
/// ```
/// use realtime_websocket::{Decoder, Event, Limits, Role, frame};
///
/// let sent = frame::close(1000, "bye");
/// let event = Decoder::new(Role::Client, Limits::default()).decode(&mut &sent[..])?;
/// let Some(Event::Close(Some(close))) = event else { unreachable!() };
/// assert_eq!((close.code, &close.reason[..]), (1000, "bye"));
/// # Ok::<(), realtime_websocket::Violation>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseFrame {
    /// Why the connection is closed: a code that [may be sent](is_sendable_close_code).
    pub code: u16,
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
            [high, low, ..] => u16::from_be_bytes([high, low]),
        };
        if !is_sendable_close_code(code) {
            return Err(Violation::BadClose);
        }
        payload.drain(..2);
        let reason = String::from_utf8(payload).map_err(|_| Violation::BadUtf8)?;
        Ok(Some(Self { code, reason }))
    }
}

/// Whether the code may stand in a close frame: those of RFC 6455, section 7.4, less the ones that
/// only an API reports (1005, 1006, 1015), and 1012 to 1014, registered since.
///
/// ```
/// use realtime_websocket::is_sendable_close_code;
///
/// assert!(is_sendable_close_code(1000) && is_sendable_close_code(4000));
/// assert!(!is_sendable_close_code(1006));
/// ```
#[must_use]
pub const fn is_sendable_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_that_may_be_sent_are_these() {
        let sendable: Vec<u16> = (0..=u16::MAX)
            .filter(|code| is_sendable_close_code(*code))
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
        assert_eq!(
            parse(b"\x03\xe8"),
            Ok(Some(CloseFrame { code: 1000, reason }))
        );
    }
}
