//! Puts what is published on the wire, in order, and waits for the confirmations.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use lapin::{Channel, Confirmation, types::ShortString};
use realtime_core::broker::{
    BrokerError, Published, Topic,
    stream::{Due, Outgoing, Topics},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use crate::{
    AmqpConfig,
    error::{blocked, refused, too_slow, unavailable, unknown},
    limit::{Limit, Sizes},
    patience::patient,
    publishing,
    request::{Binding, Publication, Request, refuse},
    routes::{Round, Routes, Waiting},
    state::State,
    topology,
};

/// How many publications may wait for their confirmation.
pub(crate) const WINDOW: usize = 1_024;
/// How long the client library may take to put a message on the wire.
const PUBLISH: Duration = Duration::from_secs(2);
/// How long RabbitMQ may take to confirm it.
const CONFIRM: Duration = Duration::from_secs(5);

/// A message that is on its way.
struct Sent {
    topic: Topic,
    outcome: Option<oneshot::Sender<Result<Published, BrokerError>>>,
    /// Whether RabbitMQ takes it; `None` where it didn't say so in time.
    confirmed: Option<lapin::Result<bool>>,
}

/// What is of no use any more.
pub(crate) enum Fault {
    /// The link as a whole.
    Link(String),
    /// The connection that publishes.
    Publishing(String),
}

/// Something that RabbitMQ is to answer.
enum Answered {
    Bound,
    Sent(Sent),
}

/// The node's queue, which can be bound on this channel.
#[derive(Clone, Copy)]
pub(crate) struct Queue<'q> {
    pub(crate) channel: &'q Channel,
    pub(crate) name: &'q ShortString,
}

/// The publishing half of a link.
pub(crate) struct Publisher<'p> {
    pub(crate) config: &'p Arc<AmqpConfig>,
    pub(crate) channel: &'p Channel,
    pub(crate) routes: Routes,
    /// What is to be put on the wire next.
    pub(crate) there: VecDeque<Publication>,
    pub(crate) limit: &'p Limit,
    pub(crate) sizes: Sizes<'p>,
    pub(crate) queue: Queue<'p>,
    pub(crate) outgoing: &'p mut Outgoing,
    pub(crate) state: &'p watch::Sender<State>,
}

