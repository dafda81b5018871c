//! The names of an identity's keys.

use std::hash::{DefaultHasher, Hash, Hasher};

use fred::types::Key;
use realtime_core::{IdentityKey, Namespace};

/// The leases and the records of an identity.
///
/// In braces is what a cluster chooses the slot by. The tenant's length stands before it, so that
/// `a:b`, `c` and `a`, `b:c` differ.
pub(crate) fn of(namespace: &Namespace, identity: &IdentityKey) -> [Key; 2] {
    let (tenant, id) = (identity.tenant(), identity.id());
    let base = format!("rt:{namespace}:{{{}:{tenant}:{id}}}", tenant.len());
    [
        Key::from(format!("{base}:l")),
        Key::from(format!("{base}:r")),
    ]
}

/// Which of so many connections an identity's commands go through, so that they keep their order.
pub(crate) fn connection(identity: &IdentityKey, connections: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    identity.hash(&mut hasher);
    (hasher.finish() % connections.max(1) as u64) as usize
}
