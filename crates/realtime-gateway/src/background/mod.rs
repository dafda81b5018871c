//! What runs beside the sessions for as long as the gateway lives: started once, and again where
//! it died.

mod changes;
mod departures;
mod dispatcher;
mod history;
mod leases;
#[cfg(feature = "metrics")]
mod metrics;
mod missed;
mod rejoin;
mod relay;
mod revocations;
mod room_topics;
mod roster;
mod streams;
mod timers;

use std::{
    ops::Range,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use tokio::{
    runtime::{Handle, Id},
    sync::Notify,
    time::Instant,
};

use crate::{
    dialects::Frames,
    guarded::{Whose, panicked},
    node::Node,
    sync::Mutex,
};

/// How many runtimes are remembered on which a background task could continue, those that are gone
/// left out.
const RUNTIMES: usize = 8;
/// How soon a task that has panicked begins again: at first, and when it does so all the time. One
/// that has run for longer than that does not.
const AGAIN: Range<Duration> = Duration::from_millis(50)..Duration::from_secs(5);

/// Makes a background task, each time that it is started.
type Task = Box<dyn Fn(&Arc<Node>) -> BoxFuture<'static, ()> + Send + Sync>;

/// The background tasks of a node.
///
/// A task that panics begins again, and so does one whose runtime is gone, on another that was seen
/// with this gateway; where there is none, with the next call that needs it.
pub(crate) struct Background {
    node: Arc<Node>,
    duties: Vec<Duty>,
    /// How many of them run.
    running: AtomicUsize,
    runtimes: Mutex<Vec<Handle>>,
    /// Notified when one of them has lost its runtime and found no other.
    orphaned: Notify,
}

struct Duty {
    name: &'static str,
    task: Task,
    runs: AtomicBool,
}

impl Background {
    pub(crate) fn new(node: &Arc<Node>) -> Arc<Self> {
        let mut duties = Vec::new();
        let mut duty = |name, task: Task| {
            duties.push(Duty {
                name,
                task,
                runs: AtomicBool::new(false),
            });
        };
        for shard in 0..node.hub.shards().len() {
            let task: Task = Box::new(move |node| dispatcher::run(Arc::clone(node), shard).boxed());
            duty("dispatcher", task);
        }
        duty(
            "timers",
            Box::new(|node| timers::run(Arc::clone(node)).boxed()),
        );
        duty(
            "leases",
            Box::new(|node| leases::run(Arc::clone(node)).boxed()),
        );
        duty(
            "departures",
            Box::new(|node| departures::run(Arc::clone(node)).boxed()),
        );
        duty(
            "relay",
            Box::new(|node| relay::run(Arc::clone(node)).boxed()),
        );
        duty(
            "room topics",
            Box::new(|node| room_topics::run(Arc::clone(node)).boxed()),
        );
        duty(
            "history",
            Box::new(|node| history::run(Arc::clone(node)).boxed()),
        );
        duty(
            "streams",
            Box::new(|node| streams::run(Arc::clone(node)).boxed()),
        );
        duty(
            "roster",
            Box::new(|node| roster::run(Arc::clone(node)).boxed()),
        );
        duty(
            "revocations",
            Box::new(|node| revocations::run(Arc::clone(node)).boxed()),
        );
        duty(
            "changes",
            Box::new(|node| changes::run(Arc::clone(node)).boxed()),
        );
        #[cfg(feature = "metrics")]
        duty(
            "metrics",
            Box::new(|node| metrics::run(Arc::clone(node)).boxed()),
        );
        Arc::new(Self {
            node: Arc::clone(node),
            duties,
            running: AtomicUsize::new(0),
            runtimes: Mutex::new(Vec::new()),
            orphaned: Notify::new(),
        })
    }

    /// Sees to it that all of them run. In a runtime, from the first session, start or broadcast
    /// on; cheap where they do.
    pub(crate) fn ensure(self: &Arc<Self>) {
        if self.running.load(SeqCst) >= self.duties.len() || self.node.stop.is_cancelled() {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        for duty in 0..self.duties.len() {
            self.begin(duty, &runtime);
        }
    }

    /// Remembers the current runtime, as one that has sessions of this gateway.
    pub(crate) fn remember_runtime(&self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let seen = {
            let mut runtimes = self.runtimes.lock();
            if runtimes.iter().any(|known| known.id() == runtime.id()) {
                return;
            }
            if runtimes.len() < RUNTIMES {
                runtimes.push(runtime);
                return;
            }
            runtimes.clone()
        };
        // Without the lock: it wakes runtimes.
        let gone: Vec<Id> = seen.iter().filter(|r| is_gone(r)).map(Handle::id).collect();
        let mut runtimes = self.runtimes.lock();
        runtimes.retain(|known| !gone.contains(&known.id()));
        let known = runtimes.iter().any(|known| known.id() == runtime.id());
        if !known && runtimes.len() < RUNTIMES {
            runtimes.push(runtime);
        }
    }

    /// The current runtime, and those that were seen with this gateway. Some may be gone.
    pub(crate) fn runtimes(&self) -> Vec<Handle> {
        let seen = self.runtimes.lock().clone();
        Handle::try_current().into_iter().chain(seen).collect()
    }

    /// Delivers a message to every session of this node, and returns how many there are.
    pub(crate) async fn fan_out(self: &Arc<Self>, frames: &Frames) -> usize {
        self.carry(self.node.hub.broadcast(frames)).await
    }

    /// Appends to the logs, and sees to it that somebody carries what is in them to the sessions.
    pub(crate) async fn carry<T>(self: &Arc<Self>, delivered: impl Future<Output = T>) -> T {
        // Who broadcasts in a loop lets others have a turn.
        tokio::task::coop::consume_budget().await;
        tokio::pin!(delivered);
        loop {
            // Before the look at who runs, so that one who is orphaned after it is not missed.
            let orphaned = self.orphaned.notified();
            self.ensure();
            tokio::select! {
                biased;
                readers = &mut delivered => return readers,
                // It may be a dispatcher that this waits for.
                () = orphaned => {}
            }
        }
    }

    fn begin(self: &Arc<Self>, duty: usize, runtime: &Handle) {
        if self.duties[duty].runs.swap(true, SeqCst) {
            return;
        }
        self.running.fetch_add(1, SeqCst);
        let on_duty = OnDuty {
            background: Arc::clone(self),
            duty,
            runtime: runtime.id(),
            done: false,
        };
        let task = self.node.background.track_future(on_duty.work());
        runtime.spawn(task);
    }

    /// The runtime on which a duty was done is gone.
    fn lost(self: &Arc<Self>, duty: usize, runtime: Id) {
        let next = {
            let mut runtimes = self.runtimes.lock();
            runtimes.retain(|known| known.id() != runtime);
            runtimes.first().cloned()
        };
        match next {
            // Should that one be gone as well, this is called again, with one runtime less.
            Some(next) => self.begin(duty, &next),
            None => self.orphaned.notify_waiters(),
        }
    }
}

/// Whether a runtime runs no task any more: it drops what it is given at once.
fn is_gone(runtime: &Handle) -> bool {
    let task = runtime.spawn(std::future::pending::<()>());
    let gone = task.is_finished();
    task.abort();
    gone
}

/// A duty that is being done.
struct OnDuty {
    background: Arc<Background>,
    duty: usize,
    runtime: Id,
    done: bool,
}

impl OnDuty {
    async fn work(mut self) {
        let background = Arc::clone(&self.background);
        let (node, duty) = (&background.node, &background.duties[self.duty]);
        let mut pause = AGAIN.start;
        while !node.stop.is_cancelled() {
            let begun = Instant::now();
            let task = AssertUnwindSafe(async { (duty.task)(node).await });
            let Err(panic) = task.catch_unwind().await else {
                break;
            };
            if begun.elapsed() > AGAIN.end {
                pause = AGAIN.start;
            }
            let error = panicked(Whose::BackgroundTask, panic);
            node.stats().background_restarts.add(1);
            node.reports.died(duty.name, error);
            let stopped = node.stop.cancelled();
            let _stopped = tokio::time::timeout(pause, stopped).await;
            pause = AGAIN.end.min(pause * 2);
        }
        self.done = true;
    }
}

impl Drop for OnDuty {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        self.background.running.fetch_sub(1, SeqCst);
        self.background.duties[self.duty].runs.store(false, SeqCst);
        if !self.background.node.stop.is_cancelled() {
            self.background.lost(self.duty, self.runtime);
        }
    }
}

impl std::fmt::Debug for Background {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Background")
            .field("running", &self.running)
            .finish_non_exhaustive()
    }
}
