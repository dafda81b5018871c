//! Two nodes against each other, over a link that loses and repeats.

mod links;
mod nodes;
mod numbers;
mod traffic;

use std::sync::Arc;

use futures::{FutureExt, StreamExt};

use super::*;
use crate::broker::{BrokerEvents, TopicName};

fn info(name: &str) -> NodeInfo {
    NodeInfo::new(name.parse().unwrap(), Incarnation::random())
}

fn named(name: &str) -> (Topic, TopicName) {
    let name: TopicName = name.parse().unwrap();
    (Topic::Named(name.clone()), name)
}

/// A node whose events are heard.
struct Node {
    out: Outgoing,
    inn: Incoming,
    heard: BrokerEvents,
}

impl Node {
    fn new(name: &str) -> Self {
        Self::of(info(name))
    }

    fn of(node: NodeInfo) -> Self {
        let events = Arc::new(Events::new());
        let heard = BrokerEvents::new(events.subscribe());
        let (out, inn) = pair(node, events);
        Self { out, inn, heard }
    }

    fn own(&self) -> Topic {
        self.out.node().topic()
    }

    fn events(&mut self) -> Vec<BrokerEvent> {
        std::iter::from_fn(|| self.heard.next().now_or_never().flatten()).collect()
    }

    /// How many messages were missed since this was last asked.
    fn missed(&mut self) -> u64 {
        let events = self.events().into_iter();
        let gap = |event| match event {
            BrokerEvent::Gap { missed, .. } => missed,
            BrokerEvent::InvalidMessage { cause, .. } => panic!("{cause}"),
            _ => 0,
        };
        events.map(gap).sum()
    }

    /// Receives something, and tells how many were missed before it.
    fn misses(&mut self, bytes: Bytes) -> u64 {
        let _next = self.inn.receive(bytes);
        self.missed()
    }

    fn delivers(&mut self, bytes: Bytes) -> bool {
        matches!(self.inn.receive(bytes), Next::Deliver(_))
    }

    /// Everything that is due now.
    fn due(&mut self) -> Vec<Announcement> {
        std::iter::from_fn(|| match self.out.next().now_or_never()? {
            Due::Say(announcement) => Some(announcement),
            Due::LinkDown { cause } => panic!("{cause}"),
        })
        .collect()
    }

    /// What this node says of a topic now, as others hear it.
    async fn says(&mut self) -> Vec<Announcement> {
        self.out.begin();
        self.due()
    }
}
