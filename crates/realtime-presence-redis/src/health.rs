//! What happens to the store, told to everybody who listens.

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::stream;
use realtime_core::presence::{PresenceEvent, PresenceEvents};
use tokio::sync::broadcast::{self, error::RecvError};

/// How many events wait for a listener that doesn't read.
const BACKLOG: usize = 64;

/// The health of all connections together: the store is up when each of them is well.
#[derive(Debug)]
pub(crate) struct Health(Mutex<State>);

#[derive(Debug)]
struct State {
    connections: Vec<Condition>,
    is_down: bool,
    /// Dropped at the end, which ends the streams.
    listeners: Option<broadcast::Sender<PresenceEvent>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Unknown,
    Well,
    Ill,
}

impl Health {
    pub(crate) fn new(connections: usize) -> Self {
        Self(Mutex::new(State {
            connections: vec![Condition::Unknown; connections],
            is_down: false,
            listeners: Some(broadcast::Sender::new(BACKLOG)),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn well(&self, connection: usize) {
        let mut state = self.state();
        state.set(connection, Condition::Well);
        if state.is_down && state.connections.iter().all(|c| *c == Condition::Well) {
            state.is_down = false;
            tracing::info!(target: "realtime::presence", "Redis is up");
            state.tell(PresenceEvent::Up);
        }
    }

    pub(crate) fn ill(&self, connection: usize, cause: String) {
        let mut state = self.state();
        state.set(connection, Condition::Ill);
        if !state.is_down {
            state.is_down = true;
            tracing::warn!(target: "realtime::presence", cause, "Redis is down");
            state.tell(PresenceEvent::Down { cause });
        }
    }

    /// A stream of its own for each caller, from now on.
    pub(crate) fn events(&self) -> PresenceEvents {
        let events = self
            .state()
            .listeners
            .as_ref()
            .map(broadcast::Sender::subscribe);
        PresenceEvents::new(stream::unfold(events, |events| async move {
            let mut events = events?;
            loop {
                match events.recv().await {
                    Ok(event) => return Some((event, Some(events))),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        }))
    }

    pub(crate) fn close(&self) {
        self.state().listeners.take();
    }
}

impl State {
    fn set(&mut self, connection: usize, condition: Condition) {
        if let Some(known) = self.connections.get_mut(connection) {
            *known = condition;
        }
    }

    fn tell(&self, event: PresenceEvent) {
        if let Some(listeners) = &self.listeners {
            // Nobody has to listen.
            let _heard = listeners.send(event);
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
        let heard: Vec<_> = events.collect().await;
        assert_eq!(heard, [down("first"), PresenceEvent::Up]);
    }

    #[tokio::test]
    async fn a_stream_that_is_not_read_loses_its_oldest_events() {
        let health = Health::new(1);
        let events = health.events();
        for n in 0..100 {
            health.ill(0, n.to_string());
            health.well(0);
        }
        health.close();
        let heard: Vec<_> = events.collect().await;
        assert_eq!(heard.len(), BACKLOG);
        assert_eq!(heard.last(), Some(&PresenceEvent::Up));
        assert_eq!(heard.first(), Some(&down("68")));
    }
}
