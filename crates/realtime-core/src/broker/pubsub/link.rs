//! The one task of a member, which keeps the link up, stamps and sends; and its readers.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use tokio::{
    sync::{Notify, mpsc, mpsc::error::TrySendError},
    task::JoinHandle,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    PubSub, PubSubConnection,
    open::Open,
    requests::{Asked, Request, soon, unknown},
};
use crate::{
    Events, Pause,
    broker::{
        BrokerError, BrokerErrorKind, BrokerEvent, BrokerMessage, Topic, TopicName,
        stream::{Announcement, Due, Incoming, Next, Outgoing, Topics},
    },
    log_targets,
};

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
    pub(super) server: Arc<S>,
    pub(super) state: Arc<State<S::Connection>>,
    pub(super) outgoing: Outgoing,
    pub(super) incoming: Arc<Mutex<Incoming>>,
    pub(super) inbox: mpsc::Sender<BrokerMessage>,
    pub(super) requests: mpsc::Receiver<Request<S::Connection>>,
    pub(super) readers: Readers,
}

/// A task for each subscription of the connection, ended with this.
#[derive(Default)]
pub(super) struct Readers(HashMap<Topic, JoinHandle<()>>);

impl<S: PubSub> Link<S> {
    fn topics(&self) -> &Topics {
        self.outgoing.topics()
    }

    /// The first connection. Nothing is subscribed to under this node's name before it is known
    /// that no other has it.
    pub(super) async fn begin(&mut self) -> Result<(), BrokerError> {
        let open = Open::connect(&*self.server, self.outgoing.node()).await?;
        if open.has_double(&self.outgoing).await? {
            return Err(BrokerError::new(
                BrokerErrorKind::DuplicateNode,
                "another node is alive under this id",
            ));
        }
        self.establish(open).await
    }

    async fn establish(&mut self, open: Open<S::Connection>) -> Result<(), BrokerError> {
        lock(&self.incoming).begin();
        self.read(&open, self.outgoing.node().topic()).await?;
        for name in self.topics().all() {
            self.read(&open, Topic::Named(name)).await?;
        }
        self.outgoing.begin();
        let hello = self.outgoing.hello();
        open.publish(&hello.topic, hello.data).await?;
        open.settled().await?;
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
            let cause = self.speak(&open).await;
            lock(&self.state.open).take();
            self.state.events.send(BrokerEvent::down(cause));
            // What they still read would come behind what the next ones do.
            self.readers.end().await;
        }
    }

    async fn connect_again(&mut self) {
        let (mut pause, mut told) = (Pause::default(), String::new());
        while self.state.open().is_none() {
            let mut paused = pin!(sleep(pause.next()));
            loop {
                tokio::select! {
                    () = &mut paused => break,
                    // Who asked hears at once that the link is down.
                    Some(refused) = self.requests.recv() => drop(refused),
                }
            }
            let connected = Open::connect(&*self.server, self.outgoing.node()).await;
            let established = match connected {
                Ok(open) => self.establish(open).await,
                Err(error) => Err(error),
            };
            if let Err(error) = established {
                self.readers.end().await;
                let cause = with_source(&error);
                if cause != told {
                    self.state.events.send(BrokerEvent::down(cause.clone()));
                    told = cause;
                }
            }
        }
    }

    /// Stamps and sends, so that numbers go out in order, until the link is down. Says why it is.
    async fn speak(&mut self, open: &Arc<Open<S::Connection>>) -> String {
        loop {
            let done = tokio::select! {
                cause = open.connection.lost() => return cause.to_string(),
                () = self.state.doubt.notified() => open.settled().await,
                due = self.outgoing.next() => match due {
                    Due::Say(Announcement { topic, data }) => open.publish(&topic, data).await,
                    Due::LinkDown { cause } => return cause.to_owned(),
                },
                Some(Request { asked, done }) = self.requests.recv() => {
                    let result = self.serve(open, asked).await;
                    let is_lost = matches!(&result, Err(error)
                        if error.kind() != BrokerErrorKind::Config);
                    let _gave_up = done.send(result.map(|()| Arc::clone(open)));
                    if is_lost {
                        return "the server takes nothing".to_owned();
                    }
                    Ok(())
                }
            };
            if let Err(error) = done {
                return with_source(&error);
            }
        }
    }

    async fn serve(&mut self, open: &Open<S::Connection>, asked: Asked) -> Result<(), BrokerError> {
        match asked {
            Asked::Publish(topic, data) => {
                let data = self.outgoing.message(&topic, &data);
                open.publish(&topic, data).await.map_err(unknown)
            }
            Asked::Join(name) => self.join(open, name).await,
            Asked::Leave(name) => {
                if !self.topics().contains(&name) {
                    self.readers.leave(&Topic::Named(name)).await;
                }
                Ok(())
            }
        }
    }

    async fn join(
        &mut self,
        open: &Open<S::Connection>,
        name: TopicName,
    ) -> Result<(), BrokerError> {
        self.topics().join(&name)?;
        let topic = Topic::Named(name.clone());
        if self.readers.0.contains_key(&topic) {
            return Ok(());
        }
        let joined = self.read(open, topic).await;
        if joined.is_err() {
            self.topics().leave(&name);
        }
        joined
    }

    /// Takes what comes on a subscription.
    async fn read(&mut self, open: &Open<S::Connection>, topic: Topic) -> Result<(), BrokerError> {
        let messages = soon(async {
            match &topic {
                Topic::Node(node) => open.connection.subscribe_node(node).await,
                topic => open.connection.subscribe(topic).await,
            }
        });
        let reader = receive(
            messages.await?,
            Arc::clone(&self.incoming),
            self.inbox.clone(),
        );
        self.readers.0.insert(topic, tokio::spawn(reader));
        Ok(())
    }
}

