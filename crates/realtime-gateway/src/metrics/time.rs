//! Moments, and what they are the beginning of.

use std::time::Instant;

/// How a ping begins: a whole message, of opcode 9.
const PING: u8 = 0x89;

/// A moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp(pub(super) Instant);

impl Stamp {
    #[inline]
    pub(crate) fn now() -> Self {
        Self(Instant::now())
    }
}

/// The moments of several things, in their order.
#[derive(Debug, Default)]
pub(crate) struct Stamps(pub(super) Vec<Instant>);

impl Stamps {
    pub(crate) fn of(stamps: impl Iterator<Item = Stamp>) -> Self {
        Self(stamps.map(|Stamp(at)| at).collect())
    }
}

/// Since when something is waited for, while it is.
#[derive(Debug, Default)]
pub(crate) struct Awaited(pub(super) Option<Instant>);

impl Awaited {
    /// The answer to this frame is waited for from now on, and no longer that to the one before. A
    /// dialect's own ping is answered by a message of the dialect's, and by no pong.
    pub(crate) fn begin(&mut self, ping: &[u8]) {
        let is_websocket_ping = ping.first() == Some(&PING);
        self.0 = is_websocket_ping.then(Instant::now);
    }
}

/// A pattern of the router, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RouteNumber(pub(super) u32);

/// The patterns of a router, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Patterns(pub(super) Vec<String>);

impl Patterns {
    /// One more, as it is written in labels.
    pub(crate) fn add(&mut self, pattern: impl FnOnce() -> String) -> RouteNumber {
        let number = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.push(pattern());
        RouteNumber(number)
    }
}

/// When a message came to its handler, and by which pattern.
#[derive(Debug, Default)]
pub(crate) struct Timing(pub(super) Option<(Instant, Option<RouteNumber>)>);
