//! What waits for a reader: as much as it may be, and then without the oldest, which is counted.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
};

use futures::Stream;
use tokio::sync::Notify;

/// One reader's end.
pub(crate) struct Inbox<T> {
    shared: Arc<Shared<T>>,
    /// Told when the reader is gone.
    gone: Option<Arc<Notify>>,
}

/// The other end, which doesn't keep it.
pub(crate) struct Outlet<T>(Weak<Shared<T>>);

struct Shared<T>(Mutex<Queue<T>>);

struct Queue<T> {
    items: VecDeque<T>,
    most: usize,
    missed: u64,
    is_closed: bool,
    waker: Option<Waker>,
}

/// What a reader gets.
pub(crate) enum Got<T> {
    Item(T),
    /// So many were dropped before what follows.
    Missed(u64),
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Inbox<T> {
    pub(crate) fn new(most: usize, gone: Option<Arc<Notify>>) -> Self {
        let queue = Queue {
            items: VecDeque::new(),
            most,
            missed: 0,
            is_closed: false,
            waker: None,
        };
        Self {
            shared: Arc::new(Shared(Mutex::new(queue))),
            gone,
        }
    }

    pub(crate) fn outlet(&self) -> Outlet<T> {
        Outlet(Arc::downgrade(&self.shared))
    }

    pub(crate) fn close(&self) {
        close(&self.shared);
    }
}

fn close<T>(shared: &Shared<T>) {
    let mut queue = shared.lock();
    queue.is_closed = true;
    let waker = queue.waker.take();
    drop(queue);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        if let Some(gone) = &self.gone {
            gone.notify_one();
        }
    }
}

impl<T> Stream for Inbox<T> {
    type Item = Got<T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Got<T>>> {
        let mut queue = self.shared.lock();
        if queue.missed > 0 {
            let missed = std::mem::take(&mut queue.missed);
            return Poll::Ready(Some(Got::Missed(missed)));
        }
        if let Some(item) = queue.items.pop_front() {
            return Poll::Ready(Some(Got::Item(item)));
        }
        if queue.is_closed {
            return Poll::Ready(None);
        }
        queue.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<T> Clone for Outlet<T> {
    fn clone(&self) -> Self {
        Self(Weak::clone(&self.0))
    }
}

impl<T> Outlet<T> {
    /// Nobody reads it.
    pub(crate) fn none() -> Self {
        Self(Weak::new())
    }

    /// Whether somebody reads it.
    pub(crate) fn is_open(&self) -> bool {
        self.0
            .upgrade()
            .is_some_and(|shared| !shared.lock().is_closed)
    }

    /// False if nobody reads it any more.
    pub(crate) fn push(&self, item: T) -> bool {
        self.give(item, true).is_ok()
    }

    /// Gives it back where there is no room, or nobody.
    pub(crate) fn offer(&self, item: T) -> Result<(), T> {
        self.give(item, false)
    }

    fn give(&self, item: T, makes_room: bool) -> Result<(), T> {
        let Some(shared) = self.0.upgrade() else {
            return Err(item);
        };
        let mut queue = shared.lock();
        if queue.is_closed {
            return Err(item);
        }
        let mut dropped = None;
        if queue.items.len() >= queue.most {
            if !makes_room {
                return Err(item);
            }
            dropped = queue.items.pop_front();
            queue.missed += 1;
        }
        queue.items.push_back(item);
        let waker = queue.waker.take();
        drop(queue);
        drop(dropped);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Nothing more comes; what is there can be read.
    pub(crate) fn close(&self) {
        if let Some(shared) = self.0.upgrade() {
            close(&shared);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

    use futures::{FutureExt, StreamExt};

    use super::*;

    #[test]
    fn the_oldest_is_dropped_and_told_of_first() {
        let mut inbox = Inbox::new(2, None);
        let outlet = inbox.outlet();
        for n in 1..=5 {
            assert!(outlet.push(n));
        }
        assert_eq!(outlet.offer(6), Err(6));
        assert!(matches!(
            inbox.next().now_or_never().unwrap(),
            Some(Got::Missed(3))
        ));
        assert!(matches!(
            inbox.next().now_or_never().unwrap(),
            Some(Got::Item(4))
        ));
        outlet.close();
        assert!(!outlet.push(7));
        assert!(matches!(
            inbox.next().now_or_never().unwrap(),
            Some(Got::Item(5))
        ));
        assert!(inbox.next().now_or_never().unwrap().is_none());
    }
}
