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
    sync::{mpsc, oneshot, watch},
    time::timeout,
};
use tokio_util::sync::DropGuard;

use crate::{
    AmqpConfig,
    bound::Bound,
    error::{blocked, closed, unavailable, unknown},
    limit::Limit,
    membership::{Joined, Joining, LEAVE, Own},
    publisher::WINDOW,
    request::{Binding, Publication, Request},
    state::State,
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
    pub(crate) config: Arc<AmqpConfig>,
    pub(crate) events: Arc<Events<BrokerEvent>>,
    pub(crate) state: watch::Sender<State>,
    pub(crate) limit: Arc<Limit>,
    /// Of all subscriptions.
    pub(crate) numbered: Numbered,
    pub(crate) loopback: LoopbackTime,
    own: Mutex<Own>,
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
            own: Mutex::new(Own::Idle(None)),
        }
    }

    /// A member of the cluster at this URL; see [`AmqpConfig::from_url`].
    ///
    /// # Errors
    /// When the URL can't be read.
    pub fn from_url(url: impl Into<String>) -> Result<Self, BrokerError> {
        AmqpConfig::from_url(url).map(Self::new)
    }

    pub(crate) fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why nothing can be published now, or no topic be joined.
    fn refusal(&self, publishes: bool) -> Option<BrokerError> {
        let state = *self.state.borrow();
        match state {
            State::Up => None,
            // Topics can be joined and left.
            State::Receiving if !publishes => None,
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
        let requests = match &*self.own() {
            Own::Joined(joined) => joined.requests.clone(),
            _ => return Err(unavailable("the link to RabbitMQ is down")),
        };
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

    fn topics(&self) -> Result<(Arc<Topics>, Arc<Bound>), BrokerError> {
        match &*self.own() {
            Own::Joined(joined) if !joined.stop.is_cancelled() => {
                Ok((Arc::clone(&joined.topics), Arc::clone(&joined.bound)))
            }
            Own::Closed => Err(closed()),
            _ => {
                let context = "subscribe first: the broker doesn't know this node yet";
                Err(unavailable(context))
            }
        }
    }
}

impl Broker for AmqpBroker {
    async fn subscribe(&self, join: Join) -> Result<Subscription, BrokerError> {
        let before = self.own().begin()?;
        // Back to idle if this future is dropped or fails before it has joined.
        let mut joining = Joining {
            broker: self,
            before,
        };
        joining.outlive().await;
        let (inbox, received) = mpsc::channel(INBOX);
        let stop = joining.join(join, inbox).await?;
        Ok(Subscription::new(Inbox {
            received,
            _leaves: stop.drop_guard(),
        }))
    }

    async fn join(&self, topic: &TopicName) -> Result<(), BrokerError> {
        let (topics, bound) = self.topics()?;
        if bound.contains(topic) {
            return Ok(());
        }
        // Before it is bound, since messages may come before RabbitMQ's answer does. Another caller
        // may have asked already, whose answer hasn't come, or never does.
        topics.join(topic)?;
        let _unless_bound = Leaves {
            topics: &topics,
            bound: &bound,
            topic,
        };
        self.ask(false, |outcome| {
            Request::Bind(Binding::join(topic.clone(), outcome))
        })
        .await?;
        bound.add(topic, &topics)
    }

    async fn leave(&self, topic: &TopicName) -> Result<(), BrokerError> {
        let (topics, bound) = self.topics()?;
        if bound.leave(topic, &topics) {
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
        let own = std::mem::replace(&mut *self.own(), Own::Closed);
        self.state.send_replace(State::Closed);
        if let Own::Joined(joined) | Own::Idle(Some(joined)) = own {
            let Joined {
                stop, supervisor, ..
            } = joined;
            stop.cancel();
            // Each of its steps has a bound; this one is for the sum.
            let _bounded = timeout(LEAVE, supervisor).await;
        }
        self.events.close();
    }
}

/// Leaves a topic again if nobody who asked for it has seen it bound.
struct Leaves<'t> {
    topics: &'t Topics,
    bound: &'t Bound,
    topic: &'t TopicName,
}

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.bound.leave_unless_bound(self.topic, self.topics);
    }
}

/// What waits for the gateway. Dropping it leaves the cluster.
struct Inbox {
    received: mpsc::Receiver<BrokerMessage>,
    _leaves: DropGuard,
}

impl Stream for Inbox {
    type Item = BrokerMessage;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<BrokerMessage>> {
        self.received.poll_recv(cx)
    }
}

impl Drop for AmqpBroker {
    fn drop(&mut self) {
        if let Own::Joined(joined) = &*self.own() {
            joined.stop.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use realtime_core::{Incarnation, broker::NodeInfo};
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[tokio::test]
    async fn a_former_life_is_waited_for_though_somebody_gave_up_to_wait() {
        let broker = AmqpBroker::from_url("amqp://127.0.0.1:1").unwrap();
        let stop = CancellationToken::new();
        stop.cancel();
        *broker.own() = Own::Joined(Joined {
            requests: mpsc::channel(1).0,
            topics: Arc::default(),
            bound: Arc::default(),
            stop,
            supervisor: tokio::spawn(std::future::pending()),
        });
        let node = NodeInfo::new("here".parse().unwrap(), Incarnation::random());
        for _ in 0..2 {
            let joining = broker.subscribe(Join::new(node.clone())).now_or_never();
            assert!(joining.is_none(), "it waits");
        }
        assert!(broker.own().begin().unwrap().is_some());
    }
}
