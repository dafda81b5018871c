//! The end of a gateway.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU8, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use realtime_core::{broker::Broker, history::History, presence::Presence};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Gateway, drain::Plan, pace::slot};
use crate::{Session, session::EndCause, stats::Counters};

/// After how many sessions a shutdown lets other tasks have a turn.
const TURN: usize = 128;
/// A client isn't asked to wait for less than this.
const WORTH_SAYING: Duration = Duration::from_millis(10);
/// How often a shutdown whose task panics is tried again.
const PANICS: u8 = 3;
/// How long what was cut off at the deadline may take to be gone.
const ABORT: Duration = Duration::from_secs(2);

/// What a shutdown did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// The sessions that were open when it began: when the first of them was closed.
    pub sessions: usize,
    /// Those of them that were cut off at the deadline. Their `on_disconnect` hooks did not run.
    pub aborted: usize,
    /// Tasks of the gateway that still run, though they were asked to end: a handler that blocks
    /// its thread, say. Normally 0; where a handler or a hook awaits the shutdown, those that do.
    pub tasks_left: usize,
}

/// How far the shutdown is.
#[derive(Debug)]
pub(super) struct Shutdown {
    /// What comes before it, where it was asked for.
    pub(super) plan: Plan,
    /// Cancelled where somebody has no time for that.
    pub(super) hurry: CancellationToken,
    begun: OnceLock<Begun>,
    /// When what still runs is cut off, once a caller has set it.
    deadline: watch::Sender<Option<Instant>>,
    progress: watch::Sender<Progress>,
    /// A task of its own runs it: its caller may go away.
    runs: AtomicBool,
    /// Another runtime is being looked for, since that of the task is gone.
    moves: AtomicBool,
    /// How often the task has panicked, in what it calls of others: a subscriber of the log, say.
    panics: AtomicU8,
}

/// What there is to report.
#[derive(Debug, Clone, Copy)]
enum Progress {
    Running,
    /// Of the tasks that it waits for, those are left that wait for it.
    WaitedFor(ShutdownReport),
    Over(ShutdownReport),
}

impl Shutdown {
    pub(super) fn new() -> Self {
        Self {
            plan: Plan::new(),
            hurry: CancellationToken::new(),
            begun: OnceLock::new(),
            deadline: watch::Sender::new(None),
            progress: watch::Sender::new(Progress::Running),
            runs: AtomicBool::new(false),
            moves: AtomicBool::new(false),
            panics: AtomicU8::new(0),
        }
    }

    /// Takes note of how things are when the first session is closed.
    pub(super) fn begin(&self, sessions: usize, stats: &Counters) -> &Begun {
        self.begun.get_or_init(|| Begun {
            sessions,
            aborted: stats.snapshot().aborted,
        })
    }

    fn is_over(&self) -> bool {
        matches!(*self.progress.borrow(), Progress::Over(_))
    }
}

/// How things were when the shutdown began, for a report that is right even if another task has to
/// finish it.
#[derive(Debug)]
pub(super) struct Begun {
    sessions: usize,
    aborted: u64,
}

/// Lets another task finish a shutdown whose task is dropped with its runtime: on another runtime of
/// the gateway, whether or not anybody waits for it.
struct Running(Gateway);

impl Drop for Running {
    fn drop(&mut self) {
        let Self(gateway) = self;
        let shutdown = &gateway.0.shutdown;
        if shutdown.is_over() {
            return;
        }
        if thread::panicking() && shutdown.panics.fetch_add(1, SeqCst) >= PANICS {
            // It would do so again. Who waits is told what has come of it.
            let report = gateway.report_as_it_is();
            shutdown.progress.send_replace(Progress::Over(report));
            return;
        }
        shutdown.runs.store(false, SeqCst);
        // A runtime that is gone, too, drops the task at once, so this is called within the call below:
        // that one goes on with the next runtime.
        while !shutdown.moves.swap(true, SeqCst) {
            let is_driven = gateway.drive_shutdown();
            shutdown.moves.store(false, SeqCst);
            // Else that runtime has gone meanwhile, and has found this one at it.
            if !is_driven || shutdown.is_over() || shutdown.runs.load(SeqCst) {
                break;
            }
        }
        // Those who wait look again.
        shutdown.progress.send_modify(|_| ());
    }
}

