//! A broker of one's own, over NATS, on `realtime-core` alone.
//!
//! Core brings what is hard: numbers, gaps, beacons, duplicates (`broker::stream`). What is left is
//! to move bytes. A node that reads too slowly loses messages, which the numbers show.
//!
//! ```
//! let broker = custom_broker::Nats::new("nats://127.0.0.1:4222")?;
//! let gateway = realtime::builder().broker(broker).build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::{future::pending, time::Duration};

use async_nats::{Client, ConnectOptions, Event, Message, connection::State};
use bytes::Bytes;
use futures::{StreamExt, stream::poll_fn};
use realtime_core::broker::{BrokerErrorKind as Kind, stream::*, *};
use realtime_core::{BoxError, Events, NodeId, ServerUrl, log_targets};
use tokio::sync::{Notify, mpsc, mpsc::error::TrySendError, oneshot, watch};
use tokio::{task::AbortHandle, time::timeout};

/// How long NATS and its client may take for anything.
const ANSWER: Duration = Duration::from_secs(2);
/// How many messages wait for the gateway, for NATS, and in the client for each subscription.
const QUEUE: usize = 1_024;

/// Nodes joined by NATS.
#[derive(Debug)]
pub struct Nats {
    url: ServerUrl,
    /// What all subjects begin with.
    prefix: String,
    /// The largest message, once NATS has said it.
    limit: AtomicUsize,
    events: Arc<Events<BrokerEvent>>,
    /// Alive while this member is subscribed; nothing when it is closed.
    own: Mutex<Option<Weak<Link>>>,
}

/// What the tasks of a member share.
#[derive(Debug)]
struct Link {
    client: Client,
    prefix: String,
    up: AtomicBool,
    leave: Notify,
    events: Arc<Events<BrokerEvent>>,
    incoming: Mutex<Incoming>,
    inbox: mpsc::Sender<BrokerMessage>,
    publications: mpsc::Sender<Publication>,
    /// Numbers that are sent to a subject of this member's own, and the last that came back.
    echo: (String, AtomicU64, watch::Sender<u64>),
    /// A task for each subject that is subscribed to.
    readers: Mutex<HashMap<String, AbortHandle>>,
}

