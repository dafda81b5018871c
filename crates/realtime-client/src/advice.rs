//! What the end of a connection asks of a client: `docs/protocol.md` has the table.

use std::time::Duration;

use serde::Deserialize;

/// No server is believed that it wants its clients away for longer.
pub(crate) const LONGEST_SLOT: Duration = Duration::from_secs(600);

/// What to do after an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Come back.
    Back,
    /// Come back, and not at once.
    Later,
    /// Come back with a fresh token.
    Expired,
    /// The token is no good. One fresh token is worth a try, no more.
    Refused,
    /// Don't come back.
    Away,
}

impl Advice {
    pub(crate) const fn of_close(code: u16) -> Self {
        match code {
            3005 => Self::Expired,
            3500 => Self::Refused,
            3501..=3999 | 4500..=4999 => Self::Away,
            // What led to it would lead to it again at once.
            1002 | 1003 | 1007 | 1008 | 1009 | 1011 | 1013 | 3013 => Self::Later,
            _ => Self::Back,
        }
    }

    /// Of an answer to the upgrade that isn't 101.
    pub(crate) const fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Refused,
            // The next try would be the same.
            400 | 403 | 405 | 426 => Self::Away,
            _ => Self::Later,
        }
    }
}

/// A reason for people, and when to come back, where the server says so: then the reason of a close
/// frame is JSON, `{"reason": "…", "retry_after": 2.5}`.
pub(crate) fn read_reason(text: &str) -> (String, Option<Duration>) {
    #[derive(Deserialize)]
    struct Said {
        #[serde(default)]
        reason: String,
        retry_after: Option<f64>,
    }
    match serde_json::from_str::<Said>(text) {
        Ok(said) => (said.reason, said.retry_after.and_then(slot)),
        Err(_) => (text.to_owned(), None),
    }
}

/// Seconds that a server has named, bounded.
pub(crate) fn slot(seconds: f64) -> Option<Duration> {
    let slot = Duration::try_from_secs_f64(seconds).ok()?;
    Some(slot.min(LONGEST_SLOT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_may_name_when_to_come_back() {
        let (reason, wait) = read_reason(r#"{"reason":"a new version","retry_after":2.5}"#);
        assert_eq!(
            (&*reason, wait),
            ("a new version", Some(Duration::from_millis(2500)))
        );
        assert_eq!(read_reason("{ no JSON"), ("{ no JSON".to_owned(), None));
        let (_, wait) = read_reason(r#"{"retry_after":1e300}"#);
        assert_eq!(wait, None);
        assert_eq!(slot(1e9), Some(LONGEST_SLOT));
        assert_eq!(slot(-1.0), None);
    }

    #[test]
    fn who_is_asked_to_stay_away_stays_away() {
        for code in [3501, 3504, 3506, 3999, 4500, 4999] {
            assert_eq!(Advice::of_close(code), Advice::Away, "{code}");
        }
        for code in [1000, 1001, 1005, 1006, 3000, 3012, 3499, 4000, 4499] {
            assert_eq!(Advice::of_close(code), Advice::Back, "{code}");
        }
    }
}
