//! What waits for a reader: as much as it may be, and then without the oldest, which is counted.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
};

use futures::Stream;
use realtime_core::{Exchange, Message, Payload};
use tokio::sync::Notify;

/// However many items an inbox may have, it has no more bytes, but for a single one.
const MOST_BYTES: usize = 64 << 20;

/// What has a size.
pub(crate) trait Weighed {
    /// About as many bytes as it takes.
    fn weight(&self) -> usize;
}

/// What an entry of metadata takes beside its text.
const ENTRY: usize = 2 * size_of::<String>();

impl Weighed for Message {
    fn weight(&self) -> usize {
        let metadata = self.metadata().map_or(0, |metadata| {
            let entries = metadata.iter();
            entries.map(|(k, v)| ENTRY + k.len() + v.len()).sum()
        });
        let exchange = self.exchange().map_or(0, |exchange| match exchange {
            Exchange::Refusal(id, error) => {
                let data = error.data().map_or(0, Payload::len);
                id.as_str().len() + error.code().len() + error.message().len() + data
            }
            Exchange::Request(id) | Exchange::Reply(id) => id.as_str().len(),
            _ => 0,
        });
        let names = self.route().len() + self.id().map_or(0, str::len);
        let room = self.room().map_or(0, |room| room.as_str().len());
        size_of::<Self>() + names + room + metadata + exchange + self.data().len()
    }
}

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
    bytes: usize,
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

impl<T: Weighed> Queue<T> {
    fn is_full_for(&self, item: &T) -> bool {
        let fits = self.bytes.saturating_add(item.weight()) <= MOST_BYTES;
        self.items.len() >= self.most || !(fits || self.items.is_empty())
    }

    fn pop(&mut self) -> Option<T> {
        let item = self.items.pop_front()?;
        self.bytes = self.bytes.saturating_sub(item.weight());
        Some(item)
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Weighed> Inbox<T> {
    pub(crate) fn new(most: usize, gone: Option<Arc<Notify>>) -> Self {
        let queue = Queue {
            items: VecDeque::new(),
            most,
            bytes: 0,
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

impl<T: Weighed> Stream for Inbox<T> {
    type Item = Got<T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Got<T>>> {
        let mut queue = self.shared.lock();
        if queue.missed > 0 {
            let missed = std::mem::take(&mut queue.missed);
            return Poll::Ready(Some(Got::Missed(missed)));
        }
        if let Some(item) = queue.pop() {
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
    pub(crate) fn push(&self, item: T) -> bool
    where
        T: Weighed,
    {
        self.give(item, true).is_ok()
    }

    /// Gives it back where there is no room, or nobody.
    pub(crate) fn offer(&self, item: T) -> Result<(), T>
    where
        T: Weighed,
    {
        self.give(item, false)
    }

    fn give(&self, item: T, makes_room: bool) -> Result<(), T>
    where
        T: Weighed,
    {
        let Some(shared) = self.0.upgrade() else {
            return Err(item);
        };
        let mut queue = shared.lock();
        if queue.is_closed || (queue.is_full_for(&item) && !makes_room) {
            return Err(item);
        }
        // Dropped once nothing is locked.
        let mut dropped = Vec::new();
        while queue.is_full_for(&item)
            && let Some(oldest) = queue.pop()
        {
            dropped.push(oldest);
            queue.missed += 1;
        }
        queue.bytes = queue.bytes.saturating_add(item.weight());
        queue.items.push_back(item);
        let waker = queue.waker.take();
        drop(queue);
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

    impl Weighed for usize {
        fn weight(&self) -> usize {
            *self
        }
    }

    #[test]
    fn the_oldest_is_dropped_and_told_of_first() {
        let mut inbox = Inbox::new(2, None);
        let outlet = inbox.outlet();
        for n in 1..=5_usize {
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

    #[test]
    fn all_of_a_message_has_a_weight() {
        let long = "x".repeat(1000);
        let plain = Message::default().weight();
        let message = |route: &str| Message::new(route.to_owned(), ()).unwrap();
        for heavy in [
            message(&long),
            message("").with_id(long.clone()),
            message("").with_metadata("k", long.clone()),
            message("").with_metadata(long.clone(), "v"),
            message("").with_exchange(Exchange::Request(long.clone().into())),
        ] {
            assert!(heavy.weight() >= plain + 1000, "{heavy:?}");
        }
        let many = (0..64).fold(message(""), |message, n| {
            message.with_metadata(n.to_string(), "")
        });
        assert!(many.weight() >= plain + 64 * ENTRY);
    }

    #[test]
    fn it_is_bounded_in_bytes_too() {
        let mut inbox = Inbox::new(100, None);
        let outlet = inbox.outlet();
        for bytes in [MOST_BYTES / 2, MOST_BYTES / 2, 1] {
            assert!(outlet.push(bytes));
        }
        assert!(matches!(
            inbox.next().now_or_never().unwrap(),
            Some(Got::Missed(1))
        ));
        assert!(outlet.push(2 * MOST_BYTES), "one may be larger");
        assert!(matches!(
            inbox.next().now_or_never().unwrap(),
            Some(Got::Missed(2))
        ));
        assert!(matches!(
            inbox.next().now_or_never().unwrap(),
            Some(Got::Item(_))
        ));
        assert!(inbox.next().now_or_never().is_none());
    }
}
