//! An attempt to come into a room, which is counted however it ends.

use super::Session;
use crate::JoinError;

/// What has come of an attempt that has succeeded.
const OK: &str = "ok";

/// Counted when it is dropped, so that one that its rule has never answered counts, too.
#[derive(Debug)]
#[must_use = "it is counted when it is dropped"]
pub(crate) struct Attempt {
    session: Session,
    /// What was missed is to be recovered with it.
    recovers: bool,
    outcome: Option<&'static str>,
}

impl Attempt {
    pub(crate) const fn begin(session: Session, recovers: bool) -> Self {
        Self {
            session,
            recovers,
            outcome: None,
        }
    }

    /// A step of it: where that has failed, this is what has come of it.
    pub(crate) fn step<T, E>(&mut self, outcome: &'static str, step: Result<T, E>) -> Result<T, E> {
        if step.is_err() {
            self.outcome = Some(outcome);
        }
        step
    }

    /// The last step.
    pub(crate) fn ends<T>(mut self, entered: &Result<T, JoinError>) {
        let outcome = entered.as_ref().map_or_else(|e| e.kind().name(), |_| OK);
        self.outcome = Some(outcome);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        // Without an outcome its time is up, or its rule has panicked.
        let (metrics, outcome) = (
            &self.session.env().metrics,
            self.outcome.unwrap_or("failed"),
        );
        metrics.joined(outcome);
        // What has become of the others is known where it is decided.
        if self.recovers && outcome != OK {
            metrics.recovered("failed");
        }
    }
}
