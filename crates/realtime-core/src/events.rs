//! Events of a backend, for those who listen.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Poll, Waker},
};

use futures::{Stream, stream};

/// How many changes of state wait for a listener that doesn't read.
const CHANGES: usize = 64;

/// What [`Events`] carries: it knows how to wait for a listener without growing for ever.
///
/// [`BrokerEvent`](crate::broker::BrokerEvent), [`HistoryEvent`](crate::history::HistoryEvent) and
/// [`PresenceEvent`](crate::presence::PresenceEvent) are such events.
pub trait Event: Clone + Send + 'static {
    /// Joins what waits for a listener that is behind, oldest first.
    ///
    /// # Behavior
    /// - What waits stays bounded, whatever comes.
    /// - What is counted is added to what waits of its sort, and never lost.
    /// - The last change of state is always kept.
    fn wait_in(self, waiting: &mut VecDeque<Self>);
}

/// Appends a change of state. Where too many wait, the two oldest go, which are mostly an end and
/// a new beginning: what is left still ends as the link is now.
pub(crate) fn push_change<T>(
    change: T,
    waiting: &mut VecDeque<T>,
    is_change: impl Fn(&T) -> bool + Copy,
) {
    waiting.push_back(change);
    if waiting.iter().filter(|event| is_change(event)).count() > CHANGES {
        for _ in 0..2 {
            if let Some(oldest) = waiting.iter().position(is_change) {
                waiting.remove(oldest);
            }
        }
    }
}

/// Events of a backend, for any number of listeners. For one that doesn't read, what is alike is
/// merged and counted, so that it loses no count and no state, and delays no other listener.
///
/// Made for the `events` methods of [`Broker`](crate::broker::Broker),
/// [`History`](crate::history::History) and [`Presence`](crate::presence::Presence). The streams end when it is closed or dropped.
///
/// ```
/// use futures::StreamExt;
/// use realtime::{broker::BrokerEvent, node::Events};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let events = Events::new();
/// let listener = events.subscribe();
/// let invalid = |count| BrokerEvent::invalid_message("too short", count);
/// events.send(invalid(1));
/// events.send(BrokerEvent::Up);
/// events.send(invalid(1));
/// events.close();
/// assert_eq!(listener.collect::<Vec<_>>().await, [invalid(2), BrokerEvent::Up]);
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Events<T>(Mutex<Option<Vec<Weak<Listener<T>>>>>);

#[derive(Debug)]
struct Listener<T>(Mutex<Backlog<T>>);

#[derive(Debug)]
struct Backlog<T> {
    waiting: VecDeque<T>,
    is_closed: bool,
    waker: Option<Waker>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Listener<T> {
    fn new(is_closed: bool) -> Self {
        Self(Mutex::new(Backlog {
            waiting: VecDeque::new(),
            is_closed,
            waker: None,
        }))
    }

    /// Changes what waits, and wakes the listener.
    fn change(&self, change: impl FnOnce(&mut Backlog<T>)) {
        let mut backlog = lock(&self.0);
        change(&mut backlog);
        let waker = backlog.waker.take();
        drop(backlog);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Events<T> {
    /// Ends all streams, those that are asked for later too. What waits is still read.
    pub fn close(&self) {
        let listeners = lock(&self.0).take();
        for listener in listeners.iter().flatten().filter_map(Weak::upgrade) {
            listener.change(|backlog| backlog.is_closed = true);
        }
    }
}

impl<T: Event> Events<T> {
    /// Without listeners.
    #[must_use]
    pub fn new() -> Self {
        Self(Mutex::new(Some(Vec::new())))
    }

    /// Sends an event to every listener. Each receives events in the order in which they were
    /// sent, except for what was merged into something that waited already.
    pub fn send(&self, event: T) {
        if let Some(listeners) = &mut *lock(&self.0) {
            listeners.retain(|listener| {
                let listener = listener.upgrade();
                if let Some(listener) = &listener {
                    let event = event.clone();
                    listener.change(|backlog| event.wait_in(&mut backlog.waiting));
                }
                listener.is_some()
            });
        }
    }

    /// What is sent from now on. The stream ends after [`close`](Self::close).
    pub fn subscribe(&self) -> impl Stream<Item = T> + Send + use<T> {
        let mut listeners = lock(&self.0);
        let listener = Arc::new(Listener::new(listeners.is_none()));
        if let Some(listeners) = &mut *listeners {
            listeners.retain(|listener| listener.strong_count() > 0);
            listeners.push(Arc::downgrade(&listener));
        }
        stream::poll_fn(move |cx| {
            let mut backlog = lock(&listener.0);
            match backlog.waiting.pop_front() {
                Some(event) => Poll::Ready(Some(event)),
                None if backlog.is_closed => Poll::Ready(None),
                None => {
                    backlog.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
    }
}

impl<T: Event> Default for Events<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for Events<T> {
    fn drop(&mut self) {
        self.close();
    }
}
