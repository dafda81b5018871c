//! What the log says of pages that may not connect.
//!
//! A browser shows its user nothing but a closed connection. A proxy that rewrites `Host` makes
//! every page a stranger, so this is a line that must be seen; anybody can cause it, so it must not
//! be a flood, and one host must not take the place of what is said of another.

use std::{
    borrow::Cow,
    fmt,
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

use http::{
    HeaderMap, HeaderName, Version,
    header::{HOST, ORIGIN},
    request::Parts,
};

use crate::{escape::Escaped, sync::Mutex};

/// For how long lines are counted.
const MINUTE: Duration = Duration::from_secs(60);
/// Of how many hosts something is said in it.
const HOSTS: usize = 4;

/// Logs refused origins: one for a host, and for the first few of these in a minute, at warn level, the
/// others at debug level.
#[derive(Debug, Default)]
pub(super) struct OriginRefusals {
    lines: Mutex<Lines>,
    /// A stranger can't choose a host that looks like another.
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Lines {
    /// When the present minute began.
    begun: Option<Instant>,
    /// The hosts of which something was said in it.
    said: Vec<u64>,
    /// How many lines were left out since the last one.
    left_out: u64,
}

impl Lines {
    /// Returns how many lines were left out before, if there may be one of this host.
    fn turn(&mut self, host: u64, now: Instant) -> Option<u64> {
        let is_over = |begun| now.saturating_duration_since(begun) >= MINUTE;
        if self.begun.is_none_or(is_over) {
            self.begun = Some(now);
            self.said.clear();
        }
        if self.said.len() == HOSTS || self.said.contains(&host) {
            self.left_out += 1;
            return None;
        }
        self.said.push(host);
        Some(std::mem::take(&mut self.left_out))
    }
}

impl OriginRefusals {
    pub(super) fn log(&self, request: &Parts) {
        let origin = Shown(&request.headers, &ORIGIN);
        let host = ShownHost(request);
        let known = self.hasher.hash_one(host.to_string());
        let turn = self.lines.lock().turn(known, Instant::now());
        match turn {
            Some(left_out) => tracing::warn!(
                target: crate::log_targets::ADMISSION, %origin, %host, left_out,
                "refused with 403: the page's origin is not that of the host; if it is yours, \
                 list the origin in origin_patterns, or let the proxy pass on the Host header",
            ),
            None => tracing::debug!(
                target: crate::log_targets::ADMISSION, %origin, %host, "the origin may not connect",
            ),
        }
    }
}

/// What the origin was compared with.
struct ShownHost<'r>(&'r Parts);

impl fmt::Display for ShownHost<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(request) = self;
        match request.uri.authority() {
            Some(authority) if request.version == Version::HTTP_2 => {
                write!(f, "{}", Escaped(authority.as_str()))
            }
            _ => Shown(&request.headers, &HOST).fmt(f),
        }
    }
}

/// A header as a peer wrote it, escaped and cut.
struct Shown<'h>(&'h HeaderMap, &'h HeaderName);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(headers, name) = self;
        let values = headers.get_all(*name).into_iter();
        let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()));
        // A second one is reason enough for the refusal.
        let values: Vec<Cow<'_, str>> = values.take(2).collect();
        write!(f, "{}", Escaped(&values.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_hosts_have_a_line_a_minute_each() {
        let (mut lines, start) = (Lines::default(), Instant::now());
        for host in [1, 2, 3, 4] {
            assert_eq!(lines.turn(host, start), Some(0));
        }
        for host in [1, 4, 5, 6] {
            assert_eq!(lines.turn(host, start + MINUTE / 2), None);
        }
        assert_eq!(lines.turn(5, start + MINUTE), Some(4));
        assert_eq!(lines.turn(5, start + MINUTE), None);
        assert_eq!(lines.turn(1, start + MINUTE), Some(1));
    }
}
