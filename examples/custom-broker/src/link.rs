//! The connection of a member, and the tasks that move bytes over it.

use std::collections::HashMap;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use async_nats::{Client, Event, Message, connection::State};
use bytes::Bytes;
use futures::StreamExt;
use realtime_core::broker::{stream::*, *};
use realtime_core::{Events, log_targets};
use tokio::sync::{Notify, mpsc, mpsc::error::TrySendError, oneshot, watch};
use tokio::{task::JoinHandle, time::timeout};

use crate::{lock, soon, subject};

/// What the tasks of a member share.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) client: Client,
    pub(crate) prefix: String,
    pub(crate) up: AtomicBool,
    pub(crate) leave: Notify,
    /// Somebody got no answer.
    pub(crate) doubt: Notify,
    pub(crate) events: Arc<Events<BrokerEvent>>,
    pub(crate) incoming: Mutex<Incoming>,
    pub(crate) inbox: mpsc::Sender<BrokerMessage>,
    pub(crate) publications: mpsc::Sender<Publication>,
    /// Numbers that are sent to a subject of this member's own, and the last that came back.
    pub(crate) echo: (String, AtomicU64, watch::Sender<u64>),
    /// A task for each subject that is subscribed to.
    pub(crate) readers: Mutex<HashMap<String, JoinHandle<()>>>,
}

#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) topic: Topic,
    pub(crate) data: Bytes,
    pub(crate) sent: oneshot::Sender<()>,
}

impl Link {
    fn subject(&self, topic: &Topic) -> String {
        subject::of(&self.prefix, topic)
    }

    /// The largest message.
    pub(crate) fn limit(&self) -> usize {
        self.client.max_payload().saturating_sub(MAX_STAMP)
    }

    fn turn(&self, up: bool, cause: &str) {
        if self.up.swap(up, SeqCst) != up {
            let down = BrokerEvent::down(cause);
            self.events.send(if up { BrokerEvent::Up } else { down });
        }
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<(), BrokerError> {
        soon(self.client.publish(self.subject(topic), data)).await
    }

    /// What fails here isn't reported: it doesn't come back, which `Outgoing` notices.
    async fn say(&self, said: Announcement) {
        let _noticed = self.publish(&said.topic, said.data).await;
    }

    /// Waits until NATS has read all that was sent: a number that was sent behind it comes back.
    pub(crate) async fn settled(&self) -> Result<(), BrokerError> {
        let (subject, last, back) = &self.echo;
        let number = last.fetch_add(1, SeqCst) + 1;
        let sent = Bytes::copy_from_slice(&number.to_be_bytes());
        soon(self.client.publish(subject.clone(), sent)).await?;
        let mut back = back.subscribe();
        soon(back.wait_for(|back| *back >= number)).await.map(drop)
    }

    /// The link is down, also where the connection looks as if it were there.
    async fn give_up(&self, cause: &str) {
        self.turn(false, cause);
        if self.client.connection_state() == State::Connected {
            let _noticed = soon(self.client.force_reconnect()).await;
        }
    }

    /// Whether another node is alive under this one's id.
    pub(crate) async fn has_double(&self, outgoing: &Outgoing) -> Result<bool, BrokerError> {
        let mut for_all = soon(self.client.subscribe(self.subject(&Topic::All))).await?;
        self.settled().await?;
        self.say(outgoing.question()).await;
        let double = async {
            while let Some(said) = for_all.next().await {
                if look(outgoing.node(), said.payload) == Look::DuplicateNode {
                    return;
                }
            }
            pending().await
        };
        Ok(timeout(ANSWER_TIMEOUT, double).await.is_ok())
    }

    /// Takes what comes on a subject. After an outage the client subscribes to it again.
    pub(crate) async fn read(self: &Arc<Self>, subject: String) -> Result<(), BrokerError> {
        let mut arrived = soon(self.client.subscribe(subject.clone())).await?;
        let link = Arc::downgrade(self);
        let reader = tokio::spawn(async move {
            while let (Some(message), Some(link)) = (arrived.next().await, link.upgrade()) {
                link.receive(message).await;
            }
        });
        lock(&self.readers).insert(subject, reader);
        self.settled().await
    }

    async fn receive(&self, message: Message) {
        if *message.subject == *self.echo.0 {
            if let Ok(number) = message.payload[..].try_into() {
                self.echo.2.send_replace(u64::from_be_bytes(number));
            }
            return;
        }
        let next = lock(&self.incoming).receive(message.payload);
        match next {
            Next::Deliver(message) => {
                if let Err(TrySendError::Full(message)) = self.inbox.try_send(message) {
                    lock(&self.incoming).set_stalled(true);
                    let _leaving = self.inbox.send(message).await;
                    lock(&self.incoming).set_stalled(false);
                }
            }
            Next::DuplicateNode { incarnation, .. } => tracing::error!(
                target: log_targets::BROKER, ?incarnation,
                "another node is alive under this node's id; give each an id of its own",
            ),
            _ => {}
        }
    }

    pub(crate) async fn join(self: &Arc<Self>, name: &TopicName) -> Result<(), BrokerError> {
        let topics = Arc::clone(lock(&self.incoming).topics());
        if !topics.join(name)? {
            return self.settled().await;
        }
        let subject = self.subject(&Topic::Named(name.clone()));
        let joined = self.read(subject).await;
        if joined.is_err() {
            self.leave(name).await;
        }
        joined
    }

    pub(crate) async fn leave(&self, name: &TopicName) {
        lock(&self.incoming).topics().leave(name);
        let subject = self.subject(&Topic::Named(name.clone()));
        let reader = lock(&self.readers).remove(&subject);
        if let Some(reader) = reader {
            reader.abort();
            // What it still reads would be delivered if the topic was joined again meanwhile.
            let _cancelled = reader.await;
        }
    }

    /// The connection is new.
    pub(crate) async fn begin(&self, outgoing: &mut Outgoing) -> Result<(), BrokerError> {
        lock(&self.incoming).begin();
        outgoing.begin();
        self.say(outgoing.hello()).await;
        self.settled().await?;
        self.turn(true, "");
        Ok(())
    }

    /// Stamps and sends, so that numbers go out in order.
    pub(crate) async fn run(
        self: Arc<Self>,
        mut outgoing: Outgoing,
        mut publications: mpsc::Receiver<Publication>,
        mut changes: mpsc::Receiver<Event>,
    ) {
        loop {
            tokio::select! {
                () = self.inbox.closed() => break,
                () = self.leave.notified() => break,
                () = self.doubt.notified() => if self.settled().await.is_err() {
                    self.give_up("NATS does not answer").await;
                },
                change = changes.recv() => match change {
                    Some(Event::Connected) => drop(self.begin(&mut outgoing).await),
                    Some(_) => self.turn(false, "the connection is lost"),
                    None => break,
                },
                due = outgoing.next() => match due {
                    Due::Say(said) => self.say(said).await,
                    Due::LinkDown { cause, .. } => self.give_up(cause).await,
                    _ => {}
                },
                Some(Publication { topic, data, sent }) = publications.recv() => {
                    if self.up.load(SeqCst) {
                        let data = outgoing.message(&topic, &data);
                        match self.publish(&topic, data).await {
                            Ok(()) => drop(sent.send(())),
                            Err(_) => self.give_up("NATS takes nothing").await,
                        }
                    }
                }
            }
        }
        self.up.store(false, SeqCst);
        self.say(outgoing.goodbye()).await;
        let _best_effort = self.settled().await;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        lock(&self.readers).values().for_each(JoinHandle::abort);
    }
}