impl Gateway {
    /// Ends the gateway, within the configured `shutdown_timeout`.
    ///
    /// New upgrades are refused with 503, every session is closed with 1001 and drained, its
    /// hooks run, and then the broker, presence and history are closed. When it returns, nothing of the
    /// gateway runs any more. It is idempotent: later calls return the first one's report.
    ///
    /// All sessions are closed at once; where they are many, each client is told in the close reason
    /// when to come back, so that they don't all come at the same time. A node that can take its time
    /// [drains](Self::drain) first. Called while it does, this ends that.
    ///
    /// In a handler or a hook, which the shutdown waits for, use
    /// [`begin_shutdown`](Self::begin_shutdown). Where one awaits this, it returns as soon as all
    /// that is left of the sessions are tasks that await it, too: those are counted in
    /// [`tasks_left`](ShutdownReport::tasks_left), and the broker, presence and history are closed once they
    /// have ended. A handler that instead waits for another task that awaits this, waits until the
    /// deadline.
    ///
    /// # Cancel safety
    /// Dropped before it returns, the shutdown runs to its end. Call it again for the report.
    ///
    /// ```
    /// use realtime::{CloseCode, Identity};
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// let report = gateway.shutdown().await;
    /// assert_eq!((report.sessions, report.aborted), (1, 0));
    /// # assert_eq!(ann.closed().await?.code, Some(CloseCode::GOING_AWAY));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn shutdown(&self) -> ShutdownReport {
        self.run_shutdown(self.node().config.shutdown_timeout).await
    }

    /// The same within another time. Of several calls, the earliest deadline counts; one that is
    /// too far away to be a time at all is none.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// // A supervisor kills this process 5 s after it has asked it to end.
    /// let report = gateway.shutdown_within(Duration::from_secs(4)).await;
    /// if report.aborted > 0 {
    ///     eprintln!("{} sessions were cut off", report.aborted);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn shutdown_within(&self, limit: Duration) -> ShutdownReport {
        self.run_shutdown(Some(limit)).await
    }

    /// Begins the shutdown and doesn't wait for it, for handlers and hooks.
    ///
    /// ```
    /// use realtime::{Gateway, Router};
    /// # use realtime::{CloseCode, Identity};
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// /// A message of an operator ends the node.
    /// async fn end(gateway: Gateway) {
    ///     gateway.begin_shutdown();
    /// }
    ///
    /// let gateway = realtime::builder().router(Router::new().route("end", end)).build()?;
    /// # let mut operator = connect(&gateway, Identity::new("operator")).await?;
    /// # operator.send("end", ()).await?;
    /// # assert_eq!(operator.closed().await?.code, Some(CloseCode::GOING_AWAY));
    /// # assert_eq!(gateway.shutdown().await.sessions, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn begin_shutdown(&self) {
        self.hurry();
        self.set_deadline(self.node().config.shutdown_timeout);
        self.drive_shutdown();
    }

    async fn run_shutdown(&self, limit: Option<Duration>) -> ShutdownReport {
        self.hurry();
        self.set_deadline(limit);
        self.join_shutdown().await
    }

    fn hurry(&self) {
        self.0.shutdown.hurry.cancel();
        self.node().ending.cancel();
    }

    /// Waits until somebody has no time for a drain.
    #[cfg(feature = "server")]
    pub(crate) async fn hurried(&self) {
        self.0.shutdown.hurry.cancelled().await;
    }

    /// Waits for a drain or a shutdown that another caller has begun, within its time, and finishes
    /// it if that one doesn't.
    pub(crate) async fn join_shutdown(&self) -> ShutdownReport {
        let mut changes = self.0.shutdown.progress.subscribe();
        loop {
            let waits_within = self.node().tasks.waits_within();
            let progress = *changes.borrow_and_update();
            match progress {
                Progress::Over(report) => return report,
                Progress::WaitedFor(report) if waits_within => return report,
                Progress::Running | Progress::WaitedFor(_) => {}
            }
            // Without a runtime there is nothing to drain; and this holds the sender.
            if !self.drive_shutdown() || changes.changed().await.is_err() {
                self.node().ending.cancel();
                return ShutdownReport::default();
            }
        }
    }

    pub(super) fn set_deadline(&self, limit: Option<Duration>) {
        let Some(mine) = limit.and_then(|limit| Instant::now().checked_add(limit)) else {
            return;
        };
        self.0.shutdown.deadline.send_if_modified(|deadline| {
            let sooner = deadline.is_none_or(|others| mine < others);
            if sooner {
                *deadline = Some(mine);
            }
            sooner
        });
    }

    /// Sees to it that a task ends the gateway. Returns whether there is one: without a runtime
    /// neither a session nor a background task has ever run.
    pub(super) fn drive_shutdown(&self) -> bool {
        let shutdown = &self.0.shutdown;
        for runtime in self.background().runtimes() {
            if shutdown.is_over() || shutdown.runs.swap(true, SeqCst) {
                return true;
            }
            let running = Running(self.clone());
            let task = runtime.spawn(async move {
                let Running(gateway) = &running;
                gateway.leave().await;
                let report = gateway.drain_all().await;
                let over = Progress::Over(report);
                gateway.0.shutdown.progress.send_replace(over);
            });
            if !task.is_finished() || shutdown.is_over() {
                return true;
            }
            // The runtime is gone, and has dropped it at once.
        }
        false
    }

    /// Waits for the deadline, which another call may set or bring forward meanwhile.
    async fn deadline(&self) {
        let mut changes = self.0.shutdown.deadline.subscribe();
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
        let node = self.node();
        node.ending.cancel();
        let sessions = node.hub.all();
        let begun = self.0.shutdown.begin(sessions.len(), node.stats());
        // First of all: those who wait for their end would wait for this, too.
        node.tasks.close();
        let drained = async {
            end_each(&sessions).await;
            node.tasks.others_ended().await;
            // Handlers and hooks that wait for this very shutdown get an answer, and end.
            let report = self.report(begun, node.tasks.len());
            let waited_for = Progress::WaitedFor(report);
            self.0.shutdown.progress.send_replace(waited_for);
            node.tasks.ended().await;
        };
        tokio::select! {
            biased;
            () = drained => {}
            () = self.deadline() => {
                node.abort.cancel();
                // Those too that had ended already and finish what came before.
                end_each(&node.hub.all()).await;
                let _bounded = timeout(ABORT, node.tasks.ended()).await;
                // Afterwards: who has left the hub, and is in a hook, is cut off, too.
                let cut_off = node.stats().snapshot().aborted - begun.aborted;
                let tasks_left = node.tasks.len();
                if cut_off > 0 || tasks_left > 0 {
                    tracing::warn!(
                        target: crate::log_targets::SHUTDOWN,
                        cut_off, tasks_left, "sessions were cut off at the shutdown deadline",
                    );
                }
            }
        }
        node.stop();
        node.background.close();
        // Each has bounds of its own; these are for what doesn't keep them.
        let _bounded = timeout(ABORT, node.background.wait()).await;
        // What the background tasks reported last.
        let _bounded = timeout(ABORT, node.tasks.ended()).await;
        #[cfg(feature = "metrics")]
        node.tell_end_of_metrics();
        // Together: what takes its time to say goodbye holds up no other.
        tokio::join!(
            node.broker.close(),
            node.registry.presence.close(),
            node.history.close(),
        );
        self.report(begun, node.tasks.len() + node.background.len())
    }

    /// Of a shutdown that won't come to its end.
    fn report_as_it_is(&self) -> ShutdownReport {
        let node = self.node();
        let begun = self.0.shutdown.begin(node.hub.len(), node.stats());
        node.abort.cancel();
        node.stop();
        self.report(begun, node.tasks.len() + node.background.len())
    }

    fn report(&self, begun: &Begun, tasks_left: usize) -> ShutdownReport {
        let aborted = (self.node().stats().snapshot().aborted - begun.aborted) as usize;
        ShutdownReport {
            sessions: begun.sessions.max(aborted),
            aborted,
            tasks_left,
        }
    }
}

/// Ends sessions, a few at a time, and has those that have ended look at how far the shutdown is.
async fn end_each(sessions: &[Session]) {
    for (nth, session) in sessions.iter().enumerate() {
        let slot = slot(nth, sessions.len());
        session.end(match slot < WORTH_SAYING {
            true => EndCause::Shutdown,
            false => EndCause::Drained(slot),
        });
        session.wake();
        if nth % TURN == TURN - 1 {
            tokio::task::yield_now().await;
        }
    }
}
