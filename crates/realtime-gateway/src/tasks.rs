//! The tasks that a shutdown waits for, and which of them wait for the shutdown.
//!
//! A handler or a hook that awaits the shutdown runs in the task of its session, which the shutdown
//! waits for: neither would ever end. So a task that is found to do that is not among the others
//! any more, and once all others have ended, it gets its answer and goes on.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
};

use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

/// The tasks of sessions, and of what they started.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks(Arc<Trackers>);

#[derive(Debug, Default)]
struct Trackers {
    all: TaskTracker,
    /// Those that don't wait for the shutdown.
    others: TaskTracker,
}

/// What is polled on this thread.
#[derive(Debug, Clone, Copy)]
struct Polled {
    /// A task of which gateway; 0 for none.
    of: usize,
    /// It was found to wait for the shutdown.
    waits: bool,
}

thread_local! {
    static POLLED: Cell<Polled> = const { Cell::new(Polled { of: 0, waits: false }) };
}

impl Tasks {
    /// Runs a task. It polls what may be foreign within its mark, and keeps that until its end.
    pub(crate) fn spawn<F>(&self, task: impl FnOnce(Mark) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mark = Mark {
            of: self.address(),
            waited_for: Some(self.0.others.token()),
        };
        self.0.all.spawn(task(mark));
    }

    /// Whether the caller is one of these tasks. If so, it waits for the shutdown from here on.
    pub(crate) fn waits_within(&self) -> bool {
        let mut polled = POLLED.get();
        let within = polled.of == self.address();
        polled.waits |= within;
        POLLED.set(polled);
        within
    }

    /// No more of them are expected.
    pub(crate) fn close(&self) {
        self.0.all.close();
        self.0.others.close();
    }

    /// Waits for the end of all that don't wait for the shutdown.
    pub(crate) async fn others_ended(&self) {
        self.0.others.wait().await;
    }

    /// Waits for the end of all.
    pub(crate) async fn ended(&self) {
        self.0.all.wait().await;
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.all.len()
    }

    fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

/// A task's own mark, by which it is known on the thread that polls it.
#[derive(Debug)]
pub(crate) struct Mark {
    of: usize,
    /// `None` once it waits for the shutdown.
    waited_for: Option<TaskTrackerToken>,
}

/// Puts back what was polled before, also after a panic.
struct Before(Polled);

impl Drop for Before {
    fn drop(&mut self) {
        POLLED.set(self.0);
    }
}

impl Mark {
    /// Does a piece of the task's work.
    pub(crate) fn within<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let this = Polled {
            of: self.of,
            waits: false,
        };
        let before = Before(POLLED.replace(this));
        let done = work();
        if POLLED.get().waits {
            self.waited_for = None;
        }
        drop(before);
        done
    }

    /// Does it until its end.
    pub(crate) fn around<F: Future + Unpin>(
        &mut self,
        mut work: F,
    ) -> impl Future<Output = F::Output> {
        poll_fn(move |cx| self.within(|| Pin::new(&mut work).poll(cx)))
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use futures::FutureExt;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_task_that_waits_within_is_not_among_the_others() {
        let (tasks, elsewhere) = (Tasks::default(), Tasks::default());
        assert!(!tasks.waits_within(), "nobody's task");
        let (answer, answered) = oneshot::channel::<()>();
        let (stop, stopped) = oneshot::channel::<()>();
        let (this, other) = (tasks.clone(), elsewhere.clone());
        tasks.spawn(|mut mark| async move {
            let work = Box::pin(async {
                assert!(this.waits_within() && !other.waits_within());
                let _sent = answered.await;
            });
            mark.around(work).await;
        });
        tasks.spawn(|mut mark| async move {
            let _sent = mark.around(stopped).await;
        });
        tasks.close();
        tokio::task::yield_now().await;
        assert_eq!(tasks.len(), 2);
        assert!(tasks.others_ended().now_or_never().is_none());
        drop(stop);
        tasks.others_ended().await;
        assert!(tasks.ended().now_or_never().is_none());
        drop(answer);
        tasks.ended().await;
    }
}
