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

mod link;
mod subject;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};
use bytes::Bytes;
use futures::stream::poll_fn;
use realtime_core::broker::{BrokerErrorKind as Kind, stream::*, *};
use realtime_core::{BoxError, Events, ServerUrl};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::timeout;

use link::{Link, Publication};

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
    events: Arc<Events<BrokerEvent>>,
    /// How far the numbers of all subscriptions have come.
    numbered: Numbered,
    loopback: LoopbackTime,
    /// Alive while this member is subscribed; nothing when it is closed.
    own: Mutex<Option<Weak<Link>>>,
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
            events: Arc::default(),
            numbered: Numbered::default(),
            loopback: LoopbackTime::default(),
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
        let mut options = ConnectOptions::new()
            .event_callback(tell)
            .subscription_capacity(QUEUE)
            .connection_timeout(ANSWER)
            // Beacons decide. By pings a client ends that can't write what it is told any more.
            .ping_interval(3 * BEACON_INTERVAL);
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
        let (mut outgoing, incoming) = pair(join.node, Arc::clone(&self.events));
        outgoing.continue_from(&self.numbered);
        outgoing.measure(&self.loopback);
        let (inbox, mut received) = mpsc::channel(QUEUE);
        let (publications, asked) = mpsc::channel(QUEUE);
        let link = Arc::new(Link {
            echo: (client.new_inbox(), AtomicU64::new(0), watch::Sender::new(0)),
            client,
            prefix: self.prefix.clone(),
            up: AtomicBool::new(false),
            leave: Notify::new(),
            doubt: Notify::new(),
            events: Arc::clone(&self.events),
            incoming: Mutex::new(incoming),
            inbox,
            publications,
            readers: Mutex::default(),
        });
        link.read(link.echo.0.clone()).await?;
        if link.has_double(&outgoing).await? {
            let context = "another node is alive under this id";
            return Err(error(Kind::DuplicateNode, context));
        }
        let own = subject::pattern(&self.prefix, &outgoing.node().id);
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
        self.link()?.leave(topic).await;
        Ok(())
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<Published, BrokerError> {
        let link = self.link()?;
        if data.len() > link.limit() {
            let context = "the message is larger than NATS takes";
            return Err(error(Kind::TooLarge, context));
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
            link.doubt.notify_one();
            return Err(unknown().with_source(cause));
        }
        Ok(Published::Accepted)
    }

    fn limits(&self) -> BrokerLimits {
        let limits = BrokerLimits::none()
            .with_max_topics(Topics::MAX)
            .without_absence();
        match self.link() {
            Ok(link) => limits.with_max_message(link.limit()),
            Err(_) => limits,
        }
    }

    fn events(&self) -> BrokerEvents {
        BrokerEvents::new(self.events.subscribe())
    }

    fn loopback(&self) -> Option<Duration> {
        self.loopback.last()
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
