//! How a node is, and how its links to the broker and to the stores are.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;
use tokio::time::Instant;

/// How a node is, for a health check and for people.
///
/// It says nothing of the authenticator: a node is [`Ready`](HealthStatus::Ready), too, where the keys of
/// an issuer can't be had and nobody new comes in. [`Stats`](crate::Stats) count the refusals.
///
/// As JSON, `{"status": "degraded", "reasons": ["presence: down"], "sessions": 12, "broker": "up",
/// "presence": {"down": {"cause": "…"}}, …}`. Causes come from backends and may name their addresses:
/// [`Readyz`](crate::Readyz) leaves them out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// What follows from all of it.
    pub status: HealthStatus,
    /// Why it isn't [`Ready`](HealthStatus::Ready), in a few words each that say nothing of where the
    /// backends are: `broker: down`, `presence: blocked`, `connections: 10000 of 10000`.
    pub reasons: Vec<String>,
    /// How many sessions are open here.
    pub sessions: usize,
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
    /// Whether everything works, as far as is known: it is [`Ready`](HealthStatus::Ready).
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.status == HealthStatus::Ready
    }

    /// Whether clients may be sent here: not where it drains. A node whose backends are away serves
    /// its sessions all the same, and so may all others be: to send nobody anywhere would help none.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.status != HealthStatus::Draining
    }

    /// What follows from how the links are. `alone`: it has a broker, and isn't started. `full`: how
    /// many connections there may be, where there are as many.
    pub(crate) fn judged(mut self, is_draining: bool, alone: bool, full: Option<usize>) -> Self {
        let links = [
            ("broker", &self.broker),
            ("history", &self.history),
            ("presence", &self.presence),
            ("revocations", &self.revocations),
        ];
        let bad = links.into_iter().filter_map(|(name, link)| match link {
            Link::Blocked => Some(format!("{name}: blocked")),
            Link::Down { .. } => Some(format!("{name}: down")),
            Link::NotStarted | Link::Up => None,
        });
        let mut reasons: Vec<String> = bad.collect();
        if alone {
            reasons.push("broker: the gateway isn't started".to_owned());
        }
        if let Some(most) = full {
            reasons.push(format!("connections: {most} of {most}"));
        }
        self.status = if is_draining {
            reasons.insert(0, "draining".to_owned());
            HealthStatus::Draining
        } else if reasons.is_empty() {
            HealthStatus::Ready
        } else {
            HealthStatus::Degraded
        };
        self.reasons = reasons;
        self
    }
}

/// How a node is, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HealthStatus {
    /// Everything works, as far as is known.
    Ready,
    /// It serves its clients, and something is missing: the [reasons](Health::reasons) say what.
    Degraded,
    /// It ends, and accepts nobody.
    Draining,
}

/// How a link is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Link {
    /// It is up, but accepts nothing for now.
    Blocked,
    /// It is down, or a part of it.
    #[non_exhaustive]
    Down {
        /// What is down and why, for people.
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
    /// Its name in metrics.
    #[cfg(feature = "metrics")]
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Down { .. } => "down",
            Self::NotStarted => "not_started",
            Self::Up => "up",
        }
    }

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
