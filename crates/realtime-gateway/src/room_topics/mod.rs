//! Over which topics of the broker rooms travel, and which of them this node has joined.
//!
//! All rooms share a fixed number of topics, so a room costs a broker nothing. A node joins a topic
//! before the first of its rooms there has a member, and leaves it some time after the last.

mod topic;

use std::sync::Arc;

use realtime_core::broker::BrokerError;
use tokio::{sync::Notify, time::Instant};

use crate::sync::Mutex;

pub(crate) use topic::RoomTopic;

/// Which topics are joined: written by the background task that does it, and read by those who
/// wait for one.
#[derive(Debug)]
pub(crate) struct RoomTopics {
    states: Mutex<Vec<State>>,
    /// Notified when something was joined, or could not be.
    changed: Notify,
    /// Notified when there is something to do.
    asked: Notify,
}

#[derive(Debug, Clone, Default)]
struct State {
    joined: bool,
    /// How often it could not be joined, and why at last.
    failures: u64,
    error: Option<Arc<BrokerError>>,
    /// Since when no room needs it.
    idle_since: Option<Instant>,
}

impl RoomTopics {
    pub(crate) fn new() -> Self {
        Self {
            states: Mutex::new(RoomTopic::all().map(|_| State::default()).collect()),
            changed: Notify::new(),
            asked: Notify::new(),
        }
    }

    fn with<R>(&self, topic: RoomTopic, look: impl FnOnce(&mut State) -> R) -> Option<R> {
        self.states.lock().get_mut(topic.index()).map(look)
    }

    pub(crate) fn is_joined(&self, topic: RoomTopic) -> bool {
        self.with(topic, |state| state.joined).unwrap_or_default()
    }

    /// Waits until a topic is joined, or could not be. Whoever waits wants it meanwhile. Cancel
    /// safe.
    pub(crate) async fn wait_for(&self, topic: RoomTopic) -> Result<(), Arc<BrokerError>> {
        let mut before = None;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let state = self.with(topic, |state| state.clone()).unwrap_or_default();
            if state.joined {
                return Ok(());
            }
            let failures = *before.get_or_insert(state.failures);
            match state.error {
                Some(error) if state.failures > failures => return Err(error),
                _ => {}
            }
            self.asked.notify_one();
            changed.await;
        }
    }

    /// Waits until somebody asks for a topic. Cancel safe.
    pub(crate) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// There may be something to do.
    pub(crate) fn ask(&self) {
        self.asked.notify_one();
    }

    pub(crate) fn has_joined(&self, topic: RoomTopic) {
        self.with(topic, |state| {
            *state = State {
                joined: true,
                ..State::default()
            }
        });
        self.changed.notify_waiters();
    }

    pub(crate) fn has_failed(&self, topic: RoomTopic, error: BrokerError) {
        self.with(topic, |state| {
            state.failures += 1;
            state.error = Some(Arc::new(error));
        });
        self.changed.notify_waiters();
    }

    /// From now on it isn't joined.
    pub(crate) fn is_left(&self, topic: RoomTopic) {
        self.with(topic, |state| state.joined = false);
    }

    /// Since when a joined topic has been idle, if it is now.
    pub(crate) fn idle_since(&self, topic: RoomTopic, is_idle: bool) -> Option<Instant> {
        let since = self.with(topic, |state| {
            if !is_idle || !state.joined {
                state.idle_since = None;
                return None;
            }
            Some(*state.idle_since.get_or_insert_with(Instant::now))
        });
        since.flatten()
    }

    /// The subscription is made anew, with these topics.
    pub(crate) fn begin(&self, joined: &[RoomTopic]) {
        for topic in RoomTopic::all() {
            self.is_left(topic);
        }
        for topic in joined {
            self.has_joined(*topic);
        }
        self.ask();
    }
}
