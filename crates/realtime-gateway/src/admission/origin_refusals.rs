//! What the log says of pages that may not connect.
//!
//! A browser shows its user nothing but a closed connection. A proxy that rewrites `Host` makes
//! every page a stranger, so this is a line that must be seen; anybody can cause it, so it must not
//! be a flood. A host that has by far the most refusals most likely keeps its line from minute to
//! minute, whatever others a stranger makes up.

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
/// Among how many hosts it is found out which is refused most often.
const COUNTED: usize = 16;

/// Logs refused origins: one for a host, and for the first few of these in a minute, at warn level,
/// the others at debug level. A place among the few is kept for the host that was refused most often
/// in the minute before.
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
    /// Which of all hosts are refused most often in it.
    often: Often,
    /// The one that was in the minute before.
    kept: Option<u64>,
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
            self.kept = std::mem::take(&mut self.often).most();
        }
        self.often.add(host);
        let is_others = |kept: u64| kept != host && !self.said.contains(&kept);
        let places = HOSTS - usize::from(self.kept.is_some_and(is_others));
        if self.said.len() >= places || self.said.contains(&host) {
            self.left_out += 1;
            return None;
        }
        self.said.push(host);
        Some(std::mem::take(&mut self.left_out))
    }
}

/// Finds the most frequent among any number of hosts with a few counters (Misra and Gries): one that
/// is a sixteenth of all is among them.
#[derive(Debug, Default)]
struct Often(Vec<(u64, u64)>);

impl Often {
    fn add(&mut self, host: u64) {
        let Self(counted) = self;
        if let Some((_, count)) = counted.iter_mut().find(|(known, _)| *known == host) {
            *count += 1;
        } else if counted.len() < COUNTED {
            counted.push((host, 1));
        } else {
            counted.retain_mut(|(_, count)| {
                *count -= 1;
                *count > 0
            });
        }
    }

    fn most(self) -> Option<u64> {
        let Self(counted) = self;
        let most = counted.into_iter().max_by_key(|(_, count)| *count);
        most.map(|(host, _)| host)
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

    #[test]
    fn a_host_that_is_refused_all_the_time_keeps_its_line() {
        let (mut lines, start) = (Lines::default(), Instant::now());
        let mut made_up = 100_u64..;
        let mut strangers = |lines: &mut Lines, now| {
            let asked = made_up.by_ref().take(10);
            asked
                .filter(|host| lines.turn(*host, now).is_some())
                .count()
        };
        assert_eq!(strangers(&mut lines, start), HOSTS);
        for _ in 0..10 {
            assert_eq!(lines.turn(1, start), None);
        }
        for minute in 1..4 {
            let now = start + MINUTE * minute;
            assert_eq!(strangers(&mut lines, now), HOSTS - 1);
            assert!(lines.turn(1, now).is_some());
            for _ in 0..9 {
                assert_eq!(lines.turn(1, now), None);
            }
            assert_eq!(strangers(&mut lines, now), 0);
        }
    }
}