/// Takes what comes only when there is room for it: whenever this is dropped, nothing is lost that
/// was counted as heard.
async fn receive(
    messages: impl Stream<Item = Bytes>,
    incoming: Arc<Mutex<Incoming>>,
    inbox: mpsc::Sender<BrokerMessage>,
) {
    let mut messages = pin!(messages);
    while let Some(message) = messages.next().await {
        let room = match inbox.try_reserve() {
            Ok(room) => room,
            Err(TrySendError::Closed(())) => return,
            Err(TrySendError::Full(())) => {
                let _while_it_waits = Stalled::new(&incoming);
                match inbox.reserve().await {
                    Ok(room) => room,
                    Err(_) => return,
                }
            }
        };
        let next = lock(&incoming).receive(message);
        match next {
            Next::Deliver(message) => room.send(message),
            Next::DuplicateNode { incarnation } => tracing::error!(
                target: log_targets::BROKER, ?incarnation,
                "another node is alive under this node's id; give each an id of its own",
            ),
            Next::Nothing => {}
        }
    }
}

/// The gateway takes nothing for now.
struct Stalled<'i>(&'i Mutex<Incoming>);

impl<'i> Stalled<'i> {
    fn new(incoming: &'i Mutex<Incoming>) -> Self {
        lock(incoming).set_stalled(true);
        Self(incoming)
    }
}

impl Drop for Stalled<'_> {
    fn drop(&mut self) {
        lock(self.0).set_stalled(false);
    }
}

impl Readers {
    async fn leave(&mut self, topic: &Topic) {
        if let Some(reader) = self.0.remove(topic) {
            reader.abort();
            // What it still reads would be delivered if the topic was joined again meanwhile.
            let _cancelled = reader.await;
        }
    }

    async fn end(&mut self) {
        self.0.values().for_each(JoinHandle::abort);
        for (_, reader) in self.0.drain() {
            let _cancelled = reader.await;
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.0.values().for_each(JoinHandle::abort);
    }
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
