//! Moments, and what they are the beginning of.

use std::time::{Duration, Instant};

use super::Size;

/// A moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp(pub(super) Instant);

impl Stamp {
    #[inline]
    pub(crate) fn now() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn age(self) -> Duration {
        self.0.elapsed()
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

/// When a message came to its handler, by which pattern, and how long it was.
#[derive(Debug, Default)]
pub(crate) struct Timing {
    /// `None` for one that has no need of a handler.
    pub(super) begun: Option<(Instant, Option<RouteNumber>)>,
    pub(super) size: Size,
}

impl Timing {
    pub(crate) const fn size(&self) -> Size {
        self.size
    }
}
