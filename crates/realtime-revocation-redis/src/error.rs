//! From what the pool says to the errors of revocations.

use fred::error::Error;
use realtime_core::revocation::{RevocationError, RevocationErrorKind};
use realtime_redis::{
    InvalidDeployment,
    pool::{Fault, PoolError},
};

const CORRUPT: &str =
    "expected the keys that revocations write; found something else under one of their names";

pub(crate) fn revocation_error(error: PoolError) -> RevocationError {
    match error {
        PoolError::Closed => {
            RevocationError::new(RevocationErrorKind::Unavailable, "the store is closed")
        }
        PoolError::NoRuntime => {
            let context = "expected to be called on a Tokio runtime";
            RevocationError::new(RevocationErrorKind::InvalidOption, context)
        }
        PoolError::Redis(error) => failed(error),
    }
}

fn failed(error: Error) -> RevocationError {
    let fault = Fault::of(&error);
    let kind = match fault {
        Fault::Config => RevocationErrorKind::InvalidOption,
        // It heals when it is revoked again, or ends.
        Fault::Corrupt | Fault::Unavailable => RevocationErrorKind::Unavailable,
    };
    RevocationError::new(kind, fault.advice(&error, CORRUPT)).with_source(error)
}

/// An answer that none of our scripts gives.
pub(crate) fn unreadable() -> RevocationError {
    RevocationError::new(RevocationErrorKind::Unavailable, CORRUPT)
}

/// What lies in the place of a revocation is none, so nobody knows whether there is one. `whose` is
/// no name of somebody's.
pub(crate) fn unreadable_revocation(whose: &str) -> RevocationError {
    let context = format!(
        "expected the revocation of {whose}, or none; found something else under its key: revoke it \
         again, or remove the key"
    );
    RevocationError::new(RevocationErrorKind::Unavailable, context)
}

pub(crate) fn is_corrupt(error: &PoolError) -> bool {
    matches!(error, PoolError::Redis(error) if Fault::of(error) == Fault::Corrupt)
}

pub(crate) fn invalid_deployment(error: InvalidDeployment) -> RevocationError {
    let invalid = RevocationError::new(RevocationErrorKind::InvalidOption, error.what);
    match error.source {
        Some(source) => invalid.with_source(source),
        None => invalid,
    }
}
