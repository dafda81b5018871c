//! The broker itself: what the gateway calls.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::stream::poll_fn;
use realtime_core::{
    Events,
    broker::{
        Broker, BrokerError, BrokerErrorKind, BrokerEvent, BrokerEvents, BrokerLimits,
        BrokerMessage, Join, Joining, Membership, Published, Subscription, Topic, TopicName,
        stream::{self, Joins, LoopbackTime, Numbered, Topics},
    },
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    AmqpConfig,
    error::{blocked, closed, unavailable, unknown},
    limit::Limit,
    publisher::WINDOW,
    request::{Binding, Publication, Request},
    retry::Pauses,
    state::State,
    supervisor::Supervisor,
};

/// How many messages may wait for the gateway, of at most `max_message` bytes each. RabbitMQ keeps
/// what exceeds them and the prefetch.
const INBOX: usize = 1_024;
/// How long a publication may wait for others before it.
const TURN: Duration = Duration::from_secs(2);

/// A member of a cluster that is joined over RabbitMQ.
///
/// Making one opens no connection: [`subscribe`](Broker::subscribe) does, which the gateway's
/// `start` calls. While the link is down it is made anew without end, every 2 s at the most.
#[derive(Debug)]
pub struct AmqpBroker {
    config: Arc<AmqpConfig>,
    events: Arc<Events<BrokerEvent>>,
    state: watch::Sender<State>,
    limit: Arc<Limit>,
    /// Of all subscriptions.
    numbered: Numbered,
    loopback: LoopbackTime,
    own: Membership<Joined>,
}

/// What a subscription needs while it is there.
#[derive(Debug, Clone)]
struct Joined {
    requests: mpsc::Sender<Request>,
    joins: Arc<Joins>,
}

impl AmqpBroker {
    /// A member that has not joined yet.
    #[must_use]
    pub fn new(config: AmqpConfig) -> Self {
        Self {
            config: Arc::new(config),
            events: Arc::default(),
            state: watch::Sender::new(State::Idle),
            limit: Arc::default(),
            numbered: Numbered::default(),
            loopback: LoopbackTime::default(),
            own: Membership::default(),
        }
    }

    /// A member of the cluster at this URL; see [`AmqpConfig::from_url`].
    ///
    /// # Errors
    /// When the URL can't be read.
    pub fn from_url(url: impl Into<String>) -> Result<Self, BrokerError> {
        AmqpConfig::from_url(url).map(Self::new)
    }

    /// Why nothing can be published now, or no topic be joined.
    fn refusal(&self, publishes: bool) -> Option<BrokerError> {
        let state = *self.state.borrow();
        match state {
            State::Up => None,
            // Topics can be joined and left: that is the other connection's.
            State::Receiving | State::Blocked if !publishes => None,
            State::Idle => Some(unavailable(
                "subscribe first: the broker doesn't know this node yet",
            )),
            State::Blocked => Some(blocked()),
            State::Down | State::Receiving => Some(unavailable("the link to RabbitMQ is down")),
            State::Closed => Some(closed()),
        }
    }
}

