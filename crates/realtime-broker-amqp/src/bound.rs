//! The named topics that somebody has joined with success.
//!
//! Several may ask for one topic at the same time, and some give up: the topic stays as long as one
//! of them was told that it is joined.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use realtime_core::broker::{BrokerError, TopicName, stream::Topics};

/// Some of the [`Topics`] of a node. They change together.
#[derive(Debug, Default)]
pub(crate) struct Bound(Mutex<HashSet<TopicName>>);

impl Bound {
    fn names(&self) -> MutexGuard<'_, HashSet<TopicName>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn contains(&self, topic: &TopicName) -> bool {
        self.names().contains(topic)
    }

    /// It is bound, whatever others who asked for it have done meanwhile.
    pub(crate) fn add(&self, topic: &TopicName, topics: &Topics) -> Result<(), BrokerError> {
        let mut names = self.names();
        topics.join(topic)?;
        names.insert(topic.clone());
        Ok(())
    }

    /// Nobody wants it any more. Returns whether the node was in it.
    pub(crate) fn leave(&self, topic: &TopicName, topics: &Topics) -> bool {
        let mut names = self.names();
        names.remove(topic);
        topics.leave(topic)
    }

    /// Somebody who has asked for it gives up.
    pub(crate) fn leave_unless_bound(&self, topic: &TopicName, topics: &Topics) {
        let names = self.names();
        if !names.contains(topic) {
            topics.leave(topic);
        }
    }
}
