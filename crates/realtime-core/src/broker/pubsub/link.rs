//! The one task of a member, which keeps the link up, stamps and sends.

use std::{
    collections::HashSet,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    PubSub, PubSubConnection,
    open::Open,
    readers::Readers,
    requests::{Asked, Request, soon, unknown},
};
use crate::{
    Events, Pause,
    broker::{
        BrokerError, BrokerErrorKind, BrokerEvent, Topic, TopicName,
        stream::{Announcement, Due, Outgoing, Topics},
    },
    log_targets,
};

/// How long a link has to last for the next one to be made soon.
const LASTS: Duration = Duration::from_secs(2);
/// How long it takes until the server is asked again for topics that it has refused.
const AGAIN: Duration = Duration::from_secs(5);

/// What callers see of the link.
#[derive(Debug)]
pub(super) struct State<C> {
    /// The connection, while the link is up.
    open: Mutex<Option<Arc<Open<C>>>>,
    /// Somebody got no answer on it.
    pub(super) doubt: Notify,
    pub(super) events: Arc<Events<BrokerEvent>>,
}

impl<C> State<C> {
    pub(super) fn new(events: Arc<Events<BrokerEvent>>) -> Self {
        Self {
            open: Mutex::new(None),
            doubt: Notify::new(),
            events,
        }
    }

    pub(super) fn open(&self) -> Option<Arc<Open<C>>> {
        lock(&self.open).clone()
    }
}

/// What the task owns.
pub(super) struct Link<S: PubSub> {
    server: Arc<S>,
    state: Arc<State<S::Connection>>,
    outgoing: Outgoing,
    requests: mpsc::Receiver<Request<S::Connection>>,
    readers: Readers,
    pause: Pause,
    /// Since when the link is up.
    since: Instant,
    /// What was joined before this link, and is refused on it.
    refused: HashSet<TopicName>,
    again: Instant,
}

impl<S: PubSub> Link<S> {
    /// The first connection. Nothing is subscribed to under this node's name before it is known
    /// that no other has it.
    pub(super) async fn begin(
        server: Arc<S>,
        state: Arc<State<S::Connection>>,
        outgoing: Outgoing,
        requests: mpsc::Receiver<Request<S::Connection>>,
        readers: Readers,
    ) -> Result<Self, BrokerError> {
        let mut link = Self {
            server,
            state,
            outgoing,
            requests,
            readers,
            pause: Pause::default(),
            since: Instant::now(),
            refused: HashSet::new(),
            again: Instant::now(),
        };
        let open = Open::connect(&*link.server, link.outgoing.node()).await?;
        if open.has_double(&link.outgoing).await? {
            return Err(BrokerError::new(
                BrokerErrorKind::DuplicateNode,
                "another node is alive under this id",
            ));
        }
        link.subscribe(&open).await?;
        for name in link.topics().all() {
            link.read(&open, Topic::Named(name)).await?;
        }
        link.establish(open).await?;
        Ok(link)
    }

    fn topics(&self) -> &Topics {
        self.outgoing.topics()
    }

    async fn subscribe(&mut self, open: &Open<S::Connection>) -> Result<(), BrokerError> {
        self.readers.begin();
        self.read(open, self.outgoing.node().topic()).await
    }

    async fn establish(&mut self, open: Open<S::Connection>) -> Result<(), BrokerError> {
        self.outgoing.begin();
        let hello = self.outgoing.hello();
        open.publish(&hello.topic, hello.data).await?;
        open.settled().await?;
        self.since = Instant::now();
        *lock(&self.state.open) = Some(Arc::new(open));
        self.state.events.send(BrokerEvent::Up);
        Ok(())
    }

