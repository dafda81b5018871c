//! The last errors of the server, for who looks at its node: none, without the feature `admin`.

#[cfg(feature = "admin")]
pub(super) use on::Recent;
#[cfg(feature = "admin")]
pub use on::RecentError;

/// Nothing is kept.
#[cfg(not(feature = "admin"))]
#[derive(Debug)]
pub(super) struct Recent;

#[cfg(not(feature = "admin"))]
impl Recent {
    pub(super) const fn new() -> Self {
        Self
    }

    #[inline(always)]
    pub(super) const fn keep(&self, _: &crate::ErrorContext) {}
}

#[cfg(feature = "admin")]
mod on {
    use std::{
        collections::VecDeque,
        sync::{Mutex, MutexGuard, PoisonError},
        time::SystemTime,
    };

    use realtime_core::SessionId;
    use serde::Serialize;

    use crate::{ErrorContext, Session, escape::Chain, rarely::Rarely};

    /// How many are kept.
    const KEPT: usize = 64;
    /// How many a minute: a failure that comes with every message is not to be written down each time.
    const A_MINUTE: u32 = 120;

    /// An error of the server, not of a client: those are counted in [`Stats`](crate::Stats) alone.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    #[non_exhaustive]
    pub struct RecentError {
        /// When it happened, in milliseconds since 1970.
        pub at_ms: u64,
        /// Where: the name of an [`ErrorStage`](crate::ErrorStage).
        pub stage: String,
        /// What happened, with its causes, as the log has it: escaped, and at most 512 bytes.
        pub error: String,
        /// The session it happened to, where there is one.
        pub session_id: Option<SessionId>,
        /// How many others were left out before it: no more than 120 a minute are kept.
        pub left_out: u64,
    }

    #[derive(Debug)]
    pub(in crate::reports) struct Recent {
        turns: Rarely,
        errors: Mutex<VecDeque<RecentError>>,
    }

    impl Recent {
        pub(in crate::reports) fn new() -> Self {
            Self {
                turns: Rarely::new(A_MINUTE),
                errors: Mutex::default(),
            }
        }

        fn lock(&self) -> MutexGuard<'_, VecDeque<RecentError>> {
            self.errors.lock().unwrap_or_else(PoisonError::into_inner)
        }

        pub(in crate::reports) fn keep(&self, context: &ErrorContext) {
            let Some(left_out) = self.turns.turn() else {
                return;
            };
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            // Foreign words, so not under the lock.
            let error = RecentError {
                at_ms: since.map_or(0, |since| since.as_millis() as u64),
                stage: format!("{:?}", context.stage()),
                error: Chain(context.error()).to_string(),
                session_id: context.session().map(Session::id),
                left_out,
            };
            let mut errors = self.lock();
            if errors.len() == KEPT {
                errors.pop_front();
            }
            errors.push_back(error);
        }

        /// The newest first.
        pub(in crate::reports) fn all(&self) -> Vec<RecentError> {
            self.lock().iter().rev().cloned().collect()
        }
    }
}
