//! Sessions that could not be registered or renewed, until they are.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use realtime_core::SessionId;
use tokio::{
    sync::Notify,
    time::{Duration, Instant},
};

use super::backoff::{Backoff, Jitter};
use crate::sync::Mutex;

/// When each of them is tried again. As many as there are sessions at the most: one that ends is
/// [`settled`](Self::settled).
#[derive(Debug)]
pub(crate) struct Retries {
    longest: Duration,
    waiting: Mutex<HashMap<SessionId, Backoff>>,
    /// How many there are, so that a session that ends costs no lock.
    count: AtomicUsize,
    /// One was added.
    pub(crate) added: Notify,
}

impl Retries {
    pub(super) fn new(longest: Duration) -> Self {
        Self {
            longest,
            waiting: Mutex::new(HashMap::new()),
            count: AtomicUsize::new(0),
            added: Notify::new(),
        }
    }

    /// These failed, for the first time or once more.
    pub(crate) fn failed(&self, sessions: impl IntoIterator<Item = SessionId>) {
        let jitter = Jitter::new();
        let mut waiting = self.waiting.lock();
        for session in sessions {
            let before = waiting.get(&session).copied();
            waiting.insert(session, Backoff::after(before, self.longest, jitter));
        }
        self.count.store(waiting.len(), Relaxed);
        drop(waiting);
        self.added.notify_one();
    }

    /// These have been dealt with, or have ended.
    pub(crate) fn settled(&self, sessions: impl IntoIterator<Item = SessionId>) {
        if self.len() == 0 {
            return;
        }
        let mut waiting = self.waiting.lock();
        for session in sessions {
            waiting.remove(&session);
        }
        if waiting.is_empty() {
            // An outage's worth of places is not kept.
            *waiting = HashMap::new();
        }
        self.count.store(waiting.len(), Relaxed);
    }

    /// When the next one is tried again.
    pub(crate) fn next(&self) -> Option<Instant> {
        if self.len() == 0 {
            return None;
        }
        self.waiting.lock().values().map(|backoff| backoff.at).min()
    }

    /// Those that are to be tried again now.
    pub(crate) fn due(&self) -> Vec<SessionId> {
        let (waiting, now) = (self.waiting.lock(), Instant::now());
        let due = waiting.iter().filter(|(_, backoff)| backoff.is_due(now));
        due.map(|(session, _)| *session).collect()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Relaxed)
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_session_waits_for_itself() {
        let retries = Retries::new(Duration::from_secs(30));
        let (old, new) = (SessionId::random(), SessionId::random());
        for _ in 0..6 {
            retries.failed([old]);
        }
        tokio::time::advance(Duration::from_secs(2)).await;
        retries.failed([new]);
        assert_eq!((retries.len(), retries.due()), (2, vec![]));
        tokio::time::advance(Duration::from_millis(1_200)).await;
        assert_eq!(retries.due(), [new]);
        retries.settled([new]);
        assert_eq!(retries.len(), 1);
        let next = retries.next().unwrap() - Instant::now();
        assert!(next > Duration::from_secs(20), "{next:?}");
        retries.settled([old]);
        assert_eq!((retries.len(), retries.next()), (0, None));
    }
}
