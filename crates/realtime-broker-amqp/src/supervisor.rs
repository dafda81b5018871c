//! Keeps a link up: runs it until its first fault, then makes a new one, without end.

use std::{
    future::pending,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt, stream};
use realtime_core::{
    Events,
    broker::{
        BrokerError, BrokerErrorKind, BrokerEvent, BrokerMessage, TopicName,
        stream::{Incoming, Outgoing},
    },
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    AmqpConfig,
    connection::Patience,
    consumer::Receiver,
    error::{unavailable, with_sources},
    limit::Limit,
    link::{BINDINGS, Link},
    publisher::{Queue, bind},
    publishing::leave,
    request::{Binding, Request, refuse},
    retry::{Attempts, Pauses, Report},
    speaker::Speaker,
    state::State,
};

/// For how long what is on its way may still be confirmed once the link is down.
const SETTLE: Duration = Duration::from_secs(1);

/// Everything that outlives a link.
pub(crate) struct Supervisor {
    pub(crate) config: Arc<AmqpConfig>,
    pub(crate) outgoing: Outgoing,
    pub(crate) incoming: Incoming,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) inbox: mpsc::Sender<BrokerMessage>,
    pub(crate) events: Arc<Events<BrokerEvent>>,
    pub(crate) state: watch::Sender<State>,
    pub(crate) limit: Arc<Limit>,
    /// How many links were tried: which URL is next.
    pub(crate) attempts: usize,
    pub(crate) pauses: Pauses,
    pub(crate) stop: CancellationToken,
}

impl Supervisor {
    /// Joins, and says whether it has; then keeps the link up until it is stopped.
    pub(crate) async fn run(mut self, joined: oneshot::Sender<Result<(), BrokerError>>) {
        match self.open_any().await {
            Ok(first) => {
                self.change(State::Up);
                let _gave_up = joined.send(Ok(()));
                self.keep(first).await;
            }
            Err(error) => drop(joined.send(Err(error))),
        }
    }

    /// The first link, from whichever URL gives one. A server that refuses, or is full, doesn't
    /// take the others along; that this node's name is taken is true of all of them.
    async fn open_any(&mut self) -> Result<Link, BrokerError> {
        let mut first = None;
        for _ in 0..self.config.urls.len() {
            match self.open().await {
                Err(error)
                    if error.kind() != BrokerErrorKind::DuplicateNode && !self.is_stopped() =>
                {
                    // Nobody else hears of it where another one gives a link.
                    let cause = with_sources(&error);
                    tracing::warn!(target: realtime_core::log_targets::BROKER, cause, "no link to this RabbitMQ");
                    first = most_telling(first, error);
                }
                done => return done,
            }
        }
        Err(first.unwrap_or_else(|| unavailable("no URL of RabbitMQ is configured")))
    }

    async fn open(&mut self) -> Result<Link, BrokerError> {
        let url = &self.config.urls[self.attempts % self.config.urls.len()];
        self.attempts += 1;
        let (start, stop) = (Patience::Start, &self.stop);
        Link::open(&self.config, url, &self.outgoing, &start, stop).await
    }

