//! What the log says of pages that may not connect.
//!
//! A browser shows its user nothing but a closed connection. A proxy that rewrites `Host` makes
//! every page a stranger, so this is a line that must be seen; anybody can cause it, so it must not
//! be a flood.

use std::{borrow::Cow, fmt};

use http::{
    HeaderMap, HeaderName, Version,
    header::{HOST, ORIGIN},
    request::Parts,
};

use crate::{escape::Escaped, rarely::Rarely};

/// Logs refused origins: one a minute at warn level, the others at debug level.
#[derive(Debug)]
pub(super) struct OriginRefusals(Rarely);

impl OriginRefusals {
    pub(super) fn new() -> Self {
        Self(Rarely::new(1))
    }

    pub(super) fn log(&self, request: &Parts) {
        let origin = Shown(&request.headers, &ORIGIN);
        let host = ShownHost(request);
        match self.0.turn() {
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
