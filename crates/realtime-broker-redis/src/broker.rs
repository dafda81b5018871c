//! The broker itself: what the gateway calls.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::Stream;
use realtime_core::{
    Events,
    broker::{
        Broker, BrokerError, BrokerErrorKind, BrokerEvent, BrokerEvents, BrokerLimits,
        BrokerMessage, Join, Published, Subscription, Topic, TopicName,
        stream::{self, LoopbackTime, Numbered, Topics},
    },
};
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    time::{timeout, timeout_at},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{
    RedisBrokerConfig,
    error::{closed, invalid, unavailable},
    health::{Half, Health},
    locate::Locator,
    member::Member,
    publisher::{Publisher, Request, unanswered},
    subscriber::{Change, Delivered, INBOX, INBOX_BYTES, PIECE, Subscriber, pieces},
    traffic::WINDOW,
};

/// How long a publication may wait for others before it.
const TURN: Duration = Duration::from_secs(2);
/// How long leaving may take.
const LEAVE: Duration = Duration::from_secs(2);
/// How many changes of topics may wait for Redis.
const CHANGES: usize = 1_024;
/// How long joining a topic may take.
const JOIN: Duration = Duration::from_secs(5);

/// A member of a cluster that is joined over Redis pub/sub.
///
/// Making one opens no connection: [`subscribe`](Broker::subscribe) does, which the gateway's
/// `start` calls. While the link is down it is made anew without end, every 2 s at the most. See the
/// [crate's page](crate) for what is promised.
#[derive(Debug)]
pub struct RedisBroker {
    config: Arc<RedisBrokerConfig>,
    events: Arc<Events<BrokerEvent>>,
    /// Of all subscriptions.
    numbered: Numbered,
    loopback: LoopbackTime,
    own: Arc<Mutex<Own>>,
}

#[derive(Debug)]
enum Own {
    /// Nothing is connected, but for what is left of a subscription that was dropped.
    Idle(Option<TaskTracker>),
    Joining,
    Joined(Joined),
    Closed,
}

