//! A member of a room, as other members see it.

use realtime_core::IdentityKey;
use serde::Serialize;

/// Who, and the number of the change by which they came or went.
#[derive(Debug, Serialize)]
pub(crate) struct Shown<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    tenant: &'a str,
    version: u64,
}

impl<'a> Shown<'a> {
    pub(crate) fn new(identity: &'a IdentityKey, version: u64) -> Self {
        Self {
            id: identity.id(),
            tenant: identity.tenant(),
            version,
        }
    }
}
