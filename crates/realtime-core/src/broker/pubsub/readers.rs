//! The tasks that read what comes on subscriptions, and put it into the gateway's inbox.

use std::{
    collections::HashMap,
    future::pending,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use tokio::{
    sync::{mpsc, mpsc::error::TrySendError},
    task::{AbortHandle, JoinError, JoinSet, consume_budget},
};

use crate::{
    broker::{
        BrokerMessage, Topic,
        stream::{Incoming, Next, Topics},
    },
    log_targets,
};

/// A task for each subscription of a connection, ended with this.
pub(super) struct Readers {
    incoming: Arc<Mutex<Incoming>>,
    inbox: mpsc::Sender<BrokerMessage>,
    tasks: JoinSet<()>,
    of: HashMap<Topic, AbortHandle>,
}

impl Readers {
    pub(super) fn new(incoming: Incoming, inbox: mpsc::Sender<BrokerMessage>) -> Self {
        Self {
            incoming: Arc::new(Mutex::new(incoming)),
            inbox,
            tasks: JoinSet::new(),
            of: HashMap::new(),
        }
    }

    /// The link is made anew: nothing is read yet.
    pub(super) fn begin(&self) {
        lock(&self.incoming).begin();
    }

    pub(super) fn contains(&self, topic: &Topic) -> bool {
        self.of.contains_key(topic)
    }

    pub(super) fn add(
        &mut self,
        topic: Topic,
        messages: impl Stream<Item = Bytes> + Send + 'static,
    ) {
        let reader = Reader {
            incoming: Arc::clone(&self.incoming),
            inbox: self.inbox.clone(),
            is_of_the_node: matches!(topic, Topic::Node(_)),
        };
        let reader = self.tasks.spawn(reader.receive(messages));
        self.of.insert(topic, reader);
    }

    /// Waits until one has ended that should not, and says why.
    ///
    /// # Cancel safety
    /// Dropped before it returns, nothing is lost.
    pub(super) async fn ended(&mut self) -> String {
        match self.tasks.join_next().await {
            Some(ended) => cause(&ended),
            None => pending().await,
        }
    }

    /// Reads no more what the node is in no more. Fails where another has ended.
    pub(super) async fn keep(&mut self, topics: &Topics) -> Result<(), String> {
        let is_left = |topic: &&Topic| match topic {
            Topic::Named(name) => !topics.contains(name),
            _ => false,
        };
        let left: Vec<_> = self.of.keys().filter(is_left).cloned().collect();
        for topic in left {
            self.leave(&topic).await?;
        }
        Ok(())
    }

    /// Reads a topic no more. Fails where another has ended.
    pub(super) async fn leave(&mut self, topic: &Topic) -> Result<(), String> {
        let Some(reader) = self.of.remove(topic) else {
            return Ok(());
        };
        reader.abort();
        // What it still reads would be delivered if the topic was joined again meanwhile.
        let mut others = Ok(());
        while let Some(ended) = self.tasks.join_next_with_id().await {
            let (id, ended) = match ended {
                Ok((id, ())) => (id, Ok(())),
                Err(error) => (error.id(), Err(error)),
            };
            if id == reader.id() {
                break;
            }
            others = Err(cause(&ended));
        }
        others
    }

    pub(super) async fn end(&mut self) {
        self.of.clear();
        self.tasks.shutdown().await;
    }
}

fn cause(ended: &Result<(), JoinError>) -> String {
    match ended {
        Ok(()) => "a subscription has ended".to_owned(),
        Err(error) => format!("reading a subscription failed: {error}"),
    }
}

/// What reads one subscription.
struct Reader {
    incoming: Arc<Mutex<Incoming>>,
    inbox: mpsc::Sender<BrokerMessage>,
    /// What this node publishes for itself comes on this one. The others say nothing of how that is,
    /// however much comes on them, and however long it waits.
    is_of_the_node: bool,
}

impl Reader {
    /// Takes what comes only when there is room for it: whenever this is dropped, nothing is lost that
    /// was counted as heard. Returns when the stream ends.
    async fn receive(self, messages: impl Stream<Item = Bytes>) {
        let mut messages = pin!(messages);
        while let Some(message) = messages.next().await {
            // A stream that is always ready keeps nobody from running.
            consume_budget().await;
            let room = match self.inbox.try_reserve() {
                Ok(room) => Some(room),
                Err(TrySendError::Closed(())) => None,
                Err(TrySendError::Full(())) => {
                    let _while_it_waits = self.is_of_the_node.then(|| self.incoming().stall());
                    self.inbox.reserve().await.ok()
                }
            };
            let Some(room) = room else {
                // The subscription is being dropped, which ends this.
                return pending().await;
            };
            let next = match self.is_of_the_node {
                true => self.incoming().receive(message),
                false => self.incoming().receive_beside(message),
            };
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

    fn incoming(&self) -> MutexGuard<'_, Incoming> {
        lock(&self.incoming)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
