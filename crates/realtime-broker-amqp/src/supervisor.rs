//! Keeps a link up: runs it until its first fault, then makes a new one, without end.

use std::{collections::VecDeque, pin::pin, sync::Arc, time::Duration};

use futures::StreamExt;
use realtime_core::{
    Events,
    broker::{
        BrokerError, BrokerErrorKind, BrokerEvent, BrokerMessage,
        stream::{Incoming, Outgoing},
    },
};
use tokio::sync::{mpsc, watch};

use crate::{
    AmqpConfig,
    causes::{Causes, with_sources},
    consumer::Receiver,
    error::{blocked, unavailable},
    limit::Limit,
    link::{self, Link, Notice, Patience},
    publisher::Publisher,
    request::Request,
    routes::Routes,
    state::State,
};

/// The longest pause before the first attempt, and before a later one.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

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
}

impl Supervisor {
    /// The first link, from whichever URL gives one. A server that refuses, or is full, doesn't
    /// take the others along; that this node's name is taken is true of all of them.
    pub(crate) async fn open_any(&mut self) -> Result<Link, BrokerError> {
        let mut first = None;
        for _ in 0..self.config.urls.len() {
            match self.open().await {
                Err(error) if error.kind() != BrokerErrorKind::DuplicateNode => {
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
        Link::open(&self.config, url, &self.outgoing, &Patience::Start).await
    }

    /// Runs until `stop` completes.
    pub(crate) async fn run(mut self, first: Link, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut link = Some(first);
        loop {
            let mut current = tokio::select! {
                biased;
                () = &mut stop => break,
                link = self.have(link.take()) => link,
            };
            self.turn(State::Up, BrokerEvent::Up);
            let cause = tokio::select! {
                biased;
                () = &mut stop => {
                    link::leave(&current.publish, &self.config, &self.outgoing).await;
                    current.close().await;
                    break;
                }
                cause = self.serve(&mut current) => cause,
            };
            tracing::warn!(target: realtime_core::log_targets::BROKER, cause, "the link to RabbitMQ is down");
            self.turn(State::Down, BrokerEvent::down(cause));
            current.close().await;
        }
        self.change(State::Idle);
        self.requests.close();
        self.refuse_what_waits();
    }

    /// The link that there is, or a new one, whatever it takes.
    async fn have(&mut self, link: Option<Link>) -> Link {
        if let Some(link) = link {
            return link;
        }
        let mut longest = BACKOFF.0;
        let mut known = Causes::default();
        loop {
            let pause = longest.mul_f64(fastrand::f64());
            self.refuse_for(tokio::time::sleep(pause)).await;
            match self.open_and_refuse().await {
                Ok(link) => return link,
                Err(error) => {
                    let cause = with_sources(&error);
                    let is_new = known.is_new(&cause);
                    if is_new {
                        // So that the health and the log show what is wrong now: a password, say.
                        tracing::warn!(target: realtime_core::log_targets::BROKER, cause, "no link to RabbitMQ yet");
                    }
                    // An attempt that waited for memory has ended without it.
                    if is_new || *self.state.borrow() == State::Blocked {
                        self.turn(State::Down, BrokerEvent::down(cause));
                    }
                }
            }
            longest = (longest * 2).min(BACKOFF.1);
        }
    }

    async fn open_and_refuse(&mut self) -> Result<Link, BrokerError> {
        let urls = &self.config.urls;
        let url = &urls[self.attempts % urls.len()];
        self.attempts += 1;
        let (state, events) = (&self.state, &self.events);
        let report = |notice| drop(on_notice(notice, state, events));
        let patience = Patience::Again(&report);
        let mut opening = pin!(Link::open(&self.config, url, &self.outgoing, &patience));
        loop {
            tokio::select! {
                opened = &mut opening => return opened,
                Some(request) = self.requests.recv() => refuse(request, state),
            }
        }
    }

    /// While something else is done, nobody who has just handed a message over waits in vain.
    async fn refuse_for(&mut self, done: impl Future<Output = ()>) {
        let mut done = pin!(done);
        loop {
            tokio::select! {
                () = &mut done => return,
                Some(request) = self.requests.recv() => refuse(request, &self.state),
            }
        }
    }

    fn refuse_what_waits(&mut self) {
        while let Ok(request) = self.requests.try_recv() {
            refuse(request, &self.state);
        }
    }

    /// Runs a link until it is down, and says why.
    async fn serve(&mut self, link: &mut Link) -> String {
        // It may be another server.
        self.limit.forget();
        self.outgoing.begin();
        self.incoming.begin();
        let mut notices = pin!(link.notices());
        let publisher = Publisher {
            config: &self.config,
            channel: &link.publish,
            routes: Routes::new(&link.routes),
            there: VecDeque::new(),
            connection: &link.connections[0],
            limit: &self.limit,
            queue: (&link.consume, &link.queue),
            outgoing: &mut self.outgoing,
            state: &self.state,
        };
        let receiver = Receiver {
            config: &self.config,
            channel: &link.consume,
            incoming: &mut self.incoming,
            events: &self.events,
            inbox: &self.inbox,
        };
        let (state, events) = (&self.state, &self.events);
        let watch = async {
            while let Some(notice) = notices.next().await {
                if let Some(cause) = on_notice(notice, state, events) {
                    return cause;
                }
            }
            "the connections ended".to_owned()
        };
        let early = std::mem::take(&mut link.early);
        tokio::select! {
            cause = watch => cause,
            cause = publisher.run(&mut self.requests) => cause,
            cause = receiver.run(&mut link.deliveries, early) => cause,
        }
    }

    fn turn(&self, state: State, event: BrokerEvent) {
        self.change(state);
        self.events.send(event);
    }

    fn change(&self, state: State) {
        change(&self.state, state);
    }
}

/// Reports a notice. Returns the cause, if the link is broken.
fn on_notice(
    notice: Notice,
    state: &watch::Sender<State>,
    events: &Events<BrokerEvent>,
) -> Option<String> {
    let (next, event) = match notice {
        Notice::Blocked => (State::Blocked, BrokerEvent::Blocked),
        Notice::Unblocked => (State::Up, BrokerEvent::Unblocked),
        Notice::Broken(cause) => return Some(cause),
    };
    change(state, next);
    events.send(event);
    None
}

/// Whatever happens to the link, a closed broker stays closed.
fn change(state: &watch::Sender<State>, next: State) {
    state.send_if_modified(|state| {
        let changes = *state != State::Closed && *state != next;
        if changes {
            *state = next;
        }
        changes
    });
}

/// While there is no link.
fn refuse(request: Request, state: &watch::Sender<State>) {
    let error = match *state.borrow() {
        State::Blocked => blocked(),
        _ => unavailable("the link to RabbitMQ is down"),
    };
    request.fail(error);
}

/// Of two failures the one that says more: what only time heals says least.
fn most_telling(known: Option<BrokerError>, new: BrokerError) -> Option<BrokerError> {
    match known {
        Some(known) if known.kind() != BrokerErrorKind::Unavailable => Some(known),
        Some(known) if new.kind() == BrokerErrorKind::Unavailable => Some(known),
        _ => Some(new),
    }
}
