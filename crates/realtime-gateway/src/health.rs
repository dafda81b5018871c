//! How the links to the broker and to the stores are.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;
use tokio::time::Instant;

/// How the links to the broker and to the stores are, for a health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// The link to the other nodes.
    pub broker: Link,
    /// The link to the history of rooms. Without a room that has one it isn't started.
    pub history: Link,
    /// The link to the presence store.
    pub presence: Link,
    /// The link to the store of revocations. Without one that nodes share it isn't started.
    pub revocations: Link,
}

impl Health {
    /// Whether everything works, as far as is known. Sessions of this node are served either way.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let good = |link: &Link| matches!(link, Link::NotStarted | Link::Up);
        [
            &self.broker,
            &self.history,
            &self.presence,
            &self.revocations,
        ]
        .into_iter()
        .all(good)
    }
}

/// How a link is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Link {
    /// It is up, but accepts nothing for now.
    Blocked,
    /// It is down.
    Down {
        /// Why, for people.
        cause: String,
    },
    /// The gateway isn't started, or nothing is known of the link so far.
    NotStarted,
    /// It is up.
    Up,
}

/// What is known of a link.
#[derive(Debug)]
pub(crate) struct Watched(Mutex<State>);

#[derive(Debug)]
struct State {
    link: Link,
    /// Since when it is up, or isn't.
    since: Instant,
}

impl Link {
    fn is_up(&self) -> bool {
        *self == Self::Up
    }
}

impl Watched {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State {
            link: Link::NotStarted,
            since: Instant::now(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note, and returns how it was before, and for how long it was up or wasn't.
    pub(crate) fn turn(&self, link: Link) -> (Link, Duration) {
        let mut state = self.state();
        let lasted = state.since.elapsed();
        if state.link.is_up() != link.is_up() {
            state.since = Instant::now();
        }
        (std::mem::replace(&mut state.link, link), lasted)
    }

    /// Takes note of an answer. It may be older than what an event has said since, so it counts
    /// only where nothing is known.
    pub(crate) fn is_known_up(&self) {
        let mut state = self.state();
        if state.link == Link::NotStarted {
            (state.link, state.since) = (Link::Up, Instant::now());
        }
    }

    pub(crate) fn link(&self) -> Link {
        self.state().link.clone()
    }

    /// How long it has been up, or hasn't.
    pub(crate) fn age(&self) -> Duration {
        self.state().since.elapsed()
    }
}
