//! What a client is told last: the close frame, and what its dialect says before it.

use std::{borrow::Cow, time::Duration};

use bytes::{Bytes, BytesMut};
use realtime_core::{BoxError, DisconnectInfo, Initiator, dialect::Closing};
use realtime_websocket::frame;
use serde::Serialize;

use crate::{
    ErrorStage, Session,
    dialects::Encoder,
    guarded::{Whose, caught},
    node::Node,
};

/// The close frame of a session, behind what its dialect says of it.
pub(super) fn last_words(node: &Node, session: &Session, info: &DisconnectInfo) -> Bytes {
    let code = match (info.initiator, info.code) {
        (_, None) => return frame::close_without_code(),
        // Its own back.
        (Initiator::Client, Some(code)) => return frame::close(code.as_u16(), &info.reason),
        (_, Some(code)) => code,
    };
    let closing = Closing::new(code, &info.reason).with_retry_after(info.retry_after);
    let report = |error: BoxError| node.report(ErrorStage::Message, error, Some(session.clone()));
    close_in(session.encoder(), &closing, report)
}

/// A close frame as a client's protocol has it, behind what that says of it. A dialect that fails, or
/// panics, costs its part of this.
pub(crate) fn close_in(
    encoder: &Encoder,
    closing: &Closing<'_>,
    report: impl FnOnce(BoxError),
) -> Bytes {
    let said = caught(Whose::Codec, || {
        let before = encoder.closing(closing);
        (before, encoder.close_code(closing.code))
    });
    let (before, code) = match said {
        Ok((Ok(before), code)) => (before, code),
        Ok((Err(error), code)) => {
            report(error.into());
            (None, code)
        }
        Err(broken) => {
            report(broken.into());
            (None, closing.code)
        }
    };
    let frame = frame::close(code.as_u16(), &reason(closing));
    match before {
        None => frame,
        Some(before) => {
            let mut both = BytesMut::with_capacity(before.len() + frame.len());
            both.extend_from_slice(&before);
            both.extend_from_slice(&frame);
            both.freeze()
        }
    }
}

/// For people; and for clients where they are told when to come back.
fn reason<'c>(closing: &Closing<'c>) -> Cow<'c, str> {
    let Some(wait) = closing.retry_after else {
        return Cow::Borrowed(closing.reason);
    };
    let retry_after = seconds(wait);
    // Half a JSON would tell nobody anything.
    let mut reason = closing.reason;
    loop {
        let said = serde_json::to_string(&Said {
            reason,
            retry_after,
        });
        match said {
            Ok(said) if said.len() <= MAX_REASON => return Cow::Owned(said),
            Ok(_) if !reason.is_empty() => {
                let last = reason.char_indices().next_back();
                reason = &reason[..last.map_or(0, |(at, _)| at)];
            }
            _ => return Cow::Borrowed(closing.reason),
        }
    }
}

/// How many bytes the reason of a close frame has at the most.
const MAX_REASON: usize = 123;

#[derive(Serialize)]
struct Said<'a> {
    reason: &'a str,
    retry_after: f64,
}

/// Whole milliseconds.
fn seconds(wait: Duration) -> f64 {
    let milliseconds = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
    f64::from(milliseconds) / 1_000.0
}

#[cfg(test)]
mod tests {
    use realtime_core::CloseCode;

    use super::*;

    #[test]
    fn a_reason_is_shortened_and_never_half_a_json() {
        let wait = Duration::from_millis(2_500);
        for (long, is_whole) in [
            ("bye".to_owned(), true),
            ("\u{1}".repeat(100), false),
            ("\u{1F600}\"".repeat(100), false),
        ] {
            let closing = Closing::new(CloseCode::GOING_AWAY, &long).with_retry_after(Some(wait));
            let said = reason(&closing);
            assert!(said.len() <= MAX_REASON, "{said}");
            let said: serde_json::Value = serde_json::from_str(&said).unwrap();
            assert_eq!(said["retry_after"], 2.5);
            let words = said["reason"].as_str().unwrap();
            assert!(long.starts_with(words) && !words.is_empty());
            assert_eq!(long == words, is_whole);
        }
    }
}