/// What a subscription needs while it is there.
#[derive(Debug, Clone)]
struct Joined {
    member: Arc<Member>,
    topics: Arc<Topics>,
    requests: mpsc::Sender<Request>,
    changes: mpsc::Sender<Change>,
    /// How much may be under way.
    window: Arc<Semaphore>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

fn lock(own: &Mutex<Own>) -> MutexGuard<'_, Own> {
    own.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RedisBroker {
    /// A member that has not joined yet.
    #[must_use]
    pub fn new(config: RedisBrokerConfig) -> Self {
        Self {
            config: Arc::new(config),
            events: Arc::default(),
            numbered: Numbered::default(),
            loopback: LoopbackTime::default(),
            own: Arc::new(Mutex::new(Own::Idle(None))),
        }
    }

    /// A member of the cluster at this URL; see [`RedisBrokerConfig::from_url`].
    ///
    /// # Errors
    /// When the URL can't be read.
    pub fn from_url(url: impl Into<String>) -> Result<Self, BrokerError> {
        RedisBrokerConfig::from_url(url).map(Self::new)
    }

    fn joined(&self) -> Result<Joined, BrokerError> {
        match &*lock(&self.own) {
            Own::Joined(joined) => Ok(joined.clone()),
            Own::Closed => Err(closed()),
            Own::Idle(_) | Own::Joining => Err(unavailable(
                "subscribe first: the broker doesn't know this node yet",
            )),
        }
    }

    /// What is left of the subscription before this one.
    fn begin(&self) -> Result<Option<TaskTracker>, BrokerError> {
        let mut own = lock(&self.own);
        match std::mem::replace(&mut *own, Own::Joining) {
            Own::Idle(left) => Ok(left),
            other => {
                let error = match &other {
                    Own::Closed => closed(),
                    _ => {
                        invalid("this member is subscribed already; make another for another node")
                    }
                };
                *own = other;
                Err(error)
            }
        }
    }

    async fn open(&self, join: Join, stop: &CancellationToken) -> Result<Open, BrokerError> {
        let node = join.node;
        let member = Arc::new(Member {
            config: Arc::clone(&self.config),
            node: node.clone(),
            events: Arc::clone(&self.events),
            health: Health::new(Arc::clone(&self.events)),
            subscribed: watch::Sender::new(0),
            deaf: watch::Sender::new(0),
        });
        let (mut outgoing, incoming) = stream::pair(node, Arc::clone(&self.events));
        outgoing.continue_from(&self.numbered);
        outgoing.measure(&self.loopback);
        let topics = Arc::clone(incoming.topics());
        for topic in &join.topics {
            topics.join(topic)?;
        }
        let (requests, publications) = mpsc::channel(WINDOW);
        let (changes, changed) = mpsc::channel(CHANGES);
        let (asks, questions) = mpsc::channel(1);
        let (inbox, received) = mpsc::channel(INBOX);
        let (joining, is_joined) = oneshot::channel();
        let (saying, is_accepted) = oneshot::channel();
        let mut publisher = Publisher {
            member: Arc::clone(&member),
            locator: Locator::new(&self.config),
            outgoing,
            requests: publications,
            questions,
            joining: Some(saying),
        };
        let subscriber = Subscriber {
            member: Arc::clone(&member),
            locator: Locator::new(&self.config),
            incoming,
            inbox,
            room: Arc::new(Semaphore::new(INBOX_BYTES / PIECE)),
            questions: asks,
            changes: changed,
            joining: Some(joining),
        };
        let first = publisher.connect().await?;
        let tasks = TaskTracker::new();
        tasks.spawn(publisher.run(first, stop.clone()));
        tasks.spawn(subscriber.run(stop.clone()));
        tasks.close();
        is_joined.await.unwrap_or_else(|_| Err(closed()))?;
        // Who may not publish hasn't joined.
        let accepted = timeout(JOIN, is_accepted).await;
        let late = |_| unavailable(format!("Redis did not answer in {JOIN:?}"));
        accepted.map_err(late)?.unwrap_or_else(|_| Err(closed()))?;
        let joined = Joined {
            member,
            topics,
            requests,
            changes,
            window: Arc::new(Semaphore::new(INBOX_BYTES / PIECE)),
            stop: stop.clone(),
            tasks,
        };
        Ok(Open { joined, received })
    }
}

/// A subscription that was made.
struct Open {
    joined: Joined,
    received: mpsc::Receiver<Delivered>,
}

impl Broker for RedisBroker {
    async fn subscribe(&self, join: Join) -> Result<Subscription, BrokerError> {
        let left = self.begin()?;
        // Back to idle if this future is dropped or fails before it has joined.
        let stop = CancellationToken::new();
        let mut joining = Joining {
            own: &self.own,
            stop: Some(stop.clone().drop_guard()),
        };
        if let Some(left) = left {
            // Its name is to be free.
            let _bounded = timeout(LEAVE, left.wait()).await;
        }
        let Open { joined, received } = self.open(join, &stop).await?;
        let mut own = lock(&self.own);
        let (Own::Joining, Some(leaves)) = (&*own, joining.stop.take()) else {
            return Err(closed());
        };
        *own = Own::Joined(joined.clone());
        drop(own);
        Ok(Subscription::new(Inbox {
            received,
            joined,
            own: Arc::clone(&self.own),
            _leaves: leaves,
        }))
    }

    async fn join(&self, topic: &TopicName) -> Result<(), BrokerError> {
        let joined = self.joined()?;
        if let Some(refusal) = joined.member.health.refusal(Half::Receiving) {
            return Err(refusal);
        }
        joined.topics.join(topic)?;
        let asked = joined.change(topic).await;
        if asked.is_err() {
            joined.topics.leave(topic);
            // Where the link is there, it is to be so at Redis, too.
            let (done, _nobody_waits) = oneshot::channel();
            let topic = topic.clone();
            let _not_there = joined.changes.try_send(Change { topic, done });
        }
        asked
    }

