//! The same names where nothing is measured: no size, no instruction.

use std::time::Duration;

use realtime_core::DisconnectInfo;

use super::{Call, Noted, Outcome, Received, Size};

// No `Copy`, since the one that measures isn't either.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp;

#[derive(Debug, Default)]
pub(crate) struct Stamps;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RouteNumber;

#[derive(Debug, Default)]
pub(crate) struct Patterns;

#[derive(Debug, Default)]
pub(crate) struct Timing(());

impl Stamp {
    #[inline(always)]
    pub(crate) const fn now() -> Self {
        Self
    }
}

impl Stamps {
    #[inline(always)]
    pub(crate) fn of(_: impl Iterator<Item = Stamp>) -> Self {
        Self
    }
}

impl Patterns {
    #[inline(always)]
    pub(crate) fn add(&mut self, _: impl FnOnce() -> String) -> RouteNumber {
        RouteNumber
    }
}

impl Timing {
    #[inline(always)]
    pub(crate) const fn size(&self) -> Size {
        Size::of(0)
    }
}

impl Metrics {
    #[inline(always)]
    pub(crate) fn new(_: &str, _: &'static str, _: Patterns) -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn begin(&self, _: Size, _: impl FnOnce() -> Option<RouteNumber>) -> Timing {
        Timing(())
    }

    #[inline(always)]
    pub(crate) fn handled(&self, _: &Timing, _: impl FnOnce() -> Outcome) {}

    #[inline(always)]
    pub(crate) const fn received(&self, _: Received, _: Size) {}

    #[inline(always)]
    pub(crate) const fn dropped(&self, _: Size) {}

    #[inline(always)]
    pub(crate) const fn unsent(&self, _: Size) {}

    #[inline(always)]
    pub(crate) const fn moved(&self, _: Noted, _: Noted) {}

    #[inline(always)]
    pub(crate) const fn taken(&self, _: &Stamps) {}

    #[inline(always)]
    pub(crate) const fn carried(&self, _: &Stamps) {}

    #[inline(always)]
    pub(crate) const fn round_trip(&self, _: Option<Duration>) {}

    #[inline(always)]
    pub(crate) const fn relayed(&self) {}

    /// The call itself.
    #[inline(always)]
    pub(crate) const fn call<T, E, F: Future<Output = Result<T, E>>>(&self, _: Call, call: F) -> F {
        call
    }

    #[inline(always)]
    pub(crate) const fn authenticated(&self, _: Stamp, _: Option<&'static str>) {}

    #[inline(always)]
    pub(crate) const fn refused(&self, _: &'static str) {}

    #[inline(always)]
    pub(crate) const fn closed(&self, _: &DisconnectInfo) {}

    #[inline(always)]
    pub(crate) const fn joined(&self, _: &'static str) {}

    #[inline(always)]
    pub(crate) const fn recovered(&self, _: &'static str) {}

    #[inline(always)]
    pub(crate) const fn leases(&self, _: &'static str, _: usize) {}
}

const _: () = assert!(
    size_of::<Metrics>() == 0
        && size_of::<Stamp>() == 0
        && size_of::<Stamps>() == 0
        && size_of::<RouteNumber>() == 0
        && size_of::<Patterns>() == 0
        && size_of::<Timing>() == 0
        && size_of::<Size>() == 0
);
