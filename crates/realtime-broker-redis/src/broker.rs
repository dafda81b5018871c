//! The broker itself: what the gateway calls.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use realtime_core::{
    Events,
    broker::{
        Broker, BrokerError, BrokerErrorKind, BrokerEvent, BrokerEvents, BrokerLimits, Join,
        Joining, Membership, Published, Subscription, Topic, TopicName,
        stream::{self, Joins, LoopbackTime, Numbered, Topics},
    },
};
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    time::{timeout, timeout_at},
};

use crate::{
    RedisBrokerConfig,
    error::{closed, unavailable},
    health::{Half, Health},
    inbox::{INBOX, INBOX_BYTES, Inbox, PIECE, pieces},
    locate::Locator,
    member::Member,
    publisher::{Publisher, Request, unanswered},
    subscriber::{Change, Subscriber},
    traffic::WINDOW,
};

/// How long a publication may wait for others before it.
const TURN: Duration = Duration::from_secs(2);
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
    own: Membership<Joined>,
}

/// What a subscription needs while it is there.
#[derive(Debug, Clone)]
struct Joined {
    member: Arc<Member>,
    joins: Arc<Joins>,
    requests: mpsc::Sender<Request>,
    changes: mpsc::Sender<Change>,
    /// How much may be under way.
    window: Arc<Semaphore>,
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
            own: Membership::default(),
        }
    }

    /// A member of the cluster at this URL; see [`RedisBrokerConfig::from_url`].
    ///
    /// # Errors
    /// When the URL can't be read.
    pub fn from_url(url: impl Into<String>) -> Result<Self, BrokerError> {
        RedisBrokerConfig::from_url(url).map(Self::new)
    }

    async fn open(
        &self,
        join: Join,
        joining: &mut Joining<Joined>,
    ) -> Result<(Joined, Inbox), BrokerError> {
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
        let joins = Arc::new(Joins::new(Arc::clone(incoming.topics())));
        for topic in &join.topics {
            joins.begin(topic, || {})?.succeed();
        }
        let (requests, publications) = mpsc::channel(WINDOW);
        let (changes, changed) = mpsc::channel(CHANGES);
        let (asks, questions) = mpsc::channel(1);
        let (inbox, received) = mpsc::channel(INBOX);
        let (receiving, is_joined) = oneshot::channel();
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
            joining: Some(receiving),
        };
        let connecting = joining.stop().run_until_cancelled(publisher.connect());
        let first = connecting.await.unwrap_or_else(|| Err(closed()))?;
        joining.spawn(publisher.run(first, joining.stop().clone()));
        joining.spawn(subscriber.run(joining.stop().clone()));
        is_joined.await.unwrap_or_else(|_| Err(closed()))?;
        // Who may not publish hasn't joined.
        let accepted = timeout(JOIN, is_accepted).await;
        let late = |_| unavailable(format!("Redis did not answer in {JOIN:?}"));
        accepted.map_err(late)?.unwrap_or_else(|_| Err(closed()))?;
        let inbox = Inbox {
            received,
            member: Arc::clone(&member),
        };
        let joined = Joined {
            member,
            joins,
            requests,
            changes,
            window: Arc::new(Semaphore::new(INBOX_BYTES / PIECE)),
        };
        Ok((joined, inbox))
    }

    /// Whatever happens to its links from now on is no outage.
    fn end(&self) {
        if let Ok(joined) = self.own.joined() {
            joined.member.health.end();
        }
    }
}

impl Broker for RedisBroker {
    async fn subscribe(&self, join: Join) -> Result<Subscription, BrokerError> {
        let mut joining = self.own.begin().await?;
        let (joined, inbox) = self.open(join, &mut joining).await?;
        joining.complete(joined, inbox)
    }

    async fn join(&self, topic: &TopicName) -> Result<(), BrokerError> {
        let joined = self.own.joined()?;
        if let Some(refusal) = joined.member.health.refusal(Half::Receiving) {
            return Err(refusal);
        }
        if joined.joins.contains(topic) {
            return Ok(());
        }
        let attempt = joined.joins.begin(topic, || {
            // Where the link is there, it is to be so at Redis, too.
            let (done, _nobody_waits) = oneshot::channel();
            let topic = topic.clone();
            let _not_there = joined.changes.try_send(Change { topic, done });
        })?;
        joined.change(topic).await?;
        attempt.succeed();
        Ok(())
    }

    async fn leave(&self, topic: &TopicName) -> Result<(), BrokerError> {
        let joined = self.own.joined()?;
        let was_in = joined.joins.leave(topic);
        if was_in && joined.member.health.is_up(Half::Receiving) {
            // If it can't be done now, the link is made anew, without this topic.
            let _best_effort = joined.change(topic).await;
        }
        Ok(())
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<Published, BrokerError> {
        let joined = self.own.joined()?;
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
        self.end();
        self.own.close().await;
        self.events.close();
    }
}

impl Joined {
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

impl Drop for RedisBroker {
    fn drop(&mut self) {
        self.end();
    }
}
