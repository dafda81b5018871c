//! What happens to the store, for all who listen.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use realtime_core::Causes;

/// How many parts that are down are named. There may be many servers.
const NAMED: usize = 4;

/// A change of a pool's health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It can't be used, or a part of it. Told again where more of it goes, where some of it, but
    /// not all, comes back, and where a part is down for another reason than before.
    #[non_exhaustive]
    Down {
        /// What is down and why, for people.
        cause: String,
    },
    /// All of it can be used again.
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
    connections: HashMap<usize, Connection>,
    added: usize,
    is_down: bool,
    /// In the order in which they went.
    down: Vec<Outage>,
}

#[derive(Debug)]
struct Connection {
    /// What it is a part of: a server.
    part: Arc<str>,
    condition: Condition,
}

/// A part that is down, and why, as far as is known last.
#[derive(Debug)]
struct Outage {
    part: Arc<str>,
    cause: String,
    /// Its connections may fail in turn for different reasons: each is told once.
    causes: Causes,
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

    /// Another connection of this part, of which nothing is known yet, and its number.
    pub(crate) fn add(&self, part: Arc<str>) -> usize {
        let mut state = self.state();
        let number = state.added;
        state.added += 1;
        let condition = Condition::Unknown;
        state
            .connections
            .insert(number, Connection { part, condition });
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
        let State {
            connections, down, ..
        } = state;
        let before = down.len();
        down.retain(|outage| {
            let mut own = connections.values().filter(|one| one.part == outage.part);
            own.any(|one| one.condition != Condition::Well)
        });
        let (is_less, mut all) = (down.len() < before, connections.values());
        if state.is_down && all.all(|one| one.condition == Condition::Well) {
            state.is_down = false;
            (self.tell)(Change::Up);
        } else if is_less && !down.is_empty() {
            let cause = state.cause();
            (self.tell)(Change::Down { cause });
        }
    }

    pub(crate) fn ill(&self, connection: usize, cause: String) {
        let mut state = self.state();
        let Some(part) = state.set(connection, Condition::Ill) else {
            return;
        };
        let before = state.cause();
        if let Some(outage) = state.down.iter_mut().find(|outage| outage.part == part) {
            let is_new = outage.causes.is_new(&cause);
            // Whatever is told next names it.
            outage.cause = cause;
            if !is_new {
                return;
            }
        } else {
            let mut causes = Causes::default();
            let _first = causes.is_new(&cause);
            state.down.push(Outage {
                part,
                cause,
                causes,
            });
        }
        state.is_down = true;
        let cause = state.cause();
        // That of a part that isn't named is told to nobody.
        if cause != before {
            (self.tell)(Change::Down { cause });
        }
    }
}

impl State {
    /// What it is a part of, where it is one of ours.
    fn set(&mut self, connection: usize, condition: Condition) -> Option<Arc<str>> {
        let known = self.connections.get_mut(&connection)?;
        known.condition = condition;
        Some(Arc::clone(&known.part))
    }

    /// What is down and why, as far as there is room for it.
    fn cause(&self) -> String {
        let named = self.down.iter().take(NAMED);
        let mut causes: Vec<_> = named
            .map(|outage| format!("{}: {}", outage.part, outage.cause))
            .collect();
        match self.down.len().saturating_sub(NAMED) {
            0 => {}
            more => causes.push(format!("and {more} more")),
        }
        causes.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn down(cause: &str) -> Change {
        Change::Down {
            cause: cause.to_owned(),
        }
    }

    /// And what it has told since it was asked last.
    fn health() -> (Health, impl Fn() -> Vec<Change>) {
        let told = Arc::new(Mutex::new(Vec::new()));
        let listener = Arc::clone(&told);
        let health = Health::new(move |change| listener.lock().unwrap().push(change));
        (health, move || std::mem::take(&mut *told.lock().unwrap()))
    }

    #[test]
    fn one_ill_connection_is_down_and_all_well_is_up() {
        let (health, told) = health();
        assert_eq!((health.add("a".into()), health.add("a".into())), (0, 1));
        health.well(0);
        health.well(1);
        health.ill(1, "first".to_owned());
        health.ill(0, "first".to_owned());
        health.well(1);
        health.well(0);
        health.well(0);
        assert_eq!(told(), [down("a: first"), Change::Up]);
    }

    #[test]
    fn each_reason_for_which_a_part_is_down_is_told_once_in_an_outage() {
        let (health, told) = health();
        let (one, other) = (health.add("a".into()), health.add("a".into()));
        for _ in 0..3 {
            health.ill(one, "refused".to_owned());
            health.ill(other, "wrong password".to_owned());
        }
        assert_eq!(told(), [down("a: refused"), down("a: wrong password")]);
        health.ill(one, "refused".to_owned());
        assert_eq!(told(), []);
        let another = health.add("b".into());
        health.ill(another, "gone".to_owned());
        assert_eq!(told(), [down("a: refused; b: gone")]);
        health.remove(another);
        assert_eq!(told(), [down("a: refused")]);
        health.well(one);
        health.well(other);
        assert_eq!(told(), [Change::Up]);
        for n in 0..100 {
            health.ill(one, n.to_string());
        }
        assert_eq!(told().len(), 16, "and not without end");
        health.well(one);
        health.ill(other, "refused".to_owned());
        let last = [Change::Up, down("a: refused")];
        assert_eq!(told(), last, "another outage");
    }

    #[test]
    fn what_is_not_needed_any_more_does_not_count() {
        let (health, told) = health();
        let (one, other) = (health.add("a".into()), health.add("b".into()));
        health.well(one);
        health.ill(other, "gone".to_owned());
        health.remove(other);
        health.ill(other, "still gone".to_owned());
        assert_eq!(told(), [down("b: gone"), Change::Up]);
    }

    #[test]
    fn each_part_that_goes_or_comes_back_is_told() {
        let (health, told) = health();
        let [a, b, c] = ["a", "b", "c"].map(|part| health.add(part.into()));
        let again = health.add("a".into());
        for connection in [a, b, c, again] {
            health.well(connection);
        }
        health.ill(a, "refused".to_owned());
        health.ill(b, "silent".to_owned());
        health.ill(again, "refused".to_owned());
        assert_eq!(told(), [down("a: refused"), down("a: refused; b: silent")]);
        health.well(a);
        assert_eq!(told(), [], "half of it");
        health.well(again);
        assert_eq!(told(), [down("b: silent")]);
        // What is new keeps it down, and isn't named.
        let new = health.add("d".into());
        health.well(b);
        assert_eq!(told(), []);
        health.well(new);
        assert_eq!(told(), [Change::Up]);
    }

    #[test]
    fn of_many_parts_some_are_named() {
        let (health, told) = health();
        for n in 0..100 {
            let connection = health.add(format!("s{n}").into());
            health.ill(connection, "gone".to_owned());
        }
        let last = "s0: gone; s1: gone; s2: gone; s3: gone; and 96 more";
        assert_eq!(told().last(), Some(&down(last)));
        // What isn't named is told to nobody.
        health.ill(99, "for another reason".to_owned());
        assert_eq!(told(), []);
    }
}