    async fn leave(&self, topic: &TopicName) -> Result<(), BrokerError> {
        let joined = self.joined()?;
        let was_in = joined.topics.leave(topic);
        if was_in && joined.member.health.is_up(Half::Receiving) {
            // If it can't be done now, the link is made anew, without this topic.
            let _best_effort = joined.change(topic).await;
        }
        Ok(())
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<Published, BrokerError> {
        let joined = self.joined()?;
        let health = &joined.member.health;
        if let Some(refusal) = health.refusal(Half::Publishing) {
            return Err(refusal);
        }
        let (size, limit) = (data.len(), self.config.max_message);
        if size > limit {
            return Err(BrokerError::new(
                BrokerErrorKind::TooLarge,
                format!("max_message: expected at most {limit} bytes to publish; got {size}"),
            ));
        }
        let (outcome, received) = oneshot::channel();
        let topic = topic.clone();
        let request = |room| Request {
            topic,
            data,
            outcome,
            room,
        };
        let window = || Arc::clone(&joined.window);
        // Where there is room it is taken without waiting: a task that publishes much at once is
        // made to wait by Tokio while there is, and what it waits for would seem to be full.
        let room = window().try_acquire_many_owned(pieces(size)).ok();
        let room = room.and_then(|room| Some((joined.requests.try_reserve().ok()?, room)));
        if let Some((place, room)) = room {
            place.send(request(room));
            return received.await.unwrap_or_else(|_| Err(unanswered()));
        }
        let deadline = tokio::time::Instant::now() + TURN;
        let handed_over = timeout_at(deadline, async {
            let room = window().acquire_many_owned(pieces(size)).await.ok()?;
            joined.requests.send(request(room)).await.ok()
        });
        match handed_over.await {
            Ok(Some(())) => {}
            Ok(None) => return Err(health.refusal(Half::Publishing).unwrap_or_else(closed)),
            Err(_) => {
                return Err(unavailable(format!(
                    "as much as may be under way has been so for {TURN:?}; publish less, or try \
                     again later"
                )));
            }
        }
        received.await.unwrap_or_else(|_| Err(unanswered()))
    }

    fn limits(&self) -> BrokerLimits {
        BrokerLimits::none()
            .with_max_message(self.config.max_message)
            .with_max_topics(Topics::MAX)
    }

    fn events(&self) -> BrokerEvents {
        BrokerEvents::new(self.events.subscribe())
    }

    fn loopback(&self) -> Option<Duration> {
        self.loopback.last()
    }

    async fn close(&self) {
        let own = std::mem::replace(&mut *lock(&self.own), Own::Closed);
        let tasks = match own {
            Own::Joined(joined) => {
                joined.end();
                Some(joined.tasks)
            }
            Own::Idle(left) => left,
            Own::Joining | Own::Closed => None,
        };
        if let Some(tasks) = tasks {
            // Each of its steps has a bound; this one is for the sum.
            let _bounded = timeout(LEAVE, tasks.wait()).await;
        }
        self.events.close();
    }
}

impl Joined {
    fn end(&self) {
        self.member.health.end();
        self.stop.cancel();
    }

    /// Has Redis do what was changed of a topic.
    async fn change(&self, topic: &TopicName) -> Result<(), BrokerError> {
        let (done, is_done) = oneshot::channel();
        let topic = topic.clone();
        let changed = timeout(JOIN, async {
            let sent = self.changes.send(Change { topic, done }).await;
            sent.map_err(|_| closed())?;
            let broke = |_| unavailable("the link to Redis broke before it had answered");
            is_done.await.map_err(broke)?
        });
        let late = |_| unavailable(format!("Redis did not answer in {JOIN:?}"));
        changed.await.map_err(late)?
    }
}

/// A subscription in the making.
struct Joining<'b> {
    own: &'b Mutex<Own>,
    stop: Option<DropGuard>,
}

impl Drop for Joining<'_> {
    fn drop(&mut self) {
        if self.stop.is_none() {
            return;
        }
        let mut own = lock(self.own);
        if let Own::Joining = &*own {
            *own = Own::Idle(None);
        }
    }
}

/// What waits for the gateway. Dropping it leaves the cluster.
struct Inbox {
    received: mpsc::Receiver<Delivered>,
    joined: Joined,
    own: Arc<Mutex<Own>>,
    _leaves: DropGuard,
}

impl Stream for Inbox {
    type Item = BrokerMessage;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<BrokerMessage>> {
        let received = self.received.poll_recv(cx);
        // Its share of the memory is free again.
        received.map(|received| received.map(|(message, _room)| message))
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.joined.end();
        let mut own = lock(&self.own);
        if let Own::Joined(joined) = &*own
            && Arc::ptr_eq(&joined.member, &self.joined.member)
        {
            *own = Own::Idle(Some(joined.tasks.clone()));
        }
    }
}

impl Drop for RedisBroker {
    fn drop(&mut self) {
        if let Own::Joined(joined) = &*lock(&self.own) {
            joined.end();
        }
    }
}