    /// Runs until it is stopped.
    async fn keep(mut self, first: Link) {
        let stop = self.stop.clone();
        let mut link = Some(first);
        while let Some(mut current) = self.have(link.take()).await {
            self.change(State::Up);
            self.events.send(BrokerEvent::Up);
            self.pauses.begin();
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    let publishing = current.publishing.as_ref();
                    if let Some(channel) = publishing.map(|publishing| publishing.channel.clone()) {
                        leave(&channel, &self.config, &self.outgoing).await;
                    }
                    current.close().await;
                    break;
                }
                () = self.serve(&mut current) => {}
            }
            self.pauses.end();
            current.close().await;
        }
        self.change(State::Idle);
        self.requests.close();
        self.refuse_what_waits();
    }

    fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// The link that there is, or a new one, whatever it takes. None when it is stopped.
    async fn have(&mut self, link: Option<Link>) -> Option<Link> {
        if link.is_some() {
            return link;
        }
        let Self {
            config,
            outgoing,
            requests,
            events,
            state,
            attempts,
            pauses,
            stop,
            ..
        } = self;
        let report = Report { state, events };
        let on_notice = |notice| drop(report.on_notice(notice));
        let patience = Patience::Again(&on_notice);
        let opened = async {
            let mut outage = Attempts::new(report, State::Down, pauses);
            while stop.run_until_cancelled(outage.pause()).await.is_some() {
                let url = &config.urls[*attempts % config.urls.len()];
                *attempts += 1;
                match Link::open(config, url, outgoing, &patience, stop).await {
                    Ok(link) => return Some(link),
                    Err(_) if stop.is_cancelled() => break,
                    Err(error) => outage.failed(&error),
                }
            }
            None
        };
        let mut opened = pin!(opened);
        loop {
            tokio::select! {
                link = &mut opened => return link,
                // Nobody who has just handed a message over waits in vain.
                Some(request) = requests.recv() => refuse(request, state),
            }
        }
    }

    fn refuse_what_waits(&mut self) {
        while let Ok(request) = self.requests.try_recv() {
            refuse(request, &self.state);
        }
    }

    /// Runs a link until it is down, and reports it.
    async fn serve(&mut self, link: &mut Link) {
        let Link {
            consuming,
            publishing,
            bound,
        } = link;
        self.incoming.begin();
        let queue = Queue {
            channel: &consuming.channel,
            name: &consuming.queue,
        };
        let left = self.leave_what_is_left(std::mem::take(bound), queue);
        let report = Report {
            state: &self.state,
            events: &self.events,
        };
        let told = Mutex::default();
        let mut speaker = Speaker {
            config: &self.config,
            outgoing: &mut self.outgoing,
            requests: &mut self.requests,
            report,
            limit: &self.limit,
            attempts: &mut self.attempts,
            queue,
            told: &told,
            pauses: Pauses::default(),
        };
        let receiver = Receiver {
            config: &self.config,
            channel: &consuming.channel,
            incoming: &mut self.incoming,
            events: &self.events,
            inbox: &self.inbox,
        };
        let mut notices = pin!(consuming.connected.watched());
        let watch = async {
            while let Some(notice) = notices.next().await {
                if let Some(cause) = report.on_notice(notice) {
                    return cause;
                }
            }
            "the connection ended".to_owned()
        };
        let early = std::mem::take(&mut consuming.early);
        let down = |cause: String| {
            // Whoever hears the event says it louder.
            tracing::debug!(target: realtime_core::log_targets::BROKER, cause, "the link to RabbitMQ is down");
            let told = told.lock().unwrap_or_else(PoisonError::into_inner);
            if *report.state.borrow() == State::Receiving && cause.contains(&*told) {
                // What ends both connections is told once.
                return State::Down.replace_in(report.state);
            }
            report.turn(State::Down, BrokerEvent::down(cause));
        };
        let mut speaking = pin!(speaker.run(publishing));
        let cause = tokio::select! {
            cause = watch => cause,
            cause = receiver.run(&mut consuming.deliveries, early) => cause,
            cause = &mut speaking => return down(cause),
            cause = left => cause,
        };
        let publishes = *self.state.borrow() == State::Up;
        down(cause);
        if publishes {
            // What is on its way may still be confirmed.
            let _settled = timeout(SETTLE, speaking).await;
        }
    }

    /// Who left a topic while the link was made could say so to nobody. Goes on for ever.
    fn leave_what_is_left(
        &self,
        mut bound: Vec<TopicName>,
        queue: Queue<'_>,
    ) -> impl Future<Output = String> + use<> {
        let (config, topics) = (&self.config, self.outgoing.topics());
        bound.retain(|topic| !topics.contains(topic));
        let unbound = bound.into_iter().map(|topic| {
            let (outcome, _nobody_waits) = oneshot::channel();
            bind(Binding::leave(topic, outcome), config, topics, queue)
        });
        let unbound: Vec<_> = unbound.collect();
        async {
            let unbound = stream::iter(unbound);
            unbound
                .buffer_unordered(BINDINGS)
                .for_each(async |()| {})
                .await;
            pending().await
        }
    }

    fn change(&self, state: State) {
        state.replace_in(&self.state);
    }
}

/// Of two failures the one that says more: what only time heals says least.
fn most_telling(known: Option<BrokerError>, new: BrokerError) -> Option<BrokerError> {
    match known {
        Some(known) if known.kind() != BrokerErrorKind::Unavailable => Some(known),
        Some(known) if new.kind() == BrokerErrorKind::Unavailable => Some(known),
        _ => Some(new),
    }
}
