//! Who has asked for which named topic, and who was told that it is joined.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Topics;
use crate::broker::{BrokerError, TopicName};

/// What [`join`](crate::broker::Broker::join) promises of several who ask for one topic: the node
/// stays in it as long as somebody asks, or was told that it is joined. Who fails or gives up takes
/// it from nobody else.
///
/// ```
/// use realtime::broker::{BrokerError, TopicName, stream::{Joins, Topics}};
/// use std::sync::Arc;
///
/// let (topics, name): (Arc<Topics>, TopicName) = (Arc::default(), "order:42".parse()?);
/// let joins = Joins::new(Arc::clone(&topics));
/// joins.begin(&name, || {})?.succeed();
/// let gives_up = joins.begin(&name, || unreachable!("somebody was told that it is joined"))?;
/// drop(gives_up);
/// assert!(topics.contains(&name));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Joins {
    /// Changed while `places` is locked.
    topics: Arc<Topics>,
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    /// How many there have been.
    made: u64,
    of: HashMap<TopicName, Place>,
}

/// A topic, from the first who asks for it until it is left.
#[derive(Debug)]
struct Place {
    number: u64,
    attempts: usize,
    is_joined: bool,
}

impl Joins {
    /// Nobody has asked for a topic yet.
    #[must_use]
    pub fn new(topics: Arc<Topics>) -> Self {
        let places = Mutex::default();
        Self { topics, places }
    }

    /// Somebody asks for a topic: call it before the server is asked. `gives_up` is called when the
    /// node is in the topic no more, since this attempt was dropped without success and was the last.
    ///
    /// # Errors
    /// As [`Topics::join`].
    pub fn begin<'j, G: FnOnce()>(
        &'j self,
        topic: &'j TopicName,
        gives_up: G,
    ) -> Result<Attempt<'j, G>, BrokerError> {
        let mut places = self.places();
        self.topics.join(topic)?;
        let Places { made, of } = &mut *places;
        let place = of.entry(topic.clone()).or_insert_with(|| {
            *made += 1;
            Place {
                number: *made,
                attempts: 0,
                is_joined: false,
            }
        });
        place.attempts += 1;
        Ok(Attempt {
            joins: self,
            topic,
            number: place.number,
            gives_up: Some(gives_up),
        })
    }

    /// Whether somebody was told that this topic is joined.
    #[must_use]
    pub fn contains(&self, topic: &TopicName) -> bool {
        self.places().of.get(topic).is_some_and(|p| p.is_joined)
    }

    /// Nobody wants it any more, who is asking for it just now included. Returns whether the node was
    /// in it.
    pub fn leave(&self, topic: &TopicName) -> bool {
        let mut places = self.places();
        places.of.remove(topic);
        self.topics.leave(topic)
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who has asked for a topic. Dropping it gives up.
#[must_use]
pub struct Attempt<'j, G: FnOnce()> {
    joins: &'j Joins,
    topic: &'j TopicName,
    /// Of the place; another has another.
    number: u64,
    gives_up: Option<G>,
}

impl<G: FnOnce()> Attempt<'_, G> {
    /// It is joined. Where it was left meanwhile it stays so.
    pub fn succeed(self) {
        let mut places = self.joins.places();
        if let Some(place) = places.of.get_mut(self.topic)
            && place.number == self.number
        {
            place.is_joined = true;
        }
    }
}

impl<G: FnOnce()> Drop for Attempt<'_, G> {
    fn drop(&mut self) {
        let mut places = self.joins.places();
        let place = places.of.get_mut(self.topic);
        let Some(place) = place.filter(|place| place.number == self.number) else {
            return;
        };
        place.attempts -= 1;
        if place.attempts > 0 || place.is_joined {
            return;
        }
        places.of.remove(self.topic);
        self.joins.topics.leave(self.topic);
        drop(places);
        if let Some(gives_up) = self.gives_up.take() {
            gives_up();
        }
    }
}

impl<G: FnOnce()> fmt::Debug for Attempt<'_, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn joins() -> (Joins, TopicName) {
        (Joins::new(Arc::default()), "a".parse().unwrap())
    }

    #[test]
    fn who_gives_up_leaves_the_topic_to_those_who_still_ask() {
        let (joins, name) = joins();
        let given_up = Cell::new(0);
        let ask = || {
            joins
                .begin(&name, || given_up.set(given_up.get() + 1))
                .unwrap()
        };
        let (first, second) = (ask(), ask());
        drop(first);
        assert!(joins.topics.contains(&name));
        assert!(!joins.contains(&name), "nobody was told so yet");
        drop(second);
        assert!(!joins.topics.contains(&name));
        assert_eq!(given_up.get(), 1);
    }

    #[test]
    fn joining_again_without_success_changes_nothing() {
        let (joins, name) = joins();
        joins.begin(&name, || {}).unwrap().succeed();
        drop(joins.begin(&name, || panic!("nobody gives up")).unwrap());
        assert!(joins.contains(&name) && joins.topics.contains(&name));
        assert!(joins.leave(&name));
        assert!(!joins.contains(&name) && !joins.leave(&name));
    }

    #[test]
    fn what_is_left_meanwhile_stays_left_and_who_asks_anew_is_not_disturbed() {
        let (joins, name) = joins();
        let former = joins.begin(&name, || panic!("nobody gives up")).unwrap();
        let late = joins.begin(&name, || panic!("nobody gives up")).unwrap();
        joins.leave(&name);
        former.succeed();
        assert!(!joins.contains(&name) && !joins.topics.contains(&name));
        let anew = joins.begin(&name, || {}).unwrap();
        drop(late);
        assert!(joins.topics.contains(&name));
        anew.succeed();
        assert!(joins.contains(&name));
    }
}
