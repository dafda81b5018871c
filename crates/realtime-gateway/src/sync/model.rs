//! What `std::sync::OnceLock` and `tokio::sync::Notify` promise, in terms of loom.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use loom::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

/// Set once. What was set is seen by whoever sees that it is set.
#[derive(Debug)]
pub(crate) struct OnceLock<T> {
    value: std::sync::OnceLock<T>,
    set: AtomicBool,
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        Self {
            value: std::sync::OnceLock::new(),
            set: AtomicBool::new(false),
        }
    }
}

impl<T> OnceLock<T> {
    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        let result = self.value.set(value);
        if result.is_ok() {
            self.set.store(true, Ordering::Release);
        }
        result
    }

    pub(crate) fn get(&self) -> Option<&T> {
        let set = self.set.load(Ordering::Acquire);
        self.value.get().filter(|_| set)
    }
}

/// Wakes whoever waits at this moment, and nobody who comes later.
#[derive(Debug, Default)]
pub(crate) struct Notify(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// How often everybody was notified.
    rounds: usize,
    waiting: Vec<Waker>,
}

impl Notify {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn notify_waiters(&self) {
        let woken = {
            let mut state = lock(&self.0);
            state.rounds += 1;
            std::mem::take(&mut state.waiting)
        };
        woken.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        Notified {
            notify: self,
            since: lock(&self.0).rounds,
        }
    }
}

fn lock(state: &Mutex<State>) -> loom::sync::MutexGuard<'_, State> {
    state
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[derive(Debug)]
pub(crate) struct Notified<'n> {
    notify: &'n Notify,
    since: usize,
}

impl Notified<'_> {
    /// As tokio's: it hears of every `notify_waiters` since it was made, enabled or not.
    pub(crate) fn enable(self: Pin<&mut Self>) -> bool {
        lock(&self.notify.0).rounds > self.since
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.notify.0);
        if state.rounds > self.since {
            return Poll::Ready(());
        }
        state.waiting.push(cx.waker().clone());
        Poll::Pending
    }
}
