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
        Broker, BrokerError, BrokerEvent, BrokerEvents, BrokerMessage, NodeInfo, Published,
        Subscription, Topic,
        stream::{Incoming, Outgoing},
    },
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    AmqpConfig,
    error::{blocked, closed, config as invalid, unavailable, unknown},
    publisher::{Request, WINDOW},
    state::State,
    supervisor::Supervisor,
};

/// How many messages may wait for the gateway, of at most `max_message` bytes each. RabbitMQ keeps
/// what exceeds them and the prefetch.
const INBOX: usize = 1_024;
/// How long a publication may wait for others before it.
const TURN: Duration = Duration::from_secs(2);
/// How long leaving may take.
const LEAVE: Duration = Duration::from_secs(3);

/// A member of a cluster that is joined over RabbitMQ.
///
/// Making one opens no connection: [`subscribe`](Broker::subscribe) does, which the gateway's
/// `start` calls. While the link is down it is made anew without end, every 2 s at the most.
#[derive(Debug)]
pub struct AmqpBroker {
    config: Arc<AmqpConfig>,
    events: Arc<Events<BrokerEvent>>,
    state: watch::Sender<State>,
    requests: mpsc::Sender<Request>,
    own: Mutex<Own>,
}

#[derive(Debug)]
enum Own {
    /// Nothing is connected; the other end of `requests` waits for the supervisor.
    Idle(mpsc::Receiver<Request>),
    Joining,
    Joined {
        stop: CancellationToken,
        supervisor: JoinHandle<()>,
    },
    Closed,
}

impl Own {
    fn begin(&mut self) -> Result<mpsc::Receiver<Request>, BrokerError> {
        match std::mem::replace(self, Self::Joining) {
            Self::Idle(requests) => Ok(requests),
            Self::Closed => {
                *self = Self::Closed;
                Err(closed())
            }
            other => {
                *self = other;
                let context = "this member is subscribed already; make another for another node";
                Err(invalid(context.to_owned()))
            }
        }
    }
}

impl AmqpBroker {
    /// A member that has not joined yet.
    #[must_use]
    pub fn new(config: AmqpConfig) -> Self {
        let (requests, waiting) = mpsc::channel(WINDOW);
        Self {
            config: Arc::new(config),
            events: Arc::default(),
            state: watch::Sender::new(State::Idle),
            requests,
            own: Mutex::new(Own::Idle(waiting)),
        }
    }

    /// A member of the cluster at this URL; see [`AmqpConfig::from_url`].
    ///
    /// # Errors
    /// When the URL can't be read.
    pub fn from_url(url: impl Into<String>) -> Result<Self, BrokerError> {
        AmqpConfig::from_url(url).map(Self::new)
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why nothing can be published now.
    fn refusal(&self) -> Option<BrokerError> {
        let state = *self.state.borrow();
        match state {
            State::Up => None,
            State::Idle => Some(unavailable(
                "subscribe before you publish: the broker doesn't know this node yet",
            )),
            State::Blocked => Some(blocked()),
            State::Down => Some(unavailable("the link to RabbitMQ is down")),
            State::Closed => Some(closed()),
        }
    }
}

impl Broker for AmqpBroker {
    async fn subscribe(
        &self,
        node: NodeInfo,
        topics: &[Topic],
    ) -> Result<Subscription, BrokerError> {
        if let Some(other) = topics.iter().find(|topic| match topic {
            Topic::All => false,
            Topic::Node(id) => *id != node.id,
            _ => true,
        }) {
            let context = format!("expected `all` and the node's own topic; got {other}");
            return Err(invalid(context));
        }
        let requests = self.own().begin()?;
        let (inbox, received) = mpsc::channel(INBOX);
        // Back to idle if this future is dropped or fails before it has joined.
        let mut joining = Joining {
            broker: self,
            supervisor: Some(Supervisor {
                config: Arc::clone(&self.config),
                outgoing: Outgoing::new(node.clone()),
                incoming: Incoming::new(node),
                requests,
                inbox,
                events: Arc::clone(&self.events),
                state: self.state.clone(),
                attempts: 0,
            }),
        };
        let stop = joining.join().await?;
        Ok(Subscription::new(Inbox {
            received,
            _leaves: stop.drop_guard(),
        }))
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<Published, BrokerError> {
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
        }
        let (size, limit) = (data.len(), self.config.max_message);
        if size > limit {
            return Err(invalid(format!(
                "max_message: expected at most {limit} bytes to publish; got {size}"
            )));
        }
        let (outcome, received) = oneshot::channel();
        let topic = topic.clone();
        let request = Request {
            topic,
            data,
            outcome,
        };
        match self.requests.send_timeout(request, TURN).await {
            Ok(()) => {}
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                let context = format!(
                    "{WINDOW} publications have waited for {TURN:?}; publish less, or try again later"
                );
                return Err(unavailable(context));
            }
            Err(mpsc::error::SendTimeoutError::Closed(_)) => {
                return Err(self.refusal().unwrap_or_else(closed));
            }
        }
        received.await.unwrap_or_else(|_| {
            Err(unknown(
                "the link to RabbitMQ broke before the message was confirmed",
            ))
        })
    }

    fn events(&self) -> BrokerEvents {
        BrokerEvents::new(self.events.subscribe())
    }

    async fn close(&self) {
        let own = std::mem::replace(&mut *self.own(), Own::Closed);
        self.state.send_replace(State::Closed);
        if let Own::Joined { stop, supervisor } = own {
            stop.cancel();
            // Each of its steps has a bound; this one is for the sum.
            let _bounded = timeout(LEAVE, supervisor).await;
        }
        self.events.close();
    }
}

/// A subscription in the making.
struct Joining<'b> {
    broker: &'b AmqpBroker,
    supervisor: Option<Supervisor>,
}

impl Joining<'_> {
    async fn join(&mut self) -> Result<CancellationToken, BrokerError> {
        let Some(supervisor) = &mut self.supervisor else {
            return Err(closed());
        };
        let first = supervisor.open_any().await?;
        let mut own = self.broker.own();
        let (Own::Joining, Some(supervisor)) = (&*own, self.supervisor.take()) else {
            return Err(closed());
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        self.broker.state.send_replace(State::Up);
        let supervisor = tokio::spawn(supervisor.run(first, stopped));
        *own = Own::Joined {
            stop: stop.clone(),
            supervisor,
        };
        Ok(stop)
    }
}

impl Drop for Joining<'_> {
    fn drop(&mut self) {
        let mut own = self.broker.own();
        if let (Own::Joining, Some(supervisor)) = (&*own, self.supervisor.take()) {
            *own = Own::Idle(supervisor.requests);
        }
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
        if let Own::Joined { stop, .. } = &*self.own() {
            stop.cancel();
        }
    }
}
