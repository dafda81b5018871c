//! What happens to the store, for all who listen.

use std::sync::{Mutex, MutexGuard, PoisonError};

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

#[derive(Debug)]
struct State {
    connections: Vec<Condition>,
    is_down: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Unknown,
    Well,
    Ill,
}

impl Health {
    pub(crate) fn new(connections: usize) -> Self {
        Self {
            state: Mutex::new(State {
                connections: vec![Condition::Unknown; connections],
                is_down: false,
            }),
            events: Events::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn well(&self, connection: usize) {
        let mut state = self.state();
        state.set(connection, Condition::Well);
        if state.is_down && state.connections.iter().all(|c| *c == Condition::Well) {
            state.is_down = false;
            tracing::info!(target: realtime_core::log_targets::PRESENCE, "Redis is up");
            self.events.send(PresenceEvent::Up);
        }
    }

    pub(crate) fn ill(&self, connection: usize, cause: String) {
        let mut state = self.state();
        state.set(connection, Condition::Ill);
        if !state.is_down {
            state.is_down = true;
            tracing::warn!(target: realtime_core::log_targets::PRESENCE, cause, "Redis is down");
            self.events.send(PresenceEvent::Down { cause });
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
    fn set(&mut self, connection: usize, condition: Condition) {
        if let Some(known) = self.connections.get_mut(connection) {
            *known = condition;
        }
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
        let health = Health::new(2);
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
}
