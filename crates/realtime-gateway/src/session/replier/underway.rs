//! The handler that has taken a replier, until it returns.

use std::sync::Arc;

use realtime_core::BoxError;

use super::{
    asked::{Asked, Repliers, Stage},
    unanswered::unanswered,
};
use crate::{Session, session::Env};

/// The handler that has taken a replier, until it returns.
pub(crate) struct Underway(pub(super) Option<Taken>);

impl Underway {
    /// The handler has returned this.
    pub(crate) fn ended(self, result: Result<(), BoxError>) -> Result<(), BoxError> {
        let Some(taken) = &self.0 else {
            return result;
        };
        let mut stage = taken.asked.stage.lock();
        match (*stage, &result) {
            (Stage::Handling, Ok(())) => *stage = Stage::Deferred,
            (Stage::LetGo, Ok(())) => {
                *stage = Stage::Failed;
                return Err(unanswered().into());
            }
            (Stage::Handling | Stage::LetGo, Err(_)) => *stage = Stage::Failed,
            _ => {}
        }
        let is_deferred = *stage == Stage::Deferred;
        drop(stage);
        if result.is_ok() {
            // What fails later isn't this handler.
            taken.repliers.0.lock().current = None;
        }
        if is_deferred {
            taken.wait();
        }
        result
    }
}

impl Drop for Underway {
    /// A handler that was given up is answered for by who has done that.
    fn drop(&mut self) {
        if let Some(taken) = &self.0 {
            let mut stage = taken.asked.stage.lock();
            if matches!(*stage, Stage::Handling | Stage::LetGo) {
                *stage = Stage::Failed;
            }
        }
    }
}

/// What it has taken.
pub(super) struct Taken {
    pub(super) number: u64,
    pub(super) asked: Arc<Asked>,
    pub(super) repliers: Arc<Repliers>,
    pub(super) session: Session,
}

impl Taken {
    /// From now on the answer has its time.
    fn wait(&self) {
        let Env {
            clock,
            replier_timeout,
            ..
        } = self.session.env();
        let Some(timeout) = *replier_timeout else {
            return;
        };
        let until = clock.after(timeout);
        {
            let mut table = self.repliers.0.lock();
            // One that was answered meanwhile isn't to be waited for.
            if *self.asked.stage.lock() != Stage::Deferred {
                return;
            }
            let waiting = (until, Arc::clone(&self.asked));
            table.waiting.insert(self.number, waiting);
        }
        if self.session.wake_at().no_later_than(until) {
            self.session.wake();
        }
    }
}
