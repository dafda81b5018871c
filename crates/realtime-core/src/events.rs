//! What a backend tells whoever listens.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use futures::{Stream, stream};
use tokio::sync::Notify;

/// How many events a listener that doesn't read keeps, besides what is told together.
const KEPT: usize = 1_024;

/// An event that may be told together with later ones.
pub trait Coalesce {
    /// Takes a later event in, where both are told as one. Returns whether it did.
    ///
    /// So a flood of one kind can't push out what has to be heard.
    fn absorb(&mut self, later: &Self) -> bool;
}

/// Events of a backend, for any number of listeners.
///
/// A listener that is slow gets those that [`Coalesce`] as one. One that doesn't read at all loses
/// the oldest of more than 1,024, and holds nobody up.
///
/// Made for the `events` methods of [`Broker`](crate::broker::Broker) and
/// [`Presence`](crate::presence::Presence).
///
/// ```
/// use futures::StreamExt;
/// use realtime_core::{Events, broker::BrokerEvent};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let events = Events::new();
/// let listener = events.subscribe();
/// events.send(BrokerEvent::Up);
/// events.close();
/// assert_eq!(listener.collect::<Vec<_>>().await, [BrokerEvent::Up]);
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Events<T>(Mutex<Option<Vec<Weak<Listener<T>>>>>);

#[derive(Debug)]
struct Listener<T> {
    waiting: Mutex<Waiting<T>>,
    changed: Notify,
}

#[derive(Debug)]
struct Waiting<T> {
    events: VecDeque<T>,
    closed: bool,
}

impl<T> Listener<T> {
    fn new(closed: bool) -> Self {
        let events = VecDeque::new();
        Self {
            waiting: Mutex::new(Waiting { events, closed }),
            changed: Notify::new(),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn next(&self) -> Option<T> {
        loop {
            {
                let mut waiting = self.waiting();
                let next = waiting.events.pop_front();
                if next.is_some() || waiting.closed {
                    return next;
                }
            }
            // A change since then is remembered.
            self.changed.notified().await;
        }
    }
}

impl<T: Coalesce + Clone + Send + 'static> Events<T> {
    /// Without listeners.
    #[must_use]
    pub fn new() -> Self {
        Self(Mutex::new(Some(Vec::new())))
    }

    fn listeners(&self) -> MutexGuard<'_, Option<Vec<Weak<Listener<T>>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells every listener.
    pub fn send(&self, event: T) {
        let mut listeners = self.listeners();
        for listener in listeners.iter_mut().flatten().filter_map(|l| l.upgrade()) {
            let events = &mut listener.waiting().events;
            if events.iter_mut().rev().any(|e| e.absorb(&event)) {
                continue;
            }
            if events.len() >= KEPT {
                events.pop_front();
            }
            events.push_back(event.clone());
            listener.changed.notify_one();
        }
    }

    /// What is told from now on. The stream ends after [`close`](Self::close).
    pub fn subscribe(&self) -> impl Stream<Item = T> + Send + use<T> {
        let mut listeners = self.listeners();
        let listener = Arc::new(Listener::new(listeners.is_none()));
        if let Some(listeners) = &mut *listeners {
            listeners.retain(|listener| listener.strong_count() > 0);
            listeners.push(Arc::downgrade(&listener));
        }
        stream::unfold(listener, |listener| async {
            let event = listener.next().await?;
            Some((event, listener))
        })
    }

    /// Ends all streams, those that are asked for later too.
    pub fn close(&self) {
        let listeners = self.listeners().take();
        for listener in listeners.iter().flatten().filter_map(Weak::upgrade) {
            listener.waiting().closed = true;
            listener.changed.notify_one();
        }
    }
}

impl<T: Coalesce + Clone + Send + 'static> Default for Events<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for Events<T> {
    fn drop(&mut self) {
        let listeners = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        for listener in listeners.iter().flatten().filter_map(Weak::upgrade) {
            listener.waiting().closed = true;
            listener.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};

    use super::*;
    use crate::broker::BrokerEvent;

    fn invalid(messages: u64) -> BrokerEvent {
        let cause = "garbage".to_owned();
        BrokerEvent::InvalidMessage { cause, messages }
    }

    #[tokio::test]
    async fn a_flood_of_one_kind_pushes_nothing_else_out() {
        let (events, source) = (Events::new(), crate::NodeId::random());
        let mut slow = Box::pin(events.subscribe());
        let gap = |missed| BrokerEvent::Gap {
            source: source.clone(),
            missed,
        };
        let cause = || "a fault".to_owned();
        events.send(BrokerEvent::Down { cause: cause() });
        for n in 0..5_000 {
            events.send(invalid(1));
            if n % 1_000 == 0 {
                events.send(gap(2));
            }
        }
        events.send(BrokerEvent::Up);
        let down = BrokerEvent::Down { cause: cause() };
        for expected in [down, invalid(5_000), gap(10), BrokerEvent::Up] {
            assert_eq!(slow.next().await, Some(expected));
        }
        assert!(slow.next().now_or_never().is_none());
        events.send(invalid(1));
        assert_eq!(slow.next().await, Some(invalid(1)));
    }

    #[tokio::test]
    async fn who_does_not_read_keeps_the_latest() {
        let events = Events::new();
        let mut slow = Box::pin(events.subscribe());
        for _ in 0..KEPT {
            events.send(BrokerEvent::Blocked);
        }
        events.send(BrokerEvent::Up);
        drop(events);
        let mut heard = 0;
        let mut last = None;
        while let Some(event) = slow.next().await {
            heard += 1;
            last = Some(event);
        }
        assert_eq!((heard, last), (KEPT, Some(BrokerEvent::Up)));
    }
}