#[derive(Debug)]
struct Publication {
    topic: Topic,
    data: Bytes,
    sent: oneshot::Sender<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn error(kind: Kind, context: &'static str) -> BrokerError {
    BrokerError::new(kind, context)
}

fn away() -> BrokerError {
    error(Kind::Unavailable, "NATS can't be reached")
}

fn closed() -> BrokerError {
    error(Kind::Closed, "the broker is closed")
}

/// The place of a subscription, where there is none.
fn vacant(own: &mut Option<Weak<Link>>) -> Result<&mut Weak<Link>, BrokerError> {
    let own = own.as_mut().ok_or_else(closed)?;
    let taken = || error(Kind::Config, "this member is subscribed already");
    if own.strong_count() > 0 {
        Err(taken())
    } else {
        Ok(own)
    }
}

/// A step that has its bound.
async fn soon<T, E: Into<BoxError>>(
    step: impl Future<Output = Result<T, E>>,
) -> Result<T, BrokerError> {
    let done = timeout(ANSWER, step).await;
    let done = done.map_err(|late| away().with_source(late))?;
    done.map_err(|cause| away().with_source(cause))
}

/// The lanes of a node: 12 that its name chooses, and of 12 more those that it does not. So no
/// node's are all among another's. Nodes that have the same drop what is for the other.
fn lanes(node: &NodeId) -> u32 {
    let mix = |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let hash = node.as_str().bytes().fold(0x811c_9dc5, mix);
    let half = (hash ^ hash >> 12 ^ hash >> 24) & 0xfff;
    half << 12 | !half & 0xfff
}

/// NATS's client has a queue for each subscription, but what is for all and what is for one node
/// has to stay in line. So a node takes both by one: it asks for any sign in its lanes, where a
/// message for it has 1 and one for all 0, and for 0 in the others.
fn in_lanes(prefix: &str, lanes: u32, sign: &str) -> String {
    let signs = (0..24).map(|lane| [".0", sign][(lanes >> lane & 1) as usize]);
    signs.fold(prefix.to_owned(), |subject, sign| subject + sign)
}

impl Link {
    fn subject(&self, topic: &Topic) -> String {
        match topic {
            Topic::All => in_lanes(&self.prefix, 0, ".1"),
            Topic::Node(node) => in_lanes(&self.prefix, lanes(node), ".1"),
            // Any text is a name, but not of a subject.
            other => format!("{}.{:x}", self.prefix, Bytes::from(other.to_string())),
        }
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
    async fn settled(&self) -> Result<(), BrokerError> {
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
    async fn has_double(&self, outgoing: &Outgoing) -> Result<bool, BrokerError> {
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
    async fn read(self: &Arc<Self>, subject: String) -> Result<(), BrokerError> {
        let mut arrived = soon(self.client.subscribe(subject.clone())).await?;
        let link = Arc::downgrade(self);
        let reader = tokio::spawn(async move {
            while let (Some(message), Some(link)) = (arrived.next().await, link.upgrade()) {
                link.receive(message).await;
            }
        });
        lock(&self.readers).insert(subject, reader.abort_handle());
        self.settled().await
    }

    async fn receive(&self, message: Message) {
        if let (true, Ok(number)) = (
            *message.subject == *self.echo.0,
            message.payload[..].try_into(),
        ) {
            self.echo.2.send_replace(u64::from_be_bytes(number));
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

    async fn join(self: &Arc<Self>, name: &TopicName) -> Result<(), BrokerError> {
        let topics = Arc::clone(lock(&self.incoming).topics());
        if !topics.join(name)? {
            return self.settled().await;
        }
        let subject = self.subject(&Topic::Named(name.clone()));
        let joined = self.read(subject).await;
        joined.inspect_err(|_| self.leave(name))
    }

    fn leave(&self, name: &TopicName) {
        lock(&self.incoming).topics().leave(name);
        let subject = self.subject(&Topic::Named(name.clone()));
        if let Some(reader) = lock(&self.readers).remove(&subject) {
            reader.abort();
        }
    }

    /// The connection is new.
    async fn begin(&self, outgoing: &mut Outgoing) -> Result<(), BrokerError> {
        lock(&self.incoming).begin();
        outgoing.begin();
        self.say(outgoing.hello()).await;
        self.settled().await?;
        self.turn(true, "");
        Ok(())
    }

    /// Stamps and sends, so that numbers go out in order.
    async fn run(
        self: Arc<Self>,
        mut outgoing: Outgoing,
        mut publications: mpsc::Receiver<Publication>,
        mut changes: mpsc::Receiver<Event>,
    ) {
        loop {
            tokio::select! {
                () = self.inbox.closed() => break,
                () = self.leave.notified() => break,
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
                        let done = self.publish(&topic, data).await.map(|()| sent.send(()));
                        drop(done);
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
        lock(&self.readers).values().for_each(AbortHandle::abort);
    }
}

impl Nats {
    /// Over the NATS at this URL; `?namespace=` keeps clusters apart. Opens no connection.
    ///
    /// # Errors
    /// Kind `Config` when it isn't such a URL. No error shows a password.
    pub fn new(url: &str) -> Result<Self, BrokerError> {
        let invalid = || error(Kind::Config, "expected a URL such as nats://host:4222");
        let refused = |cause| invalid().with_source(cause);
        let mut url: ServerUrl = url.parse().map_err(refused)?;
        if !matches!(
            (url.scheme(), url.path()),
            ("nats" | "tls", None | Some(""))
        ) {
            return Err(invalid());
        }
        let namespace = url.take_namespace().map_err(refused)?.unwrap_or_default();
        url.clone().finish().map_err(refused)?;
        Ok(Self {
            url,
            // A dot would begin another part of a subject.
            prefix: namespace.as_str().replace('.', "/"),
            limit: AtomicUsize::new(usize::MAX),
            events: Arc::default(),
            own: Mutex::new(Some(Weak::new())),
        })
    }

    fn link(&self) -> Result<Arc<Link>, BrokerError> {
        let own = lock(&self.own).clone().ok_or_else(closed)?;
        own.upgrade().ok_or_else(away)
    }

    async fn connect(&self) -> Result<(Client, mpsc::Receiver<Event>), BrokerError> {
        let (told, mut changes) = mpsc::channel(8);
        let tell = move |event| {
            let told = told.clone();
            async move {
                if matches!(event, Event::Connected | Event::Disconnected) {
                    let _left = told.send(event).await;
                }
            }
        };
        let options = ConnectOptions::new()
            .event_callback(tell)
            .subscription_capacity(QUEUE);
        let mut options = options
            .connection_timeout(ANSWER)
            .ping_interval(BEACON_INTERVAL);
        if let (Some(user), password) = (self.url.user(), self.url.password()) {
            let password = password.unwrap_or_default().to_owned();
            options = options.user_and_password(user.to_owned(), password);
        }
        let (host, port) = (self.url.host(), self.url.port().unwrap_or(4222));
        let [open, close] = if host.contains(':') {
            ["[", "]"]
        } else {
            ["", ""]
        };
        let address = format!("{}://{open}{host}{close}:{port}", self.url.scheme());
        let client = soon(options.connect(address)).await?;
        let first = changes.recv();
        soon(async { first.await.ok_or("the client has ended") }).await?;
        Ok((client, changes))
    }
}

impl Broker for Nats {
    async fn subscribe(&self, join: Join) -> Result<Subscription, BrokerError> {
        vacant(&mut lock(&self.own))?;
        let (client, changes) = self.connect().await?;
        let limit = client.max_payload().saturating_sub(MAX_STAMP);
        self.limit.store(limit, SeqCst);
        let (mut outgoing, incoming) = pair(join.node, Arc::clone(&self.events));
        let (inbox, mut received) = mpsc::channel(QUEUE);
        let (publications, asked) = mpsc::channel(QUEUE);
        let link = Arc::new(Link {
            echo: (client.new_inbox(), AtomicU64::new(0), watch::Sender::new(0)),
            client,
            prefix: self.prefix.clone(),
            up: AtomicBool::new(false),
            leave: Notify::new(),
            events: Arc::clone(&self.events),
            incoming: Mutex::new(incoming),
            inbox,
            publications,
            readers: Mutex::default(),
        });
        link.read(link.echo.0.clone()).await?;
        if link.has_double(&outgoing).await? {
            return Err(error(
                Kind::DuplicateNode,
                "another node is alive under this id",
            ));
        }
        let own = in_lanes(&self.prefix, lanes(&outgoing.node().id), ".*");
        link.read(own).await?;
        for topic in &join.topics {
            link.join(topic).await?;
        }
        link.begin(&mut outgoing).await?;
        *vacant(&mut lock(&self.own))? = Arc::downgrade(&link);
        tokio::spawn(link.run(outgoing, asked, changes));
        Ok(Subscription::new(poll_fn(move |cx| received.poll_recv(cx))))
    }

    async fn join(&self, topic: &TopicName) -> Result<(), BrokerError> {
        let link = self.link()?;
        if !link.up.load(SeqCst) {
            return Err(away());
        }
        link.join(topic).await
    }

    async fn leave(&self, topic: &TopicName) -> Result<(), BrokerError> {
        self.link().map(|link| link.leave(topic))
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<Published, BrokerError> {
        let link = self.link()?;
        if data.len() > self.limit.load(SeqCst) {
            return Err(error(
                Kind::TooLarge,
                "the message is larger than NATS takes",
            ));
        }
        if !link.up.load(SeqCst) {
            return Err(away());
        }
        let (sent, is_sent) = oneshot::channel();
        let topic = topic.clone();
        let publication = Publication { topic, data, sent };
        let unknown = || error(Kind::Unknown, "NATS did not take it in time");
        let queued = link.publications.send_timeout(publication, ANSWER).await;
        queued.map_err(|_| away())?;
        is_sent.await.map_err(|_| unknown())?;
        if let Err(cause) = link.settled().await {
            link.give_up("NATS does not answer").await;
            return Err(unknown().with_source(cause));
        }
        Ok(Published::Accepted)
    }

    fn limits(&self) -> BrokerLimits {
        let limits = BrokerLimits::none()
            .with_max_topics(Topics::MAX)
            .without_absence();
        match self.limit.load(SeqCst) {
            usize::MAX => limits,
            limit => limits.with_max_message(limit),
        }
    }

    fn events(&self) -> BrokerEvents {
        BrokerEvents::new(self.events.subscribe())
    }

    async fn close(&self) {
        let link = lock(&self.own).take().and_then(|link| link.upgrade());
        if let Some(link) = link {
            link.leave.notify_one();
            link.publications.closed().await;
        }
        self.events.close();
    }
}
