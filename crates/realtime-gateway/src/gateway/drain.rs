//! The end of a gateway that can take its time: nobody new, then one session after the other.

use std::{pin::pin, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{Gateway, ShutdownReport};
use crate::session::EndCause;

/// How many sessions are closed until other tasks have a turn.
const TURN: usize = 128;
/// How often it is looked whether anybody is left.
const LOOK: Duration = Duration::from_secs(1);
/// The closes spread the clients' returns; a moment for each makes up for what is between two closes,
/// and no more than this.
const LONGEST_SLOT: Duration = Duration::from_secs(1);

/// When the sessions are closed, once that was asked for.
#[derive(Debug)]
pub(super) struct Plan(watch::Sender<Option<Window>>);

#[derive(Debug, Clone, Copy)]
struct Window {
    begins: Instant,
    /// `None`: later than any clock goes.
    ends: Option<Instant>,
}

impl Window {
    fn ends_before(&self, other: &Self) -> bool {
        match (self.ends, other.ends) {
            (Some(mine), Some(others)) => mine < others,
            (mine, None) => mine.is_some(),
            (None, Some(_)) => false,
        }
    }

    /// When it is the next one's turn, where so many come after that.
    fn next(&self, last: Instant, left: usize) -> Option<Instant> {
        let share = u32::try_from(left).unwrap_or(u32::MAX).saturating_add(1);
        Some(last + self.ends?.saturating_duration_since(last) / share)
    }

    /// How long after its end, which is now, a client is to come back: before the next one's turn.
    fn slot(&self, now: Instant, left: usize) -> Duration {
        let next = self.next(now, left);
        let longest = next.map_or(LONGEST_SLOT, |next| (next - now).min(LONGEST_SLOT));
        longest.mul_f64(fastrand::f64())
    }
}

impl Plan {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Of several who ask, the earliest end counts.
    fn ask(&self, begins: Instant, over: Duration) {
        let asked = Window {
            begins,
            ends: begins.checked_add(over),
        };
        self.0.send_if_modified(|window| match window {
            Some(window) if !asked.ends_before(window) => false,
            Some(window) => {
                window.ends = asked.ends;
                true
            }
            None => {
                *window = Some(asked);
                true
            }
        });
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
    /// Of several calls, the earliest end counts. A `shutdown` that is called meanwhile ends the drain,
    /// and closes all that is left at once.
    ///
    /// A handler or a hook that awaits it goes on, and keeps its session from its end, until it is that
    /// one's turn: there is [`begin_drain`](Self::begin_drain).
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
        self.ask_to_drain(over);
        self.join_shutdown().await
    }

    /// Begins a [drain](Self::drain) and doesn't wait for it, for handlers and hooks. Where the runtime
    /// goes on which it was begun, it is finished on another one that has sessions of this gateway.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use realtime::{Gateway, Router};
    /// # use realtime::{CloseCode, Identity};
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// /// A message of an operator takes the node out of service.
    /// async fn retire(gateway: Gateway) {
    ///     gateway.begin_drain(Duration::from_secs(60));
    /// }
    ///
    /// let gateway = realtime::builder().router(Router::new().route("retire", retire)).build()?;
    /// # let mut operator = connect(&gateway, Identity::new("operator")).await?;
    /// # operator.send("retire", ()).await?;
    /// # assert_eq!(operator.closed().await?.code, Some(CloseCode::GOING_AWAY));
    /// # assert_eq!(gateway.shutdown().await.sessions, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn begin_drain(&self, over: Duration) {
        self.ask_to_drain(over);
        self.drive_shutdown();
    }

    fn ask_to_drain(&self, over: Duration) {
        let node = self.node();
        if node.is_ending() {
            // Then it is what the other call has begun, though this may set an earlier deadline.
            self.set_deadline(node.config.shutdown_timeout);
        } else {
            let notice = node.config.drain_notice.unwrap_or_default();
            let begins = Instant::now() + notice;
            self.0.shutdown.plan.ask(begins, over);
            node.begin_draining(begins);
        }
    }

    /// Closes one session after the other, where that was asked for, and returns once all of them
    /// are, or somebody has no time for it.
    pub(super) async fn leave(&self) {
        let (node, shutdown) = (self.node(), &self.0.shutdown);
        let plan = shutdown.plan.0.subscribe();
        let evenly = pin!(self.leave_evenly(plan));
        if let Some(true) = shutdown.hurry.run_until_cancelled(evenly).await {
            self.set_deadline(node.config.shutdown_timeout);
        }
        node.ending.cancel();
    }

    /// Returns whether there was a plan.
    async fn leave_evenly(&self, mut plan: watch::Receiver<Option<Window>>) -> bool {
        let current = |plan: &mut watch::Receiver<Option<Window>>| *plan.borrow_and_update();
        let Some(mut window) = current(&mut plan) else {
            return false;
        };
        sleep_until(window.begins).await;
        let node = self.node();
        let sessions = node.hub.all();
        self.0.shutdown.begin(sessions.len(), node.stats());
        tracing::info!(
            target: crate::log_targets::SHUTDOWN,
            sessions = sessions.len(), "the sessions are being closed, one after the other",
        );
        let (mut left, mut turn, mut due) = (sessions.len(), 0, Instant::now());
        for session in sessions {
            left -= 1;
            if session.is_closed() {
                continue;
            }
            let last = due;
            session.end(EndCause::Drained(window.slot(last, left)));
            due = loop {
                window = current(&mut plan).unwrap_or(window);
                let (next, now) = (window.next(last, left), Instant::now());
                if let Some(next) = next
                    && next <= now
                {
                    break next;
                }
                turn = 0;
                if node.hub.len() == 0 {
                    return true;
                }
                let look = next.map_or(now + LOOK, |next| next.min(now + LOOK));
                tokio::select! {
                    () = sleep_until(look) => {}
                    Ok(()) = plan.changed() => {}
                }
            };
            turn += 1;
            if turn == TURN {
                turn = 0;
                tokio::task::yield_now().await;
            }
        }
        true
    }
}