    /// Runs until it is stopped, and leaves with a word.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(self.keep()).await;
        let open = lock(&self.state.open).take();
        if let Some(open) = open {
            let Announcement { topic, data } = self.outgoing.goodbye();
            let _best_effort = open.publish(&topic, data).await;
            let _best_effort = open.settled().await;
        }
        self.readers.end().await;
    }

    /// Keeps the link up, without end.
    async fn keep(&mut self) {
        loop {
            let Some(open) = self.state.open() else {
                self.connect_again().await;
                continue;
            };
            let Err(cause) = self.speak(&open).await;
            lock(&self.state.open).take();
            open.give_up();
            self.state.events.send(BrokerEvent::down(cause));
            // What they still read would come behind what the next ones do.
            self.readers.end().await;
            if self.since.elapsed() > LASTS {
                self.pause.reset();
            }
        }
    }

    async fn connect_again(&mut self) {
        let mut told = String::new();
        while self.state.open().is_none() {
            let mut paused = pin!(sleep(self.pause.next()));
            loop {
                tokio::select! {
                    () = &mut paused => break,
                    // Who asked hears at once that the link is down.
                    Some(refused) = self.requests.recv() => drop(refused),
                }
            }
            if let Err(error) = self.connect().await {
                self.readers.end().await;
                let cause = with_source(&error);
                if cause != told {
                    self.state.events.send(BrokerEvent::down(cause.clone()));
                    told = cause;
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<(), BrokerError> {
        let open = Open::connect(&*self.server, self.outgoing.node()).await?;
        self.subscribe(&open).await?;
        self.refused.clear();
        self.again = Instant::now() + AGAIN;
        for name in self.topics().all() {
            if let Err(error) = self.read(&open, Topic::Named(name.clone())).await {
                // One topic is no reason to lose the others.
                open.settled().await?;
                let cause = with_source(&error);
                tracing::error!(
                    target: log_targets::BROKER, topic = %name, cause,
                    "the server refuses a topic; nothing of it is received until it takes it",
                );
                self.refused.insert(name);
            }
        }
        self.establish(open).await
    }

    /// Stamps and sends, so that numbers go out in order, until the link is down. Says why it is.
    async fn speak(
        &mut self,
        open: &Arc<Open<S::Connection>>,
    ) -> Result<std::convert::Infallible, String> {
        loop {
            tokio::select! {
                cause = open.lost() => return Err(cause.to_string()),
                cause = self.readers.ended() => return Err(cause),
                () = self.state.doubt.notified() => said(&open.settled().await)?,
                due = self.outgoing.next() => match due {
                    Due::Say(Announcement { topic, data }) => {
                        said(&open.publish(&topic, data).await)?;
                    }
                    Due::LinkDown { cause } => return Err(cause.to_owned()),
                },
                Some(request) = self.requests.recv() => self.serve(open, request).await?,
                () = sleep_until(self.again), if !self.refused.is_empty() => {
                    self.ask_again(open).await?;
                }
            }
        }
    }

    /// Does what was asked. Fails where the link is down.
    async fn serve(
        &mut self,
        open: &Arc<Open<S::Connection>>,
        request: Request<S::Connection>,
    ) -> Result<(), String> {
        let Some((asked, mut answer)) = request.begin() else {
            return Ok(());
        };
        match asked {
            Asked::Publish(topic, data) => {
                let data = self.outgoing.message(&topic, &data);
                let sent = open.publish(&topic, data).await;
                let link = said(&sent);
                answer.tell(sent.map(|()| Arc::clone(open)).map_err(unknown));
                link
            }
            Asked::Join(name) => {
                let joined = self.join(open, &name).await;
                let cause = said(&joined);
                answer.tell(joined.map(|()| Arc::clone(open)));
                match cause {
                    // One topic that is refused is no reason to lose the link.
                    Err(cause) => open.settled().await.map_err(|_| cause),
                    Ok(()) => Ok(()),
                }
            }
            Asked::Leave(name) => {
                let left = match self.topics().contains(&name) {
                    true => Ok(()),
                    false => self.readers.leave(&Topic::Named(name)).await,
                };
                answer.tell(Ok(Arc::clone(open)));
                left
            }
        }
    }

    /// Where a topic was left meanwhile there is nothing to do.
    async fn join(
        &mut self,
        open: &Open<S::Connection>,
        name: &TopicName,
    ) -> Result<(), BrokerError> {
        let topic = Topic::Named(name.clone());
        if !self.topics().contains(name) || self.readers.contains(&topic) {
            return Ok(());
        }
        self.read(open, topic).await
    }

    /// What was refused when the link was made may be taken by now.
    async fn ask_again(&mut self, open: &Open<S::Connection>) -> Result<(), String> {
        self.again = Instant::now() + AGAIN;
        let mut are_any_taken = false;
        for name in std::mem::take(&mut self.refused) {
            match self.join(open, &name).await {
                Ok(()) => are_any_taken = true,
                Err(error) => {
                    open.settled().await.map_err(|_| with_source(&error))?;
                    self.refused.insert(name);
                }
            }
        }
        if are_any_taken {
            said(&open.settled().await)?;
            // What was published there until now isn't counted, as without a link.
            let cause = "the server has refused topics until now";
            self.state.events.send(BrokerEvent::down(cause));
            self.state.events.send(BrokerEvent::Up);
        }
        Ok(())
    }

    /// Takes what comes on a subscription.
    async fn read(&mut self, open: &Open<S::Connection>, topic: Topic) -> Result<(), BrokerError> {
        let messages = soon(async {
            match &topic {
                Topic::Node(node) => open.connection.subscribe_node(node).await,
                topic => open.connection.subscribe(topic).await,
            }
        })
        .await?;
        self.readers.add(topic, messages);
        Ok(())
    }
}

/// Whether the link is as it was, and why it isn't.
fn said(done: &Result<(), BrokerError>) -> Result<(), String> {
    done.as_ref().copied().map_err(with_source)
}

/// The error, and what lies under it, in one line: what the backend's library says.
fn with_source(error: &BrokerError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