impl Publisher<'_> {
    /// Runs until something is of no use any more, and says why. Callers that wait for an outcome get
    /// none then, which says that it is not known, but for those whose message still waits to learn
    /// whether it is too large. Once the link is down, it runs for as long as something is on its way
    /// that may still be confirmed.
    pub(crate) async fn run(mut self, requests: &mut mpsc::Receiver<Request>) -> Fault {
        let mut under_way: FuturesUnordered<BoxFuture<'static, Answered>> = FuturesUnordered::new();
        let mut state = self.state.subscribe();
        loop {
            let is_blocked = self.is_blocked();
            let ends = *self.state.borrow() == State::Down;
            let waiting = self.sizes.len() + self.routes.len() + self.there.len();
            let on_its_way = under_way.len() + waiting;
            let has_room = on_its_way < WINDOW && !self.sizes.is_full();
            if ends && on_its_way == 0 {
                return Fault::Link("the link is down".to_owned());
            }
            let sent = tokio::select! {
                biased;
                Some(answered) = under_way.next() => match self.settle(answered) {
                    Some(fault) => return Fault::Publishing(fault),
                    None => continue,
                },
                (asked, found) = self.routes.next() => match self.found(asked, found) {
                    Some(fault) => return fault,
                    None => continue,
                },
                (publications, found) = self.sizes.next() => {
                    for publication in publications {
                        self.sized(publication, &found);
                    }
                    continue;
                }
                Ok(()) = state.changed() => {
                    if is_blocked && !self.is_blocked() {
                        // Nothing was said meanwhile, so nothing can be missing.
                        self.outgoing.begin();
                    }
                    continue;
                }
                due = self.outgoing.next(), if !is_blocked && !ends => match due {
                    Due::Say(said) => {
                        Self::put(self.channel, self.config, said.topic, said.data, None).await
                    }
                    Due::LinkDown { cause, .. } => return Fault::Link(cause.to_owned()),
                    _ => continue,
                },
                publication = ready(&mut self.there) => match self.publish(publication).await {
                    Ok(Some(sent)) => Ok(sent),
                    Ok(None) => continue,
                    Err(fault) => return Fault::Publishing(fault),
                },
                Some(request) = requests.recv(), if has_room => match request {
                    request if ends => {
                        refuse(request, self.state);
                        continue;
                    }
                    Request::Bind(binding) => {
                        let bound = bind(binding, self.config, self.outgoing.topics(), self.queue);
                        under_way.push(bound.map(|()| Answered::Bound).boxed());
                        continue;
                    }
                    request if self.is_blocked() => {
                        request.fail(blocked());
                        continue;
                    }
                    Request::Publish(publication) => {
                        let size = self.size_of(&publication);
                        match self.limit.knows(size) {
                            true => self.sized(publication, &Ok(())),
                            false => self.sizes.ask(size, publication),
                        }
                        continue;
                    }
                },
            };
            match sent {
                Ok(sent) => under_way.push(sent),
                Err(fault) if self.is_blocked() => {
                    tracing::debug!(target: realtime_core::log_targets::BROKER, fault, "RabbitMQ accepts nothing");
                }
                Err(fault) => return Fault::Publishing(fault),
            }
        }
    }

    /// What its size will be on the wire.
    fn size_of(&self, publication: &Publication) -> usize {
        let Publication { topic, data, .. } = publication;
        self.outgoing.size_of(topic, data.len())
    }

    /// Sends a message on of which it is known whether RabbitMQ takes it, or can't be: before it has a
    /// number, which would be missed.
    fn sized(&mut self, publication: Publication, found: &Result<(), String>) {
        let refusal = match found {
            Ok(()) => self.limit.check(self.size_of(&publication)),
            // It answers nothing then, and the link is as good as before.
            Err(_) if self.is_blocked() => Err(blocked()),
            Err(unknown) => Err(unavailable(unknown.clone())),
        };
        if let Err(refusal) = refusal {
            let _nobody_waits = publication.outcome.send(Err(refusal));
        } else if self.config.confirms && matches!(publication.topic, Topic::Node(_)) {
            let waiting = Waiting::Message(publication);
            self.routes.ask(waiting, self.config);
        } else {
            self.there.push_back(publication);
        }
    }

    /// Puts a message on the wire. An error is about the link.
    async fn publish(
        &mut self,
        publication: Publication,
    ) -> Result<Option<BoxFuture<'static, Answered>>, String> {
        let Publication {
            topic,
            data,
            outcome,
        } = publication;
        if self.is_blocked() {
            let _nobody_waits = outcome.send(Err(blocked()));
            return Ok(None);
        }
        let stamped = self.outgoing.message(&topic, &data);
        let put = Self::put(self.channel, self.config, topic, stamped, Some(outcome)).await;
        match put {
            Ok(sent) => Ok(Some(sent)),
            Err(fault) if self.is_blocked() => {
                tracing::debug!(target: realtime_core::log_targets::BROKER, fault, "RabbitMQ accepts nothing");
                Ok(None)
            }
            Err(fault) => Err(fault),
        }
    }

    /// Puts a message on the wire.
    async fn put(
        channel: &Channel,
        config: &AmqpConfig,
        topic: Topic,
        stamped: Bytes,
        outcome: Option<oneshot::Sender<Result<Published, BrokerError>>>,
    ) -> Result<BoxFuture<'static, Answered>, String> {
        let published = publishing::publish(channel, config, &topic, &stamped);
        match timeout(PUBLISH, published).await {
            Ok(Ok(confirm)) => Ok(async move {
                let accepted = |confirmation| !matches!(confirmation, Confirmation::Nack(_));
                let confirmed = patient(CONFIRM, confirm).await;
                let confirmed = confirmed.map(|confirmed| confirmed.map(accepted));
                Answered::Sent(Sent {
                    topic,
                    outcome,
                    confirmed,
                })
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
    fn settle(&mut self, answered: Answered) -> Option<String> {
        let Answered::Sent(sent) = answered else {
            return None;
        };
        let (result, fault) = match sent.confirmed {
            Some(Ok(false)) => (Err(unavailable("RabbitMQ refused the message")), None),
            Some(Ok(true)) => match sent.topic {
                Topic::Node(_) if self.config.confirms && sent.outcome.is_none() => {
                    let waiting = Waiting::Announcement(sent.topic);
                    self.routes.ask(waiting, self.config);
                    return None;
                }
                // Without confirms nothing comes back.
                Topic::Node(_) if !self.config.confirms => (Ok(Published::Accepted), None),
                _ => (Ok(Published::Routed), None),
            },
            Some(Err(error)) => {
                let fault = format!("a message was not confirmed: {error}");
                (Err(not_confirmed().with_source(error)), Some(fault))
            }
            None => {
                let context = format!("RabbitMQ did not confirm within {CONFIRM:?}");
                (Err(unknown(context.clone())), Some(context))
            }
        };
        if let Some(outcome) = sent.outcome {
            let _nobody_waits = outcome.send(result);
        }
        fault.filter(|_| !self.is_blocked())
    }

    /// Sends on what somebody is there for, and reports what nobody is. Returns what that says about
    /// the link, if it is bad.
    fn found(&mut self, asked: Vec<Waiting>, found: Round) -> Option<Fault> {
        self.routes.begin(self.config);
        let (absent, fault) = match found {
            Some(Ok(absent)) => (Some(absent), None),
            Some(Err(error)) => (
                None,
                Some(format!("it can't be found out who is there: {error}")),
            ),
            None => (
                None,
                Some("it takes too long to find out who is there".to_owned()),
            ),
        };
        let mut fault = fault.map(Fault::Publishing);
        let own = self.outgoing.node().topic();
        let is_absent = |topic: &Topic| Some(absent.as_ref()?.contains(&topic.to_string()));
        for waiting in asked {
            match waiting {
                Waiting::Announcement(topic) => {
                    if is_absent(&topic) == Some(true) {
                        if topic == own {
                            let unbound = "this node's queue is bound to its own name no more";
                            fault = Some(Fault::Link(unbound.to_owned()));
                        }
                        self.outgoing.forget(&topic);
                    }
                }
                Waiting::Message(publication) => match is_absent(&publication.topic) {
                    Some(false) => self.there.push_back(publication),
                    Some(true) => {
                        self.outgoing.forget(&publication.topic);
                        let _nobody_waits = publication.outcome.send(Ok(Published::NoRoute));
                    }
                    None => {
                        let unsent = unavailable("RabbitMQ did not say who is there");
                        let _nobody_waits = publication.outcome.send(Err(unsent));
                    }
                },
            }
        }
        fault.filter(|_| !self.is_blocked())
    }

    fn is_blocked(&self) -> bool {
        *self.state.borrow() == State::Blocked
    }
}

/// Binds the node's queue to a topic, or no more, unless it was joined again since.
pub(crate) fn bind(
    binding: Binding,
    config: &Arc<AmqpConfig>,
    topics: &Arc<Topics>,
    queue: Queue<'_>,
) -> impl Future<Output = ()> + Send + use<> {
    let (channel, queue) = (queue.channel.clone(), queue.name.clone());
    let (config, topics) = (Arc::clone(config), Arc::clone(topics));
    async move {
        if !binding.is_joined && topics.contains(&binding.topic) {
            let _nobody_waits = binding.outcome.send(Ok(()));
            return;
        }
        let topic = Topic::Named(binding.topic);
        let changed = async {
            match binding.is_joined {
                true => topology::bind(&channel, &config, &queue, &topic).await,
                false => topology::unbind(&channel, &config, &queue, &topic).await,
            }
        };
        let changed = patient(CONFIRM, changed).await;
        let changed = changed.unwrap_or_else(|| Err(too_slow("binding the queue", CONFIRM)));
        let _nobody_waits = binding.outcome.send(changed);
    }
}

/// What is to be put on the wire next, as soon as there is something.
async fn ready(there: &mut VecDeque<Publication>) -> Publication {
    match there.pop_front() {
        Some(publication) => publication,
        None => std::future::pending().await,
    }
}

fn not_confirmed() -> BrokerError {
    unknown("the link broke before RabbitMQ had confirmed the message")
}
