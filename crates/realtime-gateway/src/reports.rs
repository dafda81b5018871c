//! Errors that no caller sees: to the error hooks, or to the log where there are none.

mod recent;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use realtime_core::BoxError;
use tokio::sync::Semaphore;

use recent::Recent;
#[cfg(feature = "admin")]
pub use recent::RecentError;

use crate::{
    ErrorContext, ErrorStage, Session,
    escape::Chain,
    guarded::{Whose, guarded},
    handling::{Hooks, Host},
    quiet::drop_quietly,
    rarely::Rarely,
    stats::Counters,
    tasks::Tasks,
};

/// How many reports may be under way to the error hooks at once.
const UNDER_WAY: usize = 256;

/// How many lines a minute each stage may write: anybody can make a handler fail, and as often as
/// they like.
const LINES: u32 = 20;

/// How many lines a minute there may be of mistakes of clients, all of them together.
const MISTAKE_LINES: u32 = 100;

/// Who has to do something about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The client, or the network to it: nothing that a server's log must say.
    Client,
    Server,
}

/// Passes errors on.
pub(crate) struct Reports {
    hooks: Arc<Hooks>,
    host: Arc<OnceLock<Host>>,
    limit: Option<Duration>,
    stats: Arc<Counters>,
    /// For who looks at the node.
    recent: Recent,
    /// The hooks run in tasks of their own.
    tasks: Tasks,
    places: Arc<Semaphore>,
    /// Of the log, one for each stage.
    lines: [Rarely; STAGES],
    /// Of the log, for mistakes of clients, whichever.
    mistake_lines: Rarely,
    /// Of the log, for hooks that failed.
    hook_lines: Arc<Rarely>,
    /// Of the log, for the links of the backends, which may come and go all the time.
    link_lines: Rarely,
    /// Of the log, for sessions that presence did not let go of at the deadline.
    pub(crate) cut_off_lines: Rarely,
}

/// How many stages there are.
const STAGES: usize = ErrorStage::Disconnect as usize + 1;

impl Reports {
    pub(crate) fn new(
        hooks: Arc<Hooks>,
        host: Arc<OnceLock<Host>>,
        limit: Option<Duration>,
        stats: Arc<Counters>,
        tasks: Tasks,
    ) -> Self {
        Self {
            hooks,
            host,
            limit,
            stats,
            recent: Recent::new(),
            tasks,
            places: Arc::new(Semaphore::new(UNDER_WAY)),
            lines: std::array::from_fn(|_| Rarely::new(LINES)),
            mistake_lines: Rarely::new(MISTAKE_LINES),
            hook_lines: Arc::new(Rarely::new(LINES)),
            link_lines: Rarely::new(LINES),
            cut_off_lines: Rarely::new(LINES),
        }
    }

    /// The last errors of the server, the newest first.
    #[cfg(feature = "admin")]
    pub(crate) fn recent(&self) -> Vec<RecentError> {
        self.recent.all()
    }

    /// Whether the application has hooks for errors.
    pub(crate) fn has_hooks(&self) -> bool {
        !self.hooks.error.is_empty()
    }

    /// Passes an error to the hooks, or to the log where there are none: at warn level what the
    /// server is to blame for, though not every line of a flood, and the rest at debug level.
    pub(crate) fn report(
        &self,
        fault: Fault,
        stage: ErrorStage,
        error: impl Into<BoxError>,
        session: Option<Session>,
    ) {
        let context = ErrorContext::new(stage, error, session);
        if fault == Fault::Server {
            self.recent.keep(&context);
        }
        match self.has_hooks() {
            true => self.tell_hooks(stage, context),
            false => self.log(fault, &context),
        }
    }

