//! How a member joins, and what there is of it while it has.

use std::{sync::Arc, time::Duration};

use realtime_core::broker::{
    BrokerError, BrokerMessage, Join,
    stream::{self, Topics},
};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    AmqpBroker,
    bound::Bound,
    error::{closed, config as invalid},
    publisher::WINDOW,
    request::Request,
    state::State,
    supervisor::Supervisor,
};

/// How long leaving may take.
pub(crate) const LEAVE: Duration = Duration::from_secs(3);

/// Whether a member has joined.
#[derive(Debug)]
pub(crate) enum Own {
    /// Nothing is connected, but for a former life that may still be on its way out.
    Idle(Option<Joined>),
    Joining,
    Joined(Joined),
    Closed,
}

/// A member that has joined, until its subscription is dropped and its link closed.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) requests: mpsc::Sender<Request>,
    pub(crate) topics: Arc<Topics>,
    pub(crate) bound: Arc<Bound>,
    /// Cancelled when the subscription is dropped.
    pub(crate) stop: CancellationToken,
    pub(crate) supervisor: JoinHandle<()>,
}

impl Own {
    /// Begins to join. Returns the member's former life, which may still be on its way out.
    pub(crate) fn begin(&mut self) -> Result<Option<Joined>, BrokerError> {
        match std::mem::replace(self, Self::Joining) {
            Self::Idle(before) => Ok(before),
            Self::Joined(joined) if joined.stop.is_cancelled() => Ok(Some(joined)),
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

/// A subscription in the making.
pub(crate) struct Joining<'b> {
    pub(crate) broker: &'b AmqpBroker,
    pub(crate) before: Option<Joined>,
}

impl Joining<'_> {
    /// Waits for the end of the former life, which would say last of all that nothing is connected.
    pub(crate) async fn outlive(&mut self) {
        if let Some(before) = &mut self.before {
            // Each of its steps has a bound; this one is for the sum.
            if timeout(LEAVE, &mut before.supervisor).await.is_err() {
                before.supervisor.abort();
            }
        }
        self.before = None;
    }

    pub(crate) async fn join(
        &mut self,
        join: Join,
        inbox: mpsc::Sender<BrokerMessage>,
    ) -> Result<CancellationToken, BrokerError> {
        let Join { node, topics, .. } = join;
        let AmqpBroker {
            config,
            events,
            state,
            ..
        } = self.broker;
        let (mut outgoing, incoming) = stream::pair(node, Arc::clone(events));
        outgoing.continue_from(&self.broker.numbered);
        outgoing.measure(&self.broker.loopback);
        outgoing.set_longest_wait(config.queue_ttl);
        let joined = Arc::clone(outgoing.topics());
        let bound = Arc::new(Bound::default());
        for topic in &topics {
            bound.add(topic, &joined)?;
        }
        let (requests, waiting) = mpsc::channel(WINDOW);
        let mut supervisor = Supervisor {
            config: Arc::clone(config),
            outgoing,
            incoming,
            requests: waiting,
            inbox,
            events: Arc::clone(events),
            state: state.clone(),
            limit: Arc::clone(&self.broker.limit),
            attempts: 0,
        };
        let first = supervisor.open_any().await?;
        let mut own = self.broker.own();
        if !matches!(&*own, Own::Joining) {
            return Err(closed());
        }
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        state.send_replace(State::Up);
        *own = Own::Joined(Joined {
            requests,
            topics: joined,
            bound,
            stop: stop.clone(),
            supervisor: tokio::spawn(supervisor.run(first, stopped)),
        });
        Ok(stop)
    }
}

impl Drop for Joining<'_> {
    fn drop(&mut self) {
        let mut own = self.broker.own();
        if matches!(&*own, Own::Joining) {
            *own = Own::Idle(self.before.take());
        }
    }
}
