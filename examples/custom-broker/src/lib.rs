//! A broker of one's own, over NATS, on `realtime-core` alone.
//!
//! Core brings what is hard: the link that is made anew, numbers, gaps, beacons, duplicates
//! (`broker::pubsub`). What is left is to move bytes. A node that reads too slowly loses messages,
//! which the numbers show.
//!
//! ```
//! use custom_broker::Nats;
//! use realtime::broker::pubsub::PubSubBroker;
//!
//! let broker = PubSubBroker::new(Nats::new("nats://127.0.0.1:4222")?);
//! let gateway = realtime::builder().broker(broker).build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod subject;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_nats::{Client, ConnectOptions, Event, Message, Subscriber, connection::State};
use bytes::Bytes;
use futures::{StreamExt, stream};
use realtime_core::{
    BoxError, NodeId, ServerUrl,
    broker::{
        BrokerError, BrokerErrorKind, NodeInfo, Topic,
        pubsub::{PubSub, PubSubConnection},
        stream::BEACON_INTERVAL,
    },
};
use tokio::{sync::watch, time::timeout};

/// How many messages wait in the client for each subscription.
const QUEUE: usize = 1_024;
/// How long the client waits before it connects anew by itself: longer than anybody waits for an
/// answer, and by then it was dropped.
const NOT_BY_ITSELF: Duration = Duration::from_secs(10);
/// So that a second address has its turn in the time that connecting may take.
const FOR_EACH_ADDRESS: Duration = Duration::from_millis(900);
/// How often it is looked at whether the client is connected.
const LOOK: Duration = Duration::from_millis(500);
const LOST: &str = "the connection to NATS is lost";

/// A NATS that joins nodes: `PubSubBroker::new(Nats::new(url)?)` is the broker.
#[derive(Debug)]
pub struct Nats {
    url: ServerUrl,
    /// What all subjects begin with.
    prefix: String,
}

impl Nats {
    /// The NATS at this URL; `?namespace=` keeps clusters apart. Opens no connection.
    ///
    /// # Errors
    /// Kind `Config` when it isn't such a URL. No error shows a password.
    pub fn new(url: &str) -> Result<Self, BrokerError> {
        let expected = "expected a URL such as nats://host:4222";
        let invalid = || BrokerError::new(BrokerErrorKind::Config, expected);
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
        })
    }

    fn address(&self) -> String {
        let (scheme, host) = (self.url.scheme(), self.url.host());
        let port = self.url.port().unwrap_or(4222);
        match host.contains(':') {
            true => format!("{scheme}://[{host}]:{port}"),
            false => format!("{scheme}://{host}:{port}"),
        }
    }
}

impl PubSub for Nats {
    type Connection = Connection;

    async fn connect(&self, node: &NodeInfo) -> Result<Connection, BoxError> {
        let (told, lost) = watch::channel(None);
        let connected = Arc::new(OnceLock::new());
        let was_connected = Arc::clone(&connected);
        let mut options = ConnectOptions::new()
            .name(node.id.as_str())
            .connection_timeout(FOR_EACH_ADDRESS)
            .event_callback(move |event| {
                match event {
                    Event::Disconnected => told.send_replace(Some(LOST.to_owned())),
                    // Nothing else tells that it has refused a subscription or a message.
                    Event::ServerError(said) => told.send_replace(Some(said.to_string())),
                    _ => None,
                };
                async {}
            })
            .subscription_capacity(QUEUE)
            .reconnect_delay_callback(move |_| match was_connected.get() {
                Some(()) => NOT_BY_ITSELF,
                None => Duration::ZERO,
            })
            .max_reconnects(1)
            .ignore_discovered_servers()
            // Beacons decide. By pings a client ends that can't write what it is told any more.
            .ping_interval(3 * BEACON_INTERVAL);
        if let Some(user) = self.url.user() {
            let password = self.url.password().unwrap_or_default();
            options = options.user_and_password(user.to_owned(), password.to_owned());
        }
        let client = options.connect(self.address()).await?;
        connected.get_or_init(|| ());
        Ok(Connection {
            client,
            prefix: self.prefix.clone(),
            lost,
        })
    }
}

/// A connection to NATS.
#[derive(Debug)]
pub struct Connection {
    client: Client,
    prefix: String,
    /// Why it is of no use any more.
    lost: watch::Receiver<Option<String>>,
}

type Messages = stream::Map<Subscriber, fn(Message) -> Bytes>;

impl Connection {
    async fn messages(&self, subject: String) -> Result<Messages, BoxError> {
        let messages = self.client.subscribe(subject).await?;
        Ok(messages.map(|message| message.payload))
    }
}

impl PubSubConnection for Connection {
    type Messages = Messages;

    async fn subscribe(&self, topic: &Topic) -> Result<Messages, BoxError> {
        self.messages(subject::of(&self.prefix, topic)).await
    }

    async fn subscribe_node(&self, node: &NodeId) -> Result<Messages, BoxError> {
        self.messages(subject::pattern(&self.prefix, node)).await
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<(), BoxError> {
        let subject = subject::of(&self.prefix, topic);
        Ok(self.client.publish(subject, data).await?)
    }

    async fn lost(&self) -> BoxError {
        let mut lost = self.lost.clone();
        // The client tells nothing where it has much to tell: then it is looked at.
        while self.client.connection_state() == State::Connected {
            match timeout(LOOK, lost.wait_for(Option::is_some)).await {
                Ok(Ok(cause)) => return cause.as_deref().unwrap_or(LOST).into(),
                Ok(Err(_ended)) => break,
                Err(_) => {}
            }
        }
        LOST.into()
    }

    fn max_message(&self) -> usize {
        self.client.max_payload()
    }
}
