//! The end of a gateway.

use std::time::Duration;

use realtime_core::{broker::Broker, presence::Presence};

use super::Gateway;
use crate::session::going_away;

/// After how many sessions a shutdown lets other tasks have a turn.
const TURN: usize = 128;
/// How long what was cut off at the deadline may take to be gone.
const ABORT: Duration = Duration::from_secs(2);

/// What a shutdown did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// The sessions that were open when it began.
    pub sessions: usize,
    /// Those of them that were cut off at the deadline.
    pub aborted: usize,
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

    /// The same within another time.
    pub async fn shutdown_within(&self, limit: Duration) -> ShutdownReport {
        self.run_shutdown(Some(limit)).await
    }

    /// Begins the shutdown and doesn't wait for it, for handlers and hooks.
    pub fn begin_shutdown(&self) {
        self.shared().drain.cancel();
        let gateway = self.clone();
        tokio::spawn(async move { gateway.shutdown().await });
    }

    async fn run_shutdown(&self, limit: Option<Duration>) -> ShutdownReport {
        *self.0.shutdown.get_or_init(|| self.drain_all(limit)).await
    }

    async fn drain_all(&self, limit: Option<Duration>) -> ShutdownReport {
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
        match limit {
            Some(limit) => {
                if tokio::time::timeout(limit, drained).await.is_err() {
                    let left = shared.hub.len();
                    shared.abort.cancel();
                    let gone = tokio::time::timeout(ABORT, shared.tasks.wait()).await;
                    tracing::warn!(
                        target: "realtime::shutdown",
                        left, all_gone = gone.is_ok(), "cut off at the shutdown deadline",
                    );
                }
            }
            None => drained.await,
        }
        shared.stop.cancel();
        shared.background.close();
        shared.background.wait().await;
        // What the background tasks reported last.
        let _bounded = tokio::time::timeout(ABORT, shared.tasks.wait()).await;
        shared.broker.close().await;
        shared.presence.close().await;
        let aborted = (shared.stats.snapshot().aborted - begun.aborted) as usize;
        ShutdownReport {
            sessions: begun.sessions.max(aborted),
            aborted,
        }
    }
}
