//! What a store answers.

use super::Revocation;

/// What was revoked since some position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Revoked {
    /// What was revoked.
    pub revocations: Vec<Revocation>,
    /// From where to go on.
    pub next: u64,
    /// Whether more is known already.
    pub more: bool,
}

impl Revoked {
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
