//! The broker itself: what the gateway calls.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::stream::poll_fn;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    PubSub, PubSubConnection,
    link::{Link, State},
    open::Open,
    readers::Readers,
    requests::{Asked, QUEUE, Request, ask, down, unknown},
};
use crate::{
    Events,
    broker::{
        Broker, BrokerError, BrokerErrorKind, BrokerEvent, BrokerEvents, BrokerLimits, Join,
        Membership, Published, Subscription, Topic, TopicName,
        stream::{self, Joins, LoopbackTime, MAX_STAMP, Numbered, Topics},
    },
};

/// A member of a cluster that is joined by a [`PubSub`], whose page has an example.
///
/// Making one opens no connection: [`subscribe`](Broker::subscribe) does, which the gateway's
/// `start` calls. While the link is down it is made anew without end, every 2 s at the most.
///
/// # What is promised
/// - Messages are delivered at most once; what is missed is counted, and reported as a gap.
/// - A publication is [`Accepted`](Published::Accepted) when the server has read it, which a round
///   trip on the same connection shows; whether somebody listens isn't known.
/// - At most 1,024 messages wait for the gateway, whatever their size. While there is no room the
///   streams of the connection aren't read.
/// - A server that doesn't answer is noticed by the first who publishes, within 4 s; where nobody
///   does, by beacons that don't come back.
/// - Joining takes a second, in which another node of the same id may answer, and so does making the
///   link anew.
/// - A topic that is refused on a new link costs no other: [`Up`](BrokerEvent::Up) is followed by
///   [`Down`](BrokerEvent::Down), which says so, until the server takes it; it is asked again every
///   5 s. What is published goes out meanwhile.
pub struct PubSubBroker<S: PubSub> {
    server: Arc<S>,
    events: Arc<Events<BrokerEvent>>,
    /// How far the numbers of all subscriptions have come.
    numbered: Numbered,
    loopback: LoopbackTime,
    own: Membership<Member<S::Connection>>,
}

/// What callers need of a subscription while it is there.
#[derive(Debug)]
struct Member<C> {
    state: Arc<State<C>>,
    joins: Arc<Joins>,
    requests: mpsc::Sender<Request<C>>,
}

impl<C> Clone for Member<C> {
    fn clone(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
            joins: Arc::clone(&self.joins),
            requests: self.requests.clone(),
        }
    }
}

impl<S: PubSub> PubSubBroker<S> {
    /// A member that has not joined yet.
    #[must_use]
    pub fn new(server: S) -> Self {
        Self {
            server: Arc::new(server),
            events: Arc::default(),
            numbered: Numbered::default(),
            loopback: LoopbackTime::default(),
            own: Membership::default(),
        }
    }

    /// The largest message that may be published now, where that is known.
    fn max_message(&self) -> Option<usize> {
        let open = self.own.joined().ok()?.state.open()?;
        let most = open.connection.max_message();
        (most < usize::MAX).then(|| most.saturating_sub(MAX_STAMP))
    }
}

impl<S: PubSub> Broker for PubSubBroker<S> {
    async fn subscribe(&self, join: Join) -> Result<Subscription, BrokerError> {
        let mut joining = self.own.begin().await?;
        let (mut outgoing, incoming) = stream::pair(join.node, Arc::clone(&self.events));
        outgoing.continue_from(&self.numbered);
        outgoing.measure(&self.loopback);
        let joins = Arc::new(Joins::new(Arc::clone(outgoing.topics())));
        for topic in &join.topics {
            joins.begin(topic, || {})?.succeed();
        }
        let (requests, asked) = mpsc::channel(QUEUE);
        let (inbox, mut received) = mpsc::channel(QUEUE);
        let state = Arc::new(State::new(Arc::clone(&self.events)));
        let (server, readers) = (Arc::clone(&self.server), Readers::new(incoming, inbox));
        let link = Link::new(server, Arc::clone(&state), outgoing, asked, readers);
        let (told, joined) = oneshot::channel();
        joining.spawn(link.run(joining.stop().clone(), told));
        joined
            .await
            .unwrap_or_else(|_| Err(ended(joining.stop())))?;
        let member = Member {
            state,
            joins,
            requests,
        };
        joining.complete(member, poll_fn(move |cx| received.poll_recv(cx)))
    }

    async fn join(&self, topic: &TopicName) -> Result<(), BrokerError> {
        let member = self.own.joined()?;
        let attempt = member.joins.begin(topic, || {
            // Where there is no link, the next one doesn't join the topic; and where there is no room,
            // what comes on it is dropped.
            let leave = Request::forgotten(Asked::Leave(topic.clone()));
            let _best_effort = member.requests.try_send(leave);
        })?;
        let open = member.ask(Asked::Join(topic.clone())).await?;
        if let Err(error) = open.settled().await {
            member.state.doubt.notify_one();
            return Err(error);
        }
        attempt.succeed();
        Ok(())
    }

    async fn leave(&self, topic: &TopicName) -> Result<(), BrokerError> {
        let member = self.own.joined()?;
        if member.joins.leave(topic) {
            // Where there is no link, the next one doesn't join the topic.
            let _best_effort = member.ask(Asked::Leave(topic.clone())).await;
        }
        Ok(())
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<Published, BrokerError> {
        let member = self.own.joined()?;
        let size = data.len();
        if let Some(most) = self.max_message().filter(|most| size > *most) {
            let context = format!("expected at most {most} bytes to publish; got {size}");
            return Err(BrokerError::new(BrokerErrorKind::TooLarge, context));
        }
        let open = member.ask(Asked::Publish(topic.clone(), data)).await?;
        match open.settled().await {
            Ok(()) => Ok(Published::Accepted),
            Err(cause) => {
                member.state.doubt.notify_one();
                Err(unknown(cause))
            }
        }
    }

    fn limits(&self) -> BrokerLimits {
        let limits = BrokerLimits::none()
            .with_max_topics(Topics::MAX)
            .without_absence();
        match self.max_message() {
            Some(most) => limits.with_max_message(most),
            None => limits,
        }
    }

    fn events(&self) -> BrokerEvents {
        BrokerEvents::new(self.events.subscribe())
    }

    fn loopback(&self) -> Option<Duration> {
        self.loopback.last()
    }

    async fn close(&self) {
        self.own.close().await;
        self.events.close();
    }
}

/// Why the task that joins has ended without a word.
fn ended(stop: &CancellationToken) -> BrokerError {
    match stop.is_cancelled() {
        true => BrokerError::new(BrokerErrorKind::Closed, "the broker is closed"),
        false => BrokerError::new(BrokerErrorKind::Unavailable, "connecting has panicked"),
    }
}

impl<C> Member<C> {
    /// Has the link do something, and returns the connection on which it did.
    async fn ask(&self, asked: Asked) -> Result<Arc<Open<C>>, BrokerError> {
        if self.state.open().is_none() {
            return Err(down());
        }
        ask(&self.requests, asked).await
    }
}

impl<S: PubSub> fmt::Debug for PubSubBroker<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PubSubBroker").finish_non_exhaustive()
    }
}
