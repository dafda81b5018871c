//! Moments, and what they are the beginning of.

use std::time::Instant;

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
