//! The end of a gateway.

use std::time::Duration;

use realtime_core::{broker::Broker, presence::Presence};
use tokio::time::{Instant, timeout};

use super::Gateway;
use crate::session::going_away;

/// After how many sessions a shutdown lets other tasks have a turn.
const TURN: usize = 128;
/// How long the broker and presence may take to be closed, each.
const CLOSE: Duration = Duration::from_secs(5);
/// How long what was cut off at the deadline may take to be gone.
const ABORT: Duration = Duration::from_secs(2);

/// What a shutdown did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// The sessions that were open when it began.
    pub sessions: usize,
    /// Those of them that were cut off at the deadline. Their `on_disconnect` hooks did not run.
    pub aborted: usize,
    /// Tasks of the gateway that still run, though they were told to end: a handler that blocks
    /// its thread, say. Normally 0.
    pub tasks_left: usize,
}

/// How things were when the shutdown began, for a report that is right even if the call that
/// began it was dropped and another one finishes.
#[derive(Debug)]
pub(super) struct Begun {
    sessions: usize,
    aborted: u64,
}

impl Gateway {
    /// Ends the gateway, within the configured `shutdown_timeout`.
    ///
    /// New upgrades are refused with 503, every session is closed with 1001 and drained, its
    /// hooks run, and then the broker and presence are closed. When it returns, nothing of the
    /// gateway runs any more. It is idempotent: later calls return the first one's report.
    ///
    /// Don't await it in a handler or a hook, which it waits for: use
    /// [`begin_shutdown`](Self::begin_shutdown) there.
    ///
    /// # Cancel safety
    /// Dropped before it returns, the gateway stays closed to new sessions; call it again to
    /// finish. The report is then still that of the whole shutdown.
    pub async fn shutdown(&self) -> ShutdownReport {
        self.run_shutdown(self.shared().config.shutdown_timeout)
            .await
    }

    /// The same within another time. Of several calls, the earliest deadline counts.
    pub async fn shutdown_within(&self, limit: Duration) -> ShutdownReport {
        self.run_shutdown(Some(limit)).await
    }

    /// Begins the shutdown and doesn't wait for it, for handlers and hooks.
    pub fn begin_shutdown(&self) {
        self.shared().drain.cancel();
        let gateway = self.clone();
        tokio::spawn(async move { gateway.shutdown().await });
    }

    /// Waits for a shutdown that somebody else has begun, within their time, and finishes it if they
    /// don't.
    #[cfg(feature = "server")]
    pub(crate) async fn join_shutdown(&self) -> ShutdownReport {
        self.run_shutdown(None).await
    }

    async fn run_shutdown(&self, limit: Option<Duration>) -> ShutdownReport {
        if let Some(limit) = limit {
            let mine = Instant::now() + limit;
            self.0.deadline.send_if_modified(|deadline| {
                let sooner = deadline.is_none_or(|others| mine < others);
                if sooner {
                    *deadline = Some(mine);
                }
                sooner
            });
        }
        *self.0.shutdown.get_or_init(|| self.drain_all()).await
    }

    /// Waits for the deadline, which another call may set or bring forward meanwhile.
    async fn deadline(&self) {
        let mut changes = self.0.deadline.subscribe();
        loop {
            let deadline = *changes.borrow_and_update();
            let passed = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = passed => return,
                Ok(()) = changes.changed() => {}
            }
        }
    }

    async fn drain_all(&self) -> ShutdownReport {
        let shared = self.shared();
        shared.drain.cancel();
        let sessions = shared.hub.all();
        let begun = self.0.shutdown_begun.get_or_init(|| Begun {
            sessions: sessions.len(),
            aborted: shared.stats.snapshot().aborted,
        });
        let drained = async {
            for (turn, session) in sessions.iter().enumerate() {
                if turn % TURN == TURN - 1 {
                    tokio::task::yield_now().await;
                }
                session.end(going_away());
            }
            shared.tasks.close();
            shared.tasks.wait().await;
        };
        tokio::select! {
            biased;
            () = drained => {}
            () = self.deadline() => {
                let left = shared.hub.len();
                shared.abort.cancel();
                for session in shared.hub.all() {
                    session.end(going_away());
                }
                let gone = timeout(ABORT, shared.tasks.wait()).await;
                tracing::warn!(
                    target: "realtime::shutdown",
                    left, all_gone = gone.is_ok(), "cut off at the shutdown deadline",
                );
            }
        }
        shared.stop.cancel();
        shared.background.close();
        // Each has bounds of its own; these are for what doesn't keep them.
        let _bounded = timeout(ABORT, shared.background.wait()).await;
        // What the background tasks reported last.
        let _bounded = timeout(ABORT, shared.tasks.wait()).await;
        let _bounded = timeout(CLOSE, shared.broker.close()).await;
        let _bounded = timeout(CLOSE, shared.presence.close()).await;
        let aborted = (shared.stats.snapshot().aborted - begun.aborted) as usize;
        ShutdownReport {
            sessions: begun.sessions.max(aborted),
            aborted,
            tasks_left: shared.tasks.len() + shared.background.len(),
        }
    }
}
