//! The end of a gateway that can take its time: nobody new, then one session after the other.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep, sleep_until};

use super::{Gateway, ShutdownReport, pace::Pace};
use crate::session::EndCause;

/// How many sessions are closed until other tasks have a turn.
const TURN: usize = 128;

/// What a drain was asked for.
#[derive(Debug, Default)]
pub(super) struct Leaving(Mutex<Option<Asked>>);

#[derive(Debug, Clone, Copy)]
struct Asked {
    at: Instant,
    over: Duration,
}

impl Leaving {
    /// The first who asks says how long it takes.
    fn ask(&self, over: Duration) {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.get_or_insert(Asked {
            at: Instant::now(),
            over,
        });
    }

    fn asked(&self) -> Option<Asked> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gateway {
    /// Ends the gateway so that its clients don't come back as a herd: closes its sessions evenly over
    /// this time, and [shuts down](Self::shutdown) after it.
    ///
    /// 1. From now on new upgrades are refused with 503 and `Retry-After`, and the node says that it
    ///    isn't [ready](crate::Readyz). All sessions go on as before, for
    ///    [`Config::drain_notice`](crate::Config::drain_notice): until balancers have noticed.
    /// 2. The sessions that are there then are closed with 1001, one after the other. Each client is
    ///    told when to come back, `{"reason": "…", "retry_after": 0.4}` in the close reason, and those
    ///    of this project obey. All others go on, in rooms and with other nodes, until it is their
    ///    turn.
    /// 3. What is left is shut down: from here on
    ///    [`Config::shutdown_timeout`](crate::Config::shutdown_timeout) counts.
    ///
    /// `serve` does it when its signal comes, with [`Config::drain_over`](crate::Config::drain_over).
    /// Several calls are one drain, and the first says how long it takes. A `shutdown` that is called
    /// meanwhile ends the drain, and closes all that is left at once.
    ///
    /// # Cancel safety
    /// Dropped before it returns, the drain goes on to its end. Call it again for the report.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use realtime::{CloseCode, Identity};
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// let report = gateway.drain(Duration::from_secs(20)).await;
    /// assert_eq!((report.sessions, report.aborted), (1, 0));
    /// # assert_eq!(ann.closed().await?.code, Some(CloseCode::GOING_AWAY));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn drain(&self, over: Duration) -> ShutdownReport {
        let node = self.node();
        if node.is_draining() {
            // Then it is what the other call has begun, though this may set an earlier deadline.
            self.set_deadline(node.config.shutdown_timeout);
        } else {
            self.0.shutdown.leaving.ask(over);
            node.leaving.cancel();
        }
        self.join_shutdown().await
    }

    /// Closes one session after the other, where that was asked for, and returns once all of them
    /// are, or a shutdown has begun.
    pub(super) async fn leave(&self) {
        let node = self.node();
        if let Some(asked) = self.0.shutdown.leaving.asked() {
            let evenly = self.leave_evenly(asked);
            if node.drain.run_until_cancelled(evenly).await.is_some() {
                self.set_deadline(node.config.shutdown_timeout);
            }
        }
        node.drain.cancel();
    }

    async fn leave_evenly(&self, Asked { at, over }: Asked) {
        let node = self.node();
        // Another task may have waited for it before: its runtime was dropped.
        let noticed = node.config.drain_notice.unwrap_or_default();
        sleep(noticed.saturating_sub(at.elapsed())).await;
        let (sessions, begun) = (node.hub.all(), Instant::now());
        tracing::info!(
            target: crate::log_targets::SHUTDOWN,
            sessions = sessions.len(), ?over, "sessions are being closed, one after the other",
        );
        let pace = Pace::new(sessions.len(), over);
        let mut since_turn = 0;
        for (nth, session) in sessions.into_iter().enumerate() {
            let due = pace.ends_after(nth);
            if due > begun.elapsed() {
                since_turn = 0;
                match begun.checked_add(due) {
                    Some(due) => sleep_until(due).await,
                    // Later than any clock goes: a shutdown comes first.
                    None => std::future::pending().await,
                }
            }
            session.end(EndCause::Drained(pace.slot(nth)));
            since_turn += 1;
            if since_turn == TURN {
                since_turn = 0;
                tokio::task::yield_now().await;
            }
        }
    }
}
