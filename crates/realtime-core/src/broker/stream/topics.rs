//! The named topics that a node is in, and how far each source has come on them.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::stamp::Numbers;
use crate::broker::{BrokerError, BrokerErrorKind, NodeInfo, TopicName};

/// How many named topics a node may be in.
const TOPICS: usize = 100_000;
/// How many sources are remembered on one topic. Past it all of them begin anew, and what was
/// missed up to then isn't counted.
const SOURCES: usize = 4_096;

/// The named topics that a node is in.
#[derive(Debug, Default)]
pub struct Topics(Mutex<HashMap<TopicName, HashMap<NodeInfo, Option<u64>>>>);

impl Topics {
    /// How many named topics a node may be in.
    pub const MAX: usize = TOPICS;

    fn joined(&self) -> MutexGuard<'_, HashMap<TopicName, HashMap<NodeInfo, Option<u64>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The node wants what is published on a topic. Call it before the server is asked, since
    /// messages may come before its answer does. Returns whether the node was not in it before.
    ///
    /// # Errors
    /// Kind [`Config`](BrokerErrorKind::Config) past [`MAX`](Self::MAX) topics.
    pub fn join(&self, topic: &TopicName) -> Result<bool, BrokerError> {
        let mut joined = self.joined();
        if joined.contains_key(topic) {
            return Ok(false);
        }
        if joined.len() >= TOPICS {
            let context = format!("a node may be in {TOPICS} named topics; leave some first");
            return Err(BrokerError::new(BrokerErrorKind::Config, context));
        }
        joined.insert(topic.clone(), HashMap::new());
        Ok(true)
    }

    /// The node wants no more of a topic: from now on nothing of it is delivered. Returns whether
    /// the node was in it.
    pub fn leave(&self, topic: &TopicName) -> bool {
        self.joined().remove(topic).is_some()
    }

    /// What the node is in.
    #[must_use]
    pub fn all(&self) -> Vec<TopicName> {
        self.joined().keys().cloned().collect()
    }

    /// Whether the node is in this one.
    #[must_use]
    pub fn contains(&self, topic: &TopicName) -> bool {
        self.joined().contains_key(topic)
    }

    /// A message has come on a topic: how many are missing before it. Nothing for one to drop.
    pub(super) fn arrive(
        &self,
        topic: &TopicName,
        from: &NodeInfo,
        numbers: Numbers,
    ) -> Option<u64> {
        self.with_last(topic, from, |last| numbers.arrive(last))?
    }

    /// A source has come so far on a topic: how many never came.
    pub(super) fn reach(&self, topic: &TopicName, from: &NodeInfo, numbers: Numbers) -> u64 {
        self.with_last(topic, from, |last| numbers.reach(last))
            .unwrap_or(0)
    }

    /// What came on named topics while there was no link isn't known: all begin anew.
    pub(super) fn begin(&self) {
        self.joined().values_mut().for_each(HashMap::clear);
    }

    fn with_last<T>(
        &self,
        topic: &TopicName,
        from: &NodeInfo,
        note: impl FnOnce(&mut Option<u64>) -> T,
    ) -> Option<T> {
        let mut joined = self.joined();
        let sources = joined.get_mut(topic)?;
        if sources.len() >= SOURCES && !sources.contains_key(from) {
            sources.clear();
        }
        // A clone of the name only where it is new.
        Some(match sources.get_mut(from) {
            Some(last) => note(last),
            None => note(sources.entry(from.clone()).or_default()),
        })
    }
}
