//! From fred's errors to presence's.

use fred::error::{Error, ErrorKind};
use realtime_core::presence::{PresenceError, PresenceErrorKind};

pub(crate) fn invalid(context: String) -> PresenceError {
    PresenceError::new(PresenceErrorKind::Config, context)
}

pub(crate) fn unavailable(context: impl Into<std::borrow::Cow<'static, str>>) -> PresenceError {
    PresenceError::new(PresenceErrorKind::Unavailable, context)
}

pub(crate) fn closed() -> PresenceError {
    PresenceError::new(PresenceErrorKind::Closed, "presence is closed")
}

/// What Redis said, or that it said nothing.
pub(crate) fn failed(what: &'static str, error: Error) -> PresenceError {
    let told = error.details();
    let starts = |words: &[&str]| words.iter().any(|word| told.starts_with(word));
    let kind = if *error.kind() == ErrorKind::Auth || starts(&["NOAUTH", "WRONGPASS", "NOPERM"]) {
        PresenceErrorKind::Config
    } else if starts(&["WRONGTYPE"]) || matches!(error.kind(), ErrorKind::Parse) {
        PresenceErrorKind::Corrupt
    } else {
        // Down, slow, out of memory, read-only, loading, moving slots: all of it may heal.
        PresenceErrorKind::Unavailable
    };
    PresenceError::new(kind, format!("Redis did not {what}")).with_source(error)
}
