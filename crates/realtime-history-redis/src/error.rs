//! From what the pool says to the errors of histories.

use fred::error::Error;
use realtime_core::history::{HistoryError, HistoryErrorKind};
use realtime_redis::{
    InvalidDeployment,
    pool::{Fault, PoolError},
};

const CORRUPT: &str =
    "expected the keys that histories write; found something else under their names";

pub(crate) fn history_error(error: PoolError) -> HistoryError {
    match error {
        PoolError::Closed => HistoryError::new(HistoryErrorKind::Closed, "the history is closed"),
        PoolError::NoRuntime => {
            let context = "expected to be called on a Tokio runtime";
            HistoryError::new(HistoryErrorKind::Config, context)
        }
        PoolError::Redis(error) => failed(error),
    }
}

fn failed(error: Error) -> HistoryError {
    let fault = Fault::of(&error);
    let kind = match fault {
        Fault::Config => HistoryErrorKind::Config,
        Fault::Corrupt => HistoryErrorKind::Corrupt,
        Fault::Unavailable => HistoryErrorKind::Unavailable,
    };
    HistoryError::new(kind, fault.advice(&error, CORRUPT)).with_source(error)
}

/// An answer that none of our scripts gives.
pub(crate) fn unreadable() -> HistoryError {
    HistoryError::new(HistoryErrorKind::Corrupt, CORRUPT)
}

pub(crate) fn invalid_deployment(error: InvalidDeployment) -> HistoryError {
    let invalid = HistoryError::new(HistoryErrorKind::Config, error.what);
    match error.source {
        Some(source) => invalid.with_source(source),
        None => invalid,
    }
}
