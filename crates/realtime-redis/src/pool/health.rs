//! What happens to the store, for all who listen.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A change of a pool's health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It can't be used.
    Down {
        /// Why, for people.
        cause: String,
    },
    /// It can be used again.
    Up,
}

/// The health of all connections together: the store is up when each of them is well.
pub(crate) struct Health {
    state: Mutex<State>,
    /// Told while the state is locked, so that changes come in its order.
    tell: Box<dyn Fn(Change) + Send + Sync>,
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
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
    pub(crate) fn new(tell: impl Fn(Change) + Send + Sync + 'static) -> Self {
        Self {
            state: Mutex::default(),
            tell: Box::new(tell),
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
            (self.tell)(Change::Up);
        }
    }

    pub(crate) fn ill(&self, connection: usize, cause: String) {
        let mut state = self.state();
        if state.set(connection, Condition::Ill) && !state.is_down {
            state.is_down = true;
            (self.tell)(Change::Down { cause });
        }
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
    use std::sync::Arc;

    use super::*;

    fn down(cause: &str) -> Change {
        Change::Down {
            cause: cause.to_owned(),
        }
    }

    /// And what it has told.
    fn health() -> (Health, Arc<Mutex<Vec<Change>>>) {
        let told = Arc::new(Mutex::new(Vec::new()));
        let listener = Arc::clone(&told);
        let health = Health::new(move |change| listener.lock().unwrap().push(change));
        (health, told)
    }

    #[test]
    fn one_ill_connection_is_down_and_all_well_is_up() {
        let (health, told) = health();
        assert_eq!((health.add(), health.add()), (0, 1));
        health.well(0);
        health.well(1);
        health.ill(1, "first".to_owned());
        health.ill(0, "second".to_owned());
        health.well(1);
        health.well(0);
        health.well(0);
        assert_eq!(*told.lock().unwrap(), [down("first"), Change::Up]);
    }

    #[test]
    fn what_is_not_needed_any_more_does_not_count() {
        let (health, told) = health();
        let (one, other) = (health.add(), health.add());
        health.well(one);
        health.ill(other, "gone".to_owned());
        health.remove(other);
        health.ill(other, "still gone".to_owned());
        assert_eq!(*told.lock().unwrap(), [down("gone"), Change::Up]);
    }
}
