//! Errors that no caller sees: to the error hooks, or to the log where there are none.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use realtime_core::BoxError;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::{
    ErrorContext, ErrorStage, Session,
    escape::Chain,
    guarded::{Whose, guarded},
    handling::{Hooks, Host},
    stats::Counters,
};

/// How many reports may be under way to the error hooks at once.
const UNDER_WAY: usize = 256;

/// Passes errors on.
pub(crate) struct Reports {
    hooks: Arc<Hooks>,
    host: Arc<OnceLock<Host>>,
    limit: Option<Duration>,
    stats: Arc<Counters>,
    /// The hooks run in tasks of their own.
    tasks: TaskTracker,
    places: Arc<Semaphore>,
}

impl Reports {
    pub(crate) fn new(
        hooks: Arc<Hooks>,
        host: Arc<OnceLock<Host>>,
        limit: Option<Duration>,
        stats: Arc<Counters>,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            hooks,
            host,
            limit,
            stats,
            tasks,
            places: Arc::new(Semaphore::new(UNDER_WAY)),
        }
    }

    /// Whether the application has hooks for errors.
    pub(crate) fn has_hooks(&self) -> bool {
        !self.hooks.error.is_empty()
    }

    /// Passes an error to the hooks, or to the log where there are none.
    pub(crate) fn report(
        &self,
        stage: ErrorStage,
        error: impl Into<BoxError>,
        session: Option<Session>,
    ) {
        let context = ErrorContext::new(stage, error, session);
        if self.hooks.error.is_empty() {
            let session = context.session().map(Session::id);
            tracing::warn!(target: crate::log_targets::ERROR, ?stage, ?session, error = %Chain(context.error()));
            return;
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.stats.errors_unreported.add(1);
            return;
        };
        let hooks = Arc::clone(&self.hooks);
        let host = self.host.get().cloned().unwrap_or_default();
        let limit = self.limit;
        self.tasks.spawn(async move {
            for hook in &hooks.error {
                let called = async { hook(host.clone(), context.clone()).await };
                let ran = guarded(Whose::Hook, limit, called).await;
                if !matches!(ran, Ok(Ok(()))) {
                    tracing::warn!(target: crate::log_targets::ERROR, ?stage, "an error hook failed");
                }
            }
            drop(place);
        });
    }
}

impl std::fmt::Debug for Reports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reports").finish_non_exhaustive()
    }
}
