//! The one task of a member, which joins, keeps the link up, stamps and sends.

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    PubSub, PubSubConnection,
    open::Open,
    readers::Readers,
    refused::Refused,
    requests::{ANSWER, Asked, Request, soon, unknown},
};
use crate::{
    Causes, Events, Pause,
    broker::{
        BrokerError, BrokerErrorKind, BrokerEvent, Topic, TopicName,
        stream::{Announcement, Due, Outgoing, Topics},
    },
};

/// How long a link has to last for the next one to be made soon.
const LASTS: Duration = Duration::from_secs(2);

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
    /// On which others were told that this node is there, and hear when it leaves.
    greeted: Option<Arc<Open<S::Connection>>>,
    refused: Refused,
}

impl<S: PubSub> Link<S> {
    pub(super) fn new(
        server: Arc<S>,
        state: Arc<State<S::Connection>>,
        outgoing: Outgoing,
        requests: mpsc::Receiver<Request<S::Connection>>,
        readers: Readers,
    ) -> Self {
        Self {
            server,
            state,
            outgoing,
            requests,
            readers,
            pause: Pause::default(),
            since: Instant::now(),
            greeted: None,
            refused: Refused::new(),
        }
    }

    /// Joins, and says whether it has; then keeps the link up until it is stopped. Leaves with a word.
    pub(super) async fn run(
        mut self,
        stop: CancellationToken,
        joined: oneshot::Sender<Result<(), BrokerError>>,
    ) {
        match stop.run_until_cancelled(self.begin()).await {
            Some(Ok(())) => {
                let _gave_up = joined.send(Ok(()));
                stop.run_until_cancelled(self.keep()).await;
            }
            Some(Err(error)) => drop(joined.send(Err(error))),
            None => drop(joined),
        }
        lock(&self.state.open).take();
        if let Some(open) = self.greeted.take() {
            let Announcement { topic, data } = self.outgoing.goodbye();
            let _best_effort = open.publish(&topic, data).await;
            let _best_effort = open.settled().await;
        }
        self.readers.end().await;
    }

    /// The first connection.
    async fn begin(&mut self) -> Result<(), BrokerError> {
        let open = self.connect().await?;
        for name in self.topics().all() {
            self.read(&open, Topic::Named(name)).await?;
        }
        self.establish(open).await
    }

    /// A connection on which the node hears what is for it. Nothing is subscribed to under its name
    /// before it is known that no other has it.
    async fn connect(&mut self) -> Result<Open<S::Connection>, BrokerError> {
        let open = Open::connect(&*self.server, self.outgoing.node()).await?;
        if open.has_double(&self.outgoing).await? {
            let context = "another node is alive under this id";
            return Err(BrokerError::new(BrokerErrorKind::DuplicateNode, context));
        }
        self.readers.begin();
        self.read(&open, self.outgoing.node().topic()).await?;
        Ok(open)
    }

    fn topics(&self) -> &Topics {
        self.outgoing.topics()
    }

    async fn establish(&mut self, open: Open<S::Connection>) -> Result<(), BrokerError> {
        let open = Arc::new(open);
        self.outgoing.begin();
        let hello = self.outgoing.hello();
        self.greeted = Some(Arc::clone(&open));
        open.publish(&hello.topic, hello.data).await?;
        open.settled().await?;
        self.since = Instant::now();
        *lock(&self.state.open) = Some(open);
        self.tell_up();
        Ok(())
    }

    /// The link is up, though some topics may be refused on it. What was published on those that are
    /// taken now isn't counted until now.
    fn tell_up(&mut self) {
        self.state.events.send(BrokerEvent::Up);
        if let Some(cause) = self.refused.tell() {
            self.state.events.send(BrokerEvent::down(cause));
        }
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
            self.greeted = None;
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
        let mut told = Causes::default();
        while self.state.open().is_none() {
            let mut paused = pin!(sleep(self.pause.next()));
            loop {
                tokio::select! {
                    () = &mut paused => break,
                    // Who asked hears at once that the link is down.
                    Some(refused) = self.requests.recv() => drop(refused),
                }
            }
            if let Err(error) = self.begin_again().await {
                self.readers.end().await;
                self.greeted = None;
                let cause = with_source(&error);
                if told.is_new(&cause) {
                    self.state.events.send(BrokerEvent::down(cause));
                }
            }
        }
    }

    /// Another connection. One topic that is refused is no reason to lose the others.
    async fn begin_again(&mut self) -> Result<(), BrokerError> {
        let open = self.connect().await?;
        self.refused = Refused::new();
        let mut took = Duration::ZERO;
        for name in self.topics().all() {
            // Where refusing takes its time, the rest is asked for once the link is up.
            if took > ANSWER {
                self.refused.add(name);
                continue;
            }
            let asked = Instant::now();
            if let Err(error) = self.read(&open, Topic::Named(name.clone())).await {
                took += asked.elapsed();
                self.refused.add(name);
                self.refused.note(with_source(&error));
            }
        }
        self.establish(open).await
    }

    /// Stamps and sends, so that numbers go out in order, until the link is down. Says why it is.
    async fn speak(
        &mut self,
        open: &Arc<Open<S::Connection>>,
    ) -> Result<std::convert::Infallible, String> {
        // Who left a topic while the link was made could say so to nobody.
        self.readers.keep(self.outgoing.topics()).await?;
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
                () = self.refused.due() => self.ask_again(open).await?,
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
                    Ok(()) => {
                        self.refused.take(&name);
                        Ok(())
                    }
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

    /// What was refused when the link was made may be taken by now: asks for one, and tells what has
    /// become of all of them.
    async fn ask_again(&mut self, open: &Open<S::Connection>) -> Result<(), String> {
        self.refused.keep(self.outgoing.topics());
        if let Some(name) = self.refused.pop() {
            let asked = Instant::now();
            match self.join(open, &name).await {
                Ok(()) => self.refused.take(&name),
                Err(error) => {
                    let cause = with_source(&error);
                    if open.settled().await.is_err() {
                        return Err(cause);
                    }
                    self.refused.note(cause);
                }
            }
            self.refused.asked(asked.elapsed());
        }
        if self.refused.has_news() {
            said(&open.settled().await)?;
            self.tell_up();
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
