//! What `std::sync::OnceLock` and tokio's `Notify` and `Semaphore` promise, in terms of loom.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use loom::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

/// Set once. A thread that sees that it is set sees what was set.
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

/// Wakes those who wait at this moment, and nobody who comes later.
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

fn lock<T>(state: &Mutex<T>) -> loom::sync::MutexGuard<'_, T> {
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
    /// As tokio's: it notices every `notify_waiters` since it was made, enabled or not.
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

/// Permits, first come, first served.
#[derive(Debug)]
pub(crate) struct Semaphore(Mutex<Permits>);

#[derive(Debug)]
struct Permits {
    free: usize,
    closed: bool,
    next: usize,
    line: VecDeque<Waiter>,
}

/// Somebody who waits, and how many permits are still missing.
#[derive(Debug)]
struct Waiter {
    id: usize,
    missing: usize,
    waker: Option<Waker>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TryAcquireError {
    Closed,
    NoPermits,
}

#[derive(Debug)]
pub(crate) struct AcquireError;

/// Some permits, which are given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Permit<'s> {
    semaphore: &'s Semaphore,
    permits: usize,
}

impl Permit<'_> {
    pub(crate) fn forget(mut self) {
        self.permits = 0;
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.permits > 0 {
            self.semaphore.add_permits(self.permits);
        }
    }
}

impl Semaphore {
    pub(crate) fn new(permits: usize) -> Self {
        Self(Mutex::new(Permits {
            free: permits,
            closed: false,
            next: 0,
            line: VecDeque::new(),
        }))
    }

    pub(crate) fn available_permits(&self) -> usize {
        lock(&self.0).free
    }

    pub(crate) fn try_acquire_many(&self, permits: u32) -> Result<Permit<'_>, TryAcquireError> {
        let (mut state, permits) = (lock(&self.0), permits as usize);
        if state.closed {
            return Err(TryAcquireError::Closed);
        }
        if !state.line.is_empty() || state.free < permits {
            return Err(TryAcquireError::NoPermits);
        }
        state.free -= permits;
        Ok(Permit {
            semaphore: self,
            permits,
        })
    }

    pub(crate) fn acquire_many(&self, permits: u32) -> Acquire<'_> {
        Acquire {
            semaphore: self,
            permits: permits as usize,
            waiter: None,
        }
    }

    pub(crate) fn add_permits(&self, permits: usize) {
        let woken = lock(&self.0).give(permits);
        woken.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn close(&self) {
        let woken: Vec<_> = {
            let mut state = lock(&self.0);
            state.closed = true;
            let line = state.line.iter_mut();
            line.filter_map(|waiter| waiter.waker.take()).collect()
        };
        woken.into_iter().for_each(Waker::wake);
    }
}

impl Permits {
    /// To those who wait first, in their order; what is left is free.
    fn give(&mut self, mut permits: usize) -> Vec<Waker> {
        let mut woken = Vec::new();
        for waiter in &mut self.line {
            if permits == 0 {
                break;
            }
            let given = waiter.missing.min(permits);
            (waiter.missing, permits) = (waiter.missing - given, permits - given);
            if waiter.missing == 0 {
                woken.extend(waiter.waker.take());
            }
        }
        self.free += permits;
        woken
    }
}

#[derive(Debug)]
pub(crate) struct Acquire<'s> {
    semaphore: &'s Semaphore,
    permits: usize,
    waiter: Option<usize>,
}

impl<'s> Future for Acquire<'s> {
    type Output = Result<Permit<'s>, AcquireError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (semaphore, permits) = (self.semaphore, self.permits);
        let mut state = lock(&semaphore.0);
        if state.closed {
            return Poll::Ready(Err(AcquireError));
        }
        let id = *self.waiter.get_or_insert_with(|| {
            let (id, given) = (state.next, state.free.min(permits));
            (state.next, state.free) = (id + 1, state.free - given);
            state.line.push_back(Waiter {
                id,
                missing: permits - given,
                waker: None,
            });
            id
        });
        let at = state.line.iter().position(|waiter| waiter.id == id);
        let Some(at) = at else {
            return Poll::Pending;
        };
        if state.line[at].missing > 0 {
            state.line[at].waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.line.remove(at);
        drop(state);
        self.waiter = None;
        Poll::Ready(Ok(Permit { semaphore, permits }))
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        let Some(id) = self.waiter else { return };
        let woken = {
            let mut state = lock(&self.semaphore.0);
            let Some(at) = state.line.iter().position(|waiter| waiter.id == id) else {
                return;
            };
            let given = state
                .line
                .remove(at)
                .map(|waiter| self.permits - waiter.missing);
            state.give(given.unwrap_or(0))
        };
        woken.into_iter().for_each(Waker::wake);
    }
}
