//! What can be said of a connection.

use std::fmt;

use tokio::time::Instant;

/// How it is with the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// An attempt runs. It has succeeded with the first word from the server, not when it opens.
    Connecting,
    /// There is a connection.
    Online,
    /// There is none until the next attempt.
    #[non_exhaustive]
    Waiting {
        /// When that is.
        until: Instant,
        /// Why the last one ended.
        why: End,
    },
    /// There will be none: the server asked to stay away, nobody is signed in, or it was closed.
    Ended(End),
}

impl State {
    /// Whether there is a connection.
    #[must_use]
    pub const fn is_online(&self) -> bool {
        matches!(self, Self::Online)
    }
}

/// Why a connection ended, or never was.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct End {
    /// The close code; 1006 where the connection ended without a word, and none where none opened.
    pub code: Option<u16>,
    /// The HTTP status with which the server refused the upgrade.
    pub status: Option<u16>,
    /// What the server, or this client, says of it, for people.
    pub reason: String,
    /// The reason is the application's own, and may have in it what mustn't be logged.
    is_private: bool,
}

/// How much of a reason is logged, in bytes.
const LOGGED: usize = 128;

impl End {
    pub(crate) fn closed(code: u16, reason: impl Into<String>) -> Self {
        Self {
            code: Some(code),
            status: None,
            reason: reason.into(),
            is_private: false,
        }
    }

    /// In the words of the application.
    pub(crate) fn private(reason: String) -> Self {
        Self {
            is_private: true,
            ..Self::unopened(reason)
        }
    }

    /// The reason for a log: in one line, and cut.
    pub(crate) fn shown(&self) -> String {
        match self.is_private {
            true => "there is no token now".to_owned(),
            false => escaped(&self.reason, LOGGED),
        }
    }

    pub(crate) fn unopened(reason: impl Into<String>) -> Self {
        Self {
            code: None,
            status: None,
            reason: reason.into(),
            is_private: false,
        }
    }
}

/// In one line, and no longer than so many bytes.
fn escaped(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        let before = shown.len();
        shown.extend(c.escape_debug());
        if shown.len() > most {
            shown.truncate(before);
            break;
        }
    }
    shown
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.status) {
            (Some(code), _) => write!(f, "{code}")?,
            (None, Some(status)) => write!(f, "HTTP status {status}")?,
            (None, None) => return f.write_str(&self.reason),
        }
        match &*self.reason {
            "" => Ok(()),
            reason => write!(f, ": {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_of_a_reason_is_short_however_it_is_escaped() {
        let end = |reason: &str| End::closed(4000, reason).shown();
        assert_eq!(end("a\nb"), "a\\nb");
        assert_eq!(end(&"x".repeat(200)), "x".repeat(LOGGED));
        // Each is nine bytes.
        assert_eq!(
            end(&"\u{e0001}".repeat(40)),
            "\\u{e0001}".repeat(LOGGED / 9)
        );
        assert_eq!(end(&"\u{0}".repeat(200)).len(), LOGGED);
        assert_eq!(end(&"ä".repeat(200)), "ä".repeat(LOGGED / 2));
    }
}
