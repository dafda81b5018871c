//! A broker in this process.

use std::{
    collections::{HashMap, HashSet},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::Stream;
use tokio::sync::mpsc;

use super::{
    Broker, BrokerError, BrokerErrorKind, BrokerEvent, BrokerEvents, BrokerLimits, BrokerMessage,
    Join, NodeInfo, Published, Subscription, Topic, TopicName,
};
use crate::{Events, NodeId};

/// How many messages may wait for a member.
const QUEUE: usize = 1024;
/// How long a publisher waits for room at a member, which then misses the message.
const PATIENCE: Duration = Duration::from_secs(2);
/// For how many topics numbers are kept; past it all of them begin behind the highest.
const TOPICS: usize = 16_384;

/// Joins gateways of one process.
///
/// A clone is *another member* of the same bus: give each gateway a clone of its own. With the
/// default of one gateway there is nobody to publish to.
#[derive(Debug)]
pub struct LocalBroker {
    bus: Arc<Mutex<Bus>>,
    own: Arc<Mutex<Own>>,
    events: Arc<Events<BrokerEvent>>,
    /// Held while a message is handed out, so that numbers arrive in order.
    numbers: tokio::sync::Mutex<Numbers>,
}

type Bus = HashMap<NodeId, Member>;

#[derive(Debug, Clone)]
struct Member {
    node: NodeInfo,
    topics: HashSet<TopicName>,
    inbox: mpsc::Sender<BrokerMessage>,
    events: Arc<Events<BrokerEvent>>,
}

impl Member {
    fn hears(&self, topic: &Topic) -> bool {
        match topic {
            Topic::All => true,
            Topic::Node(id) => self.node.id == *id,
            Topic::Named(name) => self.topics.contains(name),
        }
    }
}

#[derive(Debug, Default)]
struct Own {
    node: Option<NodeInfo>,
    closed: bool,
}

/// The last number of each topic.
#[derive(Debug, Default)]
struct Numbers {
    last: HashMap<Topic, u64>,
    highest: u64,
}

impl Numbers {
    fn next(&mut self, topic: &Topic) -> u64 {
        if self.last.len() >= TOPICS && !self.last.contains_key(topic) {
            self.highest = self.last.values().copied().max().unwrap_or(0);
            self.last.clear();
        }
        let last = self.last.entry(topic.clone()).or_insert(self.highest);
        *last += 1;
        *last
    }
}

impl Default for LocalBroker {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for LocalBroker {
    fn clone(&self) -> Self {
        Self::on(Arc::clone(&self.bus))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn closed() -> BrokerError {
    BrokerError::new(BrokerErrorKind::Closed, "the broker is closed")
}

impl LocalBroker {
    /// The first member of a new bus.
    #[must_use]
    pub fn new() -> Self {
        Self::on(Arc::default())
    }

    fn on(bus: Arc<Mutex<Bus>>) -> Self {
        Self {
            bus,
            own: Arc::default(),
            events: Arc::default(),
            numbers: tokio::sync::Mutex::default(),
        }
    }

    fn node(&self) -> Result<NodeInfo, BrokerError> {
        let own = lock(&self.own);
        match &own.node {
            _ if own.closed => Err(closed()),
            Some(node) => Ok(node.clone()),
            None => {
                let context = "subscribe first: the broker doesn't know this node yet";
                Err(BrokerError::new(BrokerErrorKind::Unavailable, context))
            }
        }
    }

    /// Changes the topics of this member.
    fn change(&self, change: impl FnOnce(&mut HashSet<TopicName>)) -> Result<(), BrokerError> {
        let node = self.node()?;
        if let Some(member) = lock(&self.bus).get_mut(&node.id) {
            change(&mut member.topics);
        }
        Ok(())
    }
}

impl Broker for LocalBroker {
    async fn subscribe(&self, join: Join) -> Result<Subscription, BrokerError> {
        let Join { node, topics } = join;
        let mut own = lock(&self.own);
        if own.closed {
            return Err(closed());
        }
        if own.node.is_some() {
            let context = "this member is subscribed already; a clone is another member";
            return Err(BrokerError::new(BrokerErrorKind::Config, context));
        }
        let mut bus = lock(&self.bus);
        if bus.contains_key(&node.id) {
            let context = format!(
                "another node is alive under the id {}; give each node an id of its own",
                node.id
            );
            return Err(BrokerError::new(BrokerErrorKind::DuplicateNode, context));
        }
        let (inbox, received) = mpsc::channel(QUEUE);
        self.events.send(BrokerEvent::Up);
        for other in bus.values() {
            self.events.send(BrokerEvent::node_up(other.node.clone()));
            other.events.send(BrokerEvent::node_up(node.clone()));
        }
        let member = Member {
            node: node.clone(),
            topics: topics.into_iter().collect(),
            inbox,
            events: Arc::clone(&self.events),
        };
        bus.insert(node.id.clone(), member);
        own.node = Some(node.clone());
        Ok(Subscription::new(Inbox {
            bus: Arc::clone(&self.bus),
            own: Arc::clone(&self.own),
            node,
            received,
        }))
    }

    async fn join(&self, topic: &TopicName) -> Result<(), BrokerError> {
        self.change(|topics| {
            topics.insert(topic.clone());
        })
    }

    async fn leave(&self, topic: &TopicName) -> Result<(), BrokerError> {
        self.change(|topics| {
            topics.remove(topic);
        })
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<Published, BrokerError> {
        let node = self.node()?;
        let mut numbers = self.numbers.lock().await;
        let seq = numbers.next(topic);
        let others = |member: &&Member| member.node != node && member.hears(topic);
        let mut left = Undelivered {
            members: lock(&self.bus).values().filter(others).cloned().collect(),
            source: &node.id,
            topic,
        };
        let mut routed = !matches!(topic, Topic::Node(_));
        while let Some(member) = left.members.last() {
            let message = BrokerMessage::new(topic.clone(), data.clone(), node.clone(), seq);
            match member.inbox.send_timeout(message, PATIENCE).await {
                Ok(()) => routed = true,
                Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                    left.report(member);
                    routed = true;
                }
                Err(mpsc::error::SendTimeoutError::Closed(_)) => {}
            }
            left.members.pop();
        }
        Ok(if routed {
            Published::Routed
        } else {
            Published::NoRoute
        })
    }

    fn limits(&self) -> BrokerLimits {
        BrokerLimits::none()
    }

    fn events(&self) -> BrokerEvents {
        BrokerEvents::new(self.events.subscribe())
    }

    async fn close(&self) {
        let node = {
            let mut own = lock(&self.own);
            own.closed = true;
            own.node.take()
        };
        self.events.close();
        if let Some(node) = node {
            leave(&self.bus, &node);
        }
    }
}

/// Those who have yet to get a message. Whoever is left when the publisher gives up misses it.
struct Undelivered<'p> {
    members: Vec<Member>,
    source: &'p NodeId,
    topic: &'p Topic,
}

impl Undelivered<'_> {
    fn report(&self, member: &Member) {
        let gap = BrokerEvent::gap(self.source.clone(), Some(self.topic.clone()), 1);
        member.events.send(gap);
    }
}

impl Drop for Undelivered<'_> {
    fn drop(&mut self) {
        self.members.iter().for_each(|member| self.report(member));
    }
}

/// Removes a member from the bus, which ends its inbox.
fn leave(bus: &Mutex<Bus>, node: &NodeInfo) {
    let mut bus = lock(bus);
    if bus.get(&node.id).is_some_and(|member| member.node == *node) {
        bus.remove(&node.id);
        for other in bus.values() {
            other.events.send(BrokerEvent::node_down(node.clone()));
        }
    }
}

/// What waits for a member. Dropping it leaves the bus.
struct Inbox {
    bus: Arc<Mutex<Bus>>,
    own: Arc<Mutex<Own>>,
    node: NodeInfo,
    received: mpsc::Receiver<BrokerMessage>,
}

impl Stream for Inbox {
    type Item = BrokerMessage;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<BrokerMessage>> {
        self.received.poll_recv(cx)
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        // In the order of `subscribe`.
        let mut own = lock(&self.own);
        leave(&self.bus, &self.node);
        if own.node.as_ref() == Some(&self.node) {
            own.node = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};

    use super::*;
    use crate::Incarnation;

    #[tokio::test]
    async fn whom_a_publication_that_was_dropped_did_not_reach_has_missed_it() {
        let bus = LocalBroker::new();
        let node = |name: &str| NodeInfo::new(name.parse().unwrap(), Incarnation::random());
        let others = [bus.clone(), bus.clone()];
        let mut joined = Vec::new();
        for (other, name) in others.iter().zip(["a", "b"]) {
            let events = other.events();
            joined.push((
                other.subscribe(Join::new(node(name))).await.unwrap(),
                events,
            ));
        }
        let _own = bus.subscribe(Join::new(node("here"))).await.unwrap();
        let mut sent = 1_u64;
        // Dropped at its first wait, which comes when an inbox is full.
        while let Some(published) = bus.publish(&Topic::All, Bytes::new()).now_or_never() {
            assert_eq!(published.unwrap(), Published::Routed);
            sent += 1;
            // Each turn has a budget, at whose end everything seems to wait.
            tokio::task::yield_now().await;
        }
        for (mut inbox, mut events) in joined {
            let (mut came, mut missed) = (0, 0);
            while let Some(Some(_)) = inbox.next().now_or_never() {
                came += 1;
                tokio::task::yield_now().await;
            }
            while let Some(Some(event)) = events.next().now_or_never() {
                if let BrokerEvent::Gap { missed: more, .. } = event {
                    missed += more;
                }
            }
            assert_eq!((came + missed, came < sent), (sent, true));
        }
    }
}
