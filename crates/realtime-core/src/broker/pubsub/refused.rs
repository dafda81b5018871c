//! What the node is in, and the server doesn't take on this link. It is asked for again until it does.

use std::{collections::HashSet, future::pending, time::Duration};

use tokio::time::{Instant, sleep_until};

use crate::broker::{TopicName, stream::Topics};

/// How long it takes until the server is asked again for what it has refused.
const AGAIN: Duration = Duration::from_secs(5);

/// The topics that are refused, and when the next of them is asked for: one at a time, since others
/// have their turn, too.
#[derive(Debug)]
pub(super) struct Refused {
    names: HashSet<TopicName>,
    /// Those of them for which the server is still to be asked in this round.
    round: Vec<TopicName>,
    next: Instant,
    /// What the server has said last.
    cause: String,
    /// Something is taken that was refused.
    is_any_taken: bool,
    /// Those who listen know that something is refused.
    is_told: bool,
}

impl Refused {
    /// Nothing is, on a new link.
    pub(super) fn new() -> Self {
        Self {
            names: HashSet::new(),
            round: Vec::new(),
            next: Instant::now() + AGAIN,
            cause: String::new(),
            is_any_taken: false,
            is_told: false,
        }
    }

    /// It is to be asked for later.
    pub(super) fn add(&mut self, name: TopicName) {
        self.names.insert(name);
    }

    /// Why the server has refused one.
    pub(super) fn note(&mut self, cause: String) {
        self.cause = cause;
    }

    /// The server takes it.
    pub(super) fn take(&mut self, name: &TopicName) {
        self.is_any_taken |= self.names.remove(name);
    }

    /// What was left meanwhile isn't asked for again.
    pub(super) fn keep(&mut self, topics: &Topics) {
        self.names.retain(|name| topics.contains(name));
        self.round.retain(|name| topics.contains(name));
    }

    /// Waits until there is something to ask for, or to tell.
    ///
    /// # Cancel safety
    /// Dropped before it returns, nothing is lost.
    pub(super) async fn due(&self) {
        match self.names.is_empty() {
            _ if self.has_news() => {}
            true => pending().await,
            false => sleep_until(self.next).await,
        }
    }

    /// What is to be asked for now.
    pub(super) fn pop(&mut self) -> Option<TopicName> {
        if self.round.is_empty() {
            self.round = self.names.iter().cloned().collect();
        }
        self.round.pop()
    }

    /// It took so long to ask: as long others have their turn, or longer once all were asked for.
    pub(super) fn asked(&mut self, took: Duration) {
        let pause = match self.round.is_empty() {
            true => AGAIN,
            false => took,
        };
        self.next = Instant::now() + pause;
    }

    /// Whether something is to be told: all of a round at once.
    pub(super) fn has_news(&self) -> bool {
        let is_over = self.is_any_taken && self.round.is_empty();
        self.is_told && (self.names.is_empty() || is_over)
    }

    /// What is told now: why the link isn't whole.
    pub(super) fn tell(&mut self) -> Option<String> {
        self.is_any_taken = false;
        let first = self.names.iter().min();
        let cause = first.map(|first| {
            let (count, cause) = (self.names.len(), &self.cause);
            format!("the server refuses {count} of this node's topics, first {first:?}: {cause}")
        });
        self.is_told = cause.is_some();
        cause
    }
}
