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
    task::{AbortHandle, JoinError, JoinSet},
};

use crate::{
    broker::{
        BrokerMessage, Topic,
        stream::{Incoming, Next},
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
        let (incoming, inbox) = (Arc::clone(&self.incoming), self.inbox.clone());
        let reader = self.tasks.spawn(receive(messages, incoming, inbox));
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

/// Takes what comes only when there is room for it: whenever this is dropped, nothing is lost that
/// was counted as heard. Returns when the stream ends.
async fn receive(
    messages: impl Stream<Item = Bytes>,
    incoming: Arc<Mutex<Incoming>>,
    inbox: mpsc::Sender<BrokerMessage>,
) {
    let mut messages = pin!(messages);
    while let Some(message) = messages.next().await {
        let room = match inbox.try_reserve() {
            Ok(room) => Some(room),
            Err(TrySendError::Closed(())) => None,
            Err(TrySendError::Full(())) => {
                let _while_it_waits = lock(&incoming).stall();
                inbox.reserve().await.ok()
            }
        };
        let Some(room) = room else {
            // The subscription is being dropped, which ends this.
            return pending().await;
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
