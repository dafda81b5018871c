//! A broker in this process.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::Stream;
use tokio::sync::mpsc;

use super::{
    Broker, BrokerError, BrokerErrorKind, BrokerEvent, BrokerEvents, BrokerMessage, NodeInfo,
    Published, Subscription, Topic,
};
use crate::{Events, NodeId};

/// How many messages may wait for a member.
const QUEUE: usize = 1024;
/// How long a publisher waits for room at a member, which then misses the message.
const PATIENCE: Duration = Duration::from_secs(2);

/// Joins gateways of one process.
///
/// A clone is *another member* of the same bus: give each gateway a clone of its own. With the
/// default of one gateway there is nobody to publish to.
#[derive(Debug)]
pub struct LocalBroker {
    bus: Arc<Mutex<Bus>>,
    own: Mutex<Own>,
    events: Arc<Events<BrokerEvent>>,
    /// Numbers per topic. Held while a message is handed out, so that numbers arrive in order.
    numbers: tokio::sync::Mutex<HashMap<Topic, u64>>,
}

type Bus = HashMap<NodeId, Member>;

#[derive(Debug, Clone)]
struct Member {
    node: NodeInfo,
    topics: Vec<Topic>,
    inbox: mpsc::Sender<BrokerMessage>,
    events: Arc<Events<BrokerEvent>>,
}

#[derive(Debug, Default)]
struct Own {
    node: Option<NodeInfo>,
    closed: bool,
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
            own: Mutex::default(),
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
                let context = "subscribe before you publish: the broker doesn't know this node yet";
                Err(BrokerError::new(BrokerErrorKind::Unavailable, context))
            }
        }
    }
}

impl Broker for LocalBroker {
    async fn subscribe(
        &self,
        node: NodeInfo,
        topics: &[Topic],
    ) -> Result<Subscription, BrokerError> {
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
        let member = Member {
            node: node.clone(),
            topics: topics.to_vec(),
            inbox,
            events: Arc::clone(&self.events),
        };
        bus.insert(node.id.clone(), member);
        own.node = Some(node.clone());
        self.events.send(BrokerEvent::Up);
        Ok(Subscription::new(Inbox {
            bus: Arc::clone(&self.bus),
            node,
            received,
        }))
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<Published, BrokerError> {
        let node = self.node()?;
        let mut numbers = self.numbers.lock().await;
        let seq = numbers.entry(topic.clone()).or_default();
        *seq += 1;
        let message = BrokerMessage::new(topic.clone(), data, node.clone(), *seq);
        let others = |member: &&Member| {
            member.node.incarnation != node.incarnation && member.topics.contains(topic)
        };
        let members: Vec<Member> = lock(&self.bus).values().filter(others).cloned().collect();
        let mut routed = *topic == Topic::All;
        for member in members {
            match member.inbox.send_timeout(message.clone(), PATIENCE).await {
                Ok(()) => routed = true,
                Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                    let gap = BrokerEvent::Gap {
                        source: node.id.clone(),
                        missed: 1,
                    };
                    member.events.send(gap);
                    routed = true;
                }
                Err(mpsc::error::SendTimeoutError::Closed(_)) => {}
            }
        }
        Ok(if routed {
            Published::Routed
        } else {
            Published::NoRoute
        })
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

/// Removes a member from the bus, which ends its inbox.
fn leave(bus: &Mutex<Bus>, node: &NodeInfo) {
    let mut bus = lock(bus);
    if bus.get(&node.id).is_some_and(|member| member.node == *node) {
        bus.remove(&node.id);
    }
}

/// What waits for a member. Dropping it leaves the bus.
struct Inbox {
    bus: Arc<Mutex<Bus>>,
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
        leave(&self.bus, &self.node);
    }
}
