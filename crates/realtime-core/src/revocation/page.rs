//! What a store answers who asks what was revoked since.

use super::Revocation;

/// What was revoked since some position, or the beginning of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// What was revoked.
    pub revocations: Vec<Revocation>,
    /// From where to go on.
    pub next: u64,
    /// Whether more is known already.
    pub more: bool,
}

impl Page {
    /// These, and from where to go on.
    #[must_use]
    pub const fn new(revocations: Vec<Revocation>, next: u64, more: bool) -> Self {
        Self {
            revocations,
            next,
            more,
        }
    }
}
