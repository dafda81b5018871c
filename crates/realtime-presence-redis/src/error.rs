//! From what the pool says to the errors of presence.

use fred::error::Error;
use realtime_core::presence::{PresenceError, PresenceErrorKind};
use realtime_redis::{
    InvalidDeployment,
    pool::{Fault, PoolError},
};

pub(crate) fn presence_error(error: PoolError) -> PresenceError {
    match error {
        PoolError::Closed => PresenceError::new(PresenceErrorKind::Closed, "presence is closed"),
        PoolError::NoRuntime => {
            let context = "expected to be called on a Tokio runtime";
            PresenceError::new(PresenceErrorKind::Config, context)
        }
        PoolError::Redis(error) => failed(error),
    }
}

fn failed(error: Error) -> PresenceError {
    let fault = Fault::of(&error);
    let kind = match fault {
        Fault::Config => PresenceErrorKind::Config,
        Fault::Corrupt => PresenceErrorKind::Corrupt,
        Fault::Unavailable => PresenceErrorKind::Unavailable,
    };
    let corrupt = "expected the keys that presence writes; found something else under their names";
    PresenceError::new(kind, fault.advice(&error, corrupt)).with_source(error)
}

pub(crate) fn invalid_deployment(error: InvalidDeployment) -> PresenceError {
    let invalid = PresenceError::new(PresenceErrorKind::Config, error.what);
    match error.source {
        Some(source) => invalid.with_source(source),
        None => invalid,
    }
}