impl AmqpBroker {
    /// Hands a request over to the link, and waits for its outcome.
    async fn ask<T>(
        &self,
        publishes: bool,
        request: impl FnOnce(oneshot::Sender<Result<T, BrokerError>>) -> Request,
    ) -> Result<T, BrokerError> {
        if let Some(refusal) = self.refusal(publishes) {
            return Err(refusal);
        }
        let requests = self.own.joined()?.requests;
        let (outcome, received) = oneshot::channel();
        // Where there is room it is taken without waiting: a task that publishes much at once is
        // made to wait by Tokio while there is, and what it waits for would seem to be full.
        let sent = match requests.try_send(request(outcome)) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Full(request)) => {
                requests.send_timeout(request, TURN).await
            }
            Err(mpsc::error::TrySendError::Closed(request)) => {
                Err(mpsc::error::SendTimeoutError::Closed(request))
            }
        };
        match sent {
            Ok(()) => {}
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                let context = format!(
                    "{WINDOW} publications have waited for {TURN:?}; publish less, or try again later"
                );
                return Err(unavailable(context));
            }
            Err(mpsc::error::SendTimeoutError::Closed(_)) => {
                return Err(self.refusal(publishes).unwrap_or_else(closed));
            }
        }
        received.await.unwrap_or_else(|_| {
            Err(unknown(
                "the link to RabbitMQ broke before the message was confirmed",
            ))
        })
    }

    /// Has a task open the first link, and keep it up.
    async fn open(
        &self,
        join: Join,
        joining: &mut Joining<Joined>,
    ) -> Result<(Joined, mpsc::Receiver<BrokerMessage>), BrokerError> {
        let (mut outgoing, incoming) = stream::pair(join.node, Arc::clone(&self.events));
        outgoing.continue_from(&self.numbered);
        outgoing.measure(&self.loopback);
        outgoing.set_longest_wait(self.config.queue_ttl);
        let joins = Arc::new(Joins::new(Arc::clone(outgoing.topics())));
        for topic in &join.topics {
            joins.begin(topic, || {})?.succeed();
        }
        let (requests, waiting) = mpsc::channel(WINDOW);
        let (inbox, received) = mpsc::channel(INBOX);
        let supervisor = Supervisor {
            config: Arc::clone(&self.config),
            outgoing,
            incoming,
            requests: waiting,
            inbox,
            events: Arc::clone(&self.events),
            state: self.state.clone(),
            limit: Arc::clone(&self.limit),
            attempts: 0,
            pauses: Pauses::default(),
            stop: joining.stop().clone(),
        };
        let (told, has_joined) = oneshot::channel();
        joining.spawn(supervisor.run(told));
        let ended = |_| match joining.stop().is_cancelled() {
            true => Err(closed()),
            false => Err(unavailable("joining RabbitMQ has panicked")),
        };
        has_joined.await.unwrap_or_else(ended)?;
        let joined = Joined { requests, joins };
        Ok((joined, received))
    }
}

impl Broker for AmqpBroker {
    async fn subscribe(&self, join: Join) -> Result<Subscription, BrokerError> {
        let mut joining = self.own.begin().await?;
        let (joined, mut received) = self.open(join, &mut joining).await?;
        joining.complete(joined, poll_fn(move |cx| received.poll_recv(cx)))
    }

    async fn join(&self, topic: &TopicName) -> Result<(), BrokerError> {
        let Joined { joins, requests } = self.own.joined()?;
        if joins.contains(topic) {
            return Ok(());
        }
        let attempt = joins.begin(topic, || {
            // RabbitMQ may have bound it all the same. Where there is no link, or no room, it is
            // not bound by the next one.
            let (outcome, _nobody_waits) = oneshot::channel();
            let leave = Request::Bind(Binding::leave(topic.clone(), outcome));
            let _best_effort = requests.try_send(leave);
        })?;
        self.ask(false, |outcome| {
            Request::Bind(Binding::join(topic.clone(), outcome))
        })
        .await?;
        attempt.succeed();
        Ok(())
    }

    async fn leave(&self, topic: &TopicName) -> Result<(), BrokerError> {
        if self.own.joined()?.joins.leave(topic) {
            // Where it fails there is no link, and the next one doesn't join the topic.
            let left = self.ask(false, |outcome| {
                Request::Bind(Binding::leave(topic.clone(), outcome))
            });
            if let Err(error) = left.await {
                tracing::debug!(
                    target: realtime_core::log_targets::BROKER, %error,
                    "a topic was left without a word to RabbitMQ",
                );
            }
        }
        Ok(())
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<Published, BrokerError> {
        let (size, limit) = (data.len(), self.config.max_message);
        if size > limit {
            let context =
                format!("max_message: expected at most {limit} bytes to publish; got {size}");
            return Err(BrokerError::new(BrokerErrorKind::TooLarge, context));
        }
        self.ask(true, |outcome| {
            Request::Publish(Publication {
                topic: topic.clone(),
                data,
                outcome,
            })
        })
        .await
    }

    fn limits(&self) -> BrokerLimits {
        let learned = self.limit.most().unwrap_or(usize::MAX);
        let most = learned.saturating_sub(stream::MAX_STAMP);
        let limits = BrokerLimits::none()
            .with_max_message(self.config.max_message.min(most))
            .with_max_topics(Topics::MAX);
        // What is returned isn't known without confirms.
        match self.config.confirms {
            true => limits,
            false => limits.without_absence(),
        }
    }

    fn events(&self) -> BrokerEvents {
        BrokerEvents::new(self.events.subscribe())
    }

    fn loopback(&self) -> Option<Duration> {
        self.loopback.last()
    }

    async fn close(&self) {
        self.state.send_replace(State::Closed);
        self.own.close().await;
        self.events.close();
    }
}
