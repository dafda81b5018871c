//! Up to where a session has read the log of its shard.

/// A place in the log, or nowhere. As small as a number, since each session has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor(u64);

impl Cursor {
    /// The session doesn't follow the log.
    pub(super) const NOWHERE: Self = Self(u64::MAX);

    pub(super) const fn at(place: u64) -> Self {
        Self(place)
    }

    pub(super) fn place(self) -> Option<u64> {
        (self != Self::NOWHERE).then_some(self.0)
    }
}
