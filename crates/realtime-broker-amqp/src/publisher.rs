//! Puts what is published on the wire, in order, and waits for the confirmations.

use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use lapin::Channel;
use realtime_core::broker::{
    BrokerError, Published, Topic,
    stream::{BEACON_INTERVAL, Outgoing},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{MissedTickBehavior, interval_at, timeout},
};

use crate::{
    AmqpConfig,
    beacon::{Asked, Beacons},
    error::{blocked, refused, unavailable, unknown},
    link::{self, Outcome},
    state::State,
};

/// How many publications may wait for their confirmation.
pub(crate) const WINDOW: usize = 1_024;
/// How long the client library may take to put a message on the wire.
const PUBLISH: Duration = Duration::from_secs(2);
/// How long RabbitMQ may take to confirm it.
const CONFIRM: Duration = Duration::from_secs(5);

/// A publication, and who waits for its outcome.
pub(crate) struct Request {
    pub(crate) topic: Topic,
    pub(crate) data: Bytes,
    pub(crate) outcome: oneshot::Sender<Result<Published, BrokerError>>,
}

/// A message that is on its way.
struct Sent {
    topic: Topic,
    outcome: Option<oneshot::Sender<Result<Published, BrokerError>>>,
    confirmed: Result<lapin::Result<Outcome>, tokio::time::error::Elapsed>,
}

/// The publishing half of a link.
pub(crate) struct Publisher<'p> {
    pub(crate) config: &'p AmqpConfig,
    pub(crate) channel: &'p Channel,
    pub(crate) outgoing: &'p mut Outgoing,
    pub(crate) beacons: &'p Beacons,
    pub(crate) state: &'p watch::Sender<State>,
    pub(crate) asked: &'p Asked,
}

impl Publisher<'_> {
    /// Runs until the link is down, and says why. Callers that wait for an outcome get none then,
    /// which says that it is not known.
    pub(crate) async fn run(mut self, requests: &mut mpsc::Receiver<Request>) -> String {
        let mut under_way: FuturesUnordered<BoxFuture<'static, Sent>> = FuturesUnordered::new();
        let first = tokio::time::Instant::now() + BEACON_INTERVAL;
        let mut beacon_due = interval_at(first, BEACON_INTERVAL);
        beacon_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let sent = tokio::select! {
                biased;
                Some(sent) = under_way.next() => match self.settle(sent) {
                    Some(fault) => return fault,
                    None => continue,
                },
                _ = beacon_due.tick() => {
                    if self.is_blocked() {
                        continue;
                    }
                    if self.beacons.are_missing() {
                        return "two beacons of this node did not come back".to_owned();
                    }
                    self.beacons.sent();
                    let beacon = self.outgoing.beacon();
                    self.put(Topic::All, beacon, None).await
                }
                () = self.asked.beacon.notified() => {
                    let beacon = self.outgoing.beacon();
                    self.put(Topic::All, beacon, None).await
                }
                () = self.asked.answer.notified() => {
                    let answer = self.outgoing.answer();
                    self.put(Topic::All, answer, None).await
                }
                Some(request) = requests.recv(), if under_way.len() < WINDOW => {
                    let Request { topic, data, outcome } = request;
                    if self.is_blocked() {
                        let _nobody_waits = outcome.send(Err(blocked()));
                        continue;
                    }
                    let stamped = self.outgoing.message(&topic, &data);
                    self.put(topic, stamped, Some(outcome)).await
                }
            };
            match sent {
                Ok(sent) => under_way.push(sent),
                Err(fault) if self.is_blocked() => {
                    tracing::debug!(target: realtime_core::log_targets::BROKER, fault, "RabbitMQ accepts nothing");
                }
                Err(fault) => return fault,
            }
        }
    }

    /// Puts a message on the wire.
    async fn put(
        &self,
        topic: Topic,
        stamped: Bytes,
        outcome: Option<oneshot::Sender<Result<Published, BrokerError>>>,
    ) -> Result<BoxFuture<'static, Sent>, String> {
        let node = self.outgoing.node();
        let published = link::publish(self.channel, self.config, node, &topic, &stamped);
        match timeout(PUBLISH, published).await {
            Ok(Ok(receipt)) => Ok(async move {
                let confirmed = timeout(CONFIRM, receipt.outcome()).await;
                Sent {
                    topic,
                    outcome,
                    confirmed,
                }
            }
            .boxed()),
            Ok(Err(error)) => {
                let fault = format!("a message could not be published: {error}");
                let failed = refused("publishing", error);
                let _nobody_waits = outcome.map(|outcome| outcome.send(Err(failed)));
                Err(fault)
            }
            // It can't be called back: it may go out later.
            Err(_) => {
                let late = unknown(format!("RabbitMQ accepted nothing for {PUBLISH:?}"));
                let _nobody_waits = outcome.map(|outcome| outcome.send(Err(late)));
                Err(format!("RabbitMQ accepted nothing for {PUBLISH:?}"))
            }
        }
    }

    /// Reports the outcome. Returns what it says about the link, if that is bad.
    fn settle(&mut self, sent: Sent) -> Option<String> {
        let (result, fault) = match sent.confirmed {
            Ok(Ok(Outcome::Refused)) => (Err(unavailable("RabbitMQ refused the message")), None),
            Ok(Ok(Outcome::Returned)) => {
                self.outgoing.forget(&sent.topic);
                (Ok(Published::NoRoute), None)
            }
            Ok(Ok(Outcome::Accepted)) => (Ok(Published::Routed), None),
            Ok(Err(error)) => {
                let fault = format!("a message was not confirmed: {error}");
                let context = "the link broke before RabbitMQ had confirmed the message";
                (Err(unknown(context).with_source(error)), Some(fault))
            }
            Err(_) => {
                let context = format!("RabbitMQ did not confirm within {CONFIRM:?}");
                (Err(unknown(context.clone())), Some(context))
            }
        };
        if let Some(outcome) = sent.outcome {
            let _nobody_waits = outcome.send(result);
        }
        fault.filter(|_| !self.is_blocked())
    }

    fn is_blocked(&self) -> bool {
        *self.state.borrow() == State::Blocked
    }
}