    fn tell_hooks(&self, stage: ErrorStage, context: ErrorContext) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.stats.errors_unreported.add(1);
            return;
        };
        let (hooks, lines) = (Arc::clone(&self.hooks), Arc::clone(&self.hook_lines));
        let host = self.host.get().cloned().unwrap_or_default();
        let limit = self.limit;
        let called = async move {
            for hook in &hooks.error {
                let called = async { hook(host.clone(), context.clone()).await };
                let ran = guarded(Whose::Hook, limit, called).await;
                let failed = !matches!(ran, Ok(Ok(())));
                drop_quietly(ran);
                if failed && let Some(left_out) = lines.turn() {
                    tracing::warn!(
                        target: crate::log_targets::ERROR, ?stage, left_out, "an error hook failed",
                    );
                }
            }
            drop(place);
        };
        let mut called = Box::pin(called);
        self.tasks
            .spawn(|mut mark| async move { mark.around(called.as_mut()).await });
    }

    /// Passes on what a client has done wrong, as it may do as often as it likes: of all that it
    /// does, and of all that others do, the log has a few lines a minute.
    pub(crate) fn report_mistake(
        &self,
        stage: ErrorStage,
        error: impl Into<BoxError>,
        session: Session,
        lines: &Rarely,
    ) {
        let error = error.into();
        if self.has_hooks() {
            return self.report(Fault::Client, stage, error, Some(session));
        }
        if let Some(left_out) = lines.turn() {
            let Some(of_others) = self.mistake_lines.turn() else {
                lines.give_back(left_out);
                return;
            };
            let (session, error) = (session.id(), Chain(&*error));
            tracing::debug!(
                target: crate::log_targets::ERROR, ?stage, %session, %error, left_out, of_others,
            );
        }
    }

    /// Passes on what has become of the link to a backend. The log has it in one line, under the
    /// backend's own target, whether or not there are hooks: the backend itself says it at debug
    /// level only.
    pub(crate) fn link(&self, stage: ErrorStage, said: String) {
        let context = ErrorContext::new(stage, said, None);
        self.keep_and_tell(&context);
        let said = Chain(context.error());
        match (stage, turn(&self.link_lines)) {
            (ErrorStage::Authentication, Some(left_out)) => tracing::warn!(
                target: crate::log_targets::REVOCATION, left_out, "{said}",
            ),
            (ErrorStage::Presence, Some(left_out)) => tracing::warn!(
                target: crate::log_targets::PRESENCE, left_out, "{said}",
            ),
            (ErrorStage::History, Some(left_out)) => tracing::warn!(
                target: crate::log_targets::HISTORY, left_out, "{said}",
            ),
            (_, Some(left_out)) => tracing::warn!(
                target: crate::log_targets::BROKER, left_out, "{said}",
            ),
            (_, None) => {}
        }
    }

    /// Passes on that a background task has died: the log has it as an error of our own, whether or not
    /// there are hooks.
    pub(crate) fn died(&self, task: &'static str, error: impl Into<BoxError>) {
        let context = ErrorContext::new(ErrorStage::Background, error, None);
        self.keep_and_tell(&context);
        let lines = self.lines.get(ErrorStage::Background as usize);
        if let Some(left_out) = lines.and_then(turn) {
            tracing::error!(
                target: crate::log_targets::BACKGROUND, task, error = %Chain(context.error()),
                left_out, "a background task died and is started again",
            );
        }
    }

    /// Before the log, whose layers are the program's and may panic.
    fn keep_and_tell(&self, context: &ErrorContext) {
        self.recent.keep(context);
        if self.has_hooks() {
            self.tell_hooks(context.stage(), context.clone());
        }
    }

    fn log(&self, fault: Fault, context: &ErrorContext) {
        let (stage, session) = (context.stage(), context.session().map(Session::id));
        let error = Chain(context.error());
        let turn = match fault {
            Fault::Client => None,
            Fault::Server => self.lines.get(stage as usize).and_then(Rarely::turn),
        };
        match turn {
            None => tracing::debug!(
                target: crate::log_targets::ERROR, ?stage, ?session, %error,
            ),
            Some(0) => tracing::warn!(
                target: crate::log_targets::ERROR, ?stage, ?session, %error,
            ),
            Some(left_out) => tracing::warn!(
                target: crate::log_targets::ERROR, ?stage, ?session, %error, left_out,
            ),
        }
    }
}

/// Whether a line may be written, and how many were left out before it, if any were.
fn turn(lines: &Rarely) -> Option<Option<u64>> {
    let left_out = lines.turn()?;
    Some((left_out > 0).then_some(left_out))
}

impl std::fmt::Debug for Reports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reports").finish_non_exhaustive()
    }
}
