//! What happens to the store, for all who listen.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use realtime_core::{
    Events,
    presence::{PresenceEvent, PresenceEvents},
};

/// The health of all connections together: the store is up when each of them is well.
#[derive(Debug)]
pub(crate) struct Health {
    state: Mutex<State>,
    /// Sent while the state is locked, so that they come in its order.
    events: Events<PresenceEvent>,
}

#[derive(Debug, Default)]
struct State {
    connections: HashMap<usize, Condition>,
    added: usize,
    is_down: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Unknown,
    Well,
    Ill,
}

impl Health {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
            events: Events::new(),
        }
    }

    /// Another connection, of which nothing is known yet, and its number.
    pub(crate) fn add(&self) -> usize {
        let mut state = self.state();
        let number = state.added;
        state.added += 1;
        state.connections.insert(number, Condition::Unknown);
        number
    }

    /// A connection that isn't needed any more. The others may be well.
    pub(crate) fn remove(&self, connection: usize) {
        let mut state = self.state();
        state.connections.remove(&connection);
        self.recover(&mut state);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn well(&self, connection: usize) {
        let mut state = self.state();
        state.set(connection, Condition::Well);
        self.recover(&mut state);
    }

    fn recover(&self, state: &mut State) {
        let mut all = state.connections.values();
        if state.is_down && all.all(|condition| *condition == Condition::Well) {
            state.is_down = false;
            // Before the log, whose layers are the program's and may panic.
            self.events.send(PresenceEvent::Up);
            tracing::debug!(target: realtime_core::log_targets::PRESENCE, "Redis is up");
        }
    }

    pub(crate) fn ill(&self, connection: usize, cause: String) {
        let mut state = self.state();
        if state.set(connection, Condition::Ill) && !state.is_down {
            state.is_down = true;
            self.events.send(PresenceEvent::Down {
                cause: cause.clone(),
            });
            // Whoever hears the event says it louder.
            tracing::debug!(target: realtime_core::log_targets::PRESENCE, cause, "Redis is down");
        }
    }

    /// A stream of its own for each caller, from now on.
    pub(crate) fn events(&self) -> PresenceEvents {
        PresenceEvents::new(self.events.subscribe())
    }

    pub(crate) fn close(&self) {
        self.events.close();
    }
}

impl State {
    /// Whether it is one of ours.
    fn set(&mut self, connection: usize, condition: Condition) -> bool {
        let known = self.connections.get_mut(&connection);
        known.map(|known| *known = condition).is_some()
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    fn down(cause: &str) -> PresenceEvent {
        PresenceEvent::Down {
            cause: cause.to_owned(),
        }
    }

    #[tokio::test]
    async fn one_ill_connection_is_down_and_all_well_is_up() {
        let health = Health::new();
        assert_eq!((health.add(), health.add()), (0, 1));
        let events = health.events();
        health.well(0);
        health.well(1);
        health.ill(1, "first".to_owned());
        health.ill(0, "second".to_owned());
        health.well(1);
        health.well(0);
        health.well(0);
        health.close();
        let received: Vec<_> = events.collect().await;
        assert_eq!(received, [down("first"), PresenceEvent::Up]);
    }

    #[tokio::test]
    async fn what_is_not_needed_any_more_does_not_count() {
        let health = Health::new();
        let (one, other) = (health.add(), health.add());
        let events = health.events();
        health.well(one);
        health.ill(other, "gone".to_owned());
        health.remove(other);
        health.ill(other, "still gone".to_owned());
        health.close();
        let heard: Vec<_> = events.collect().await;
        assert_eq!(heard, [down("gone"), PresenceEvent::Up]);
    }
}
