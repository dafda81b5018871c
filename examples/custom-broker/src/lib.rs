//! A broker of one's own, over Redis pub/sub, on `realtime-core` alone.
//!
//! Core brings what is hard: numbers, gaps, beacons, duplicates (`broker::stream`). What is left is
//! to move bytes. A node that reads too slowly loses messages, which is noticed and reported.
//!
//! ```
//! let broker = custom_broker::PubSub::new("redis://127.0.0.1:6379")?;
//! let gateway = realtime::builder().broker(broker).build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fred::{prelude::*, types::Message};
use realtime_core::broker::{BrokerErrorKind as Kind, stream::*, *};
use realtime_core::{Events, Namespace, ServerUrl};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::{sync::mpsc, task::AbortHandle, time};

/// How long Redis may take to answer, and a publication wait for those before it: many at once, on
/// a busy machine. It fails at once when one of them finds out that Redis doesn't answer.
const ANSWER: Duration = Duration::from_secs(1);
const TURN: Duration = Duration::from_secs(5);

/// Nodes joined by Redis pub/sub.
#[derive(Debug)]
pub struct PubSub {
    redis: Config,
    namespace: Namespace,
    events: Arc<Events<BrokerEvent>>,
    own: Mutex<Own>,
}

#[derive(Debug)]
enum Own {
    Idle,
    /// Dropping it ends the tasks.
    Joined((Arc<Link>, Tasks)),
    Closed,
}

/// What publications and the task that reads share.
#[derive(Debug)]
struct Link {
    writer: Client,
    namespace: Namespace,
    /// Held while a message goes out, so that messages go in the order of their numbers.
    outgoing: tokio::sync::Mutex<Outgoing>,
    events: Arc<Events<BrokerEvent>>,
    up: AtomicBool,
}

/// Ended when the subscription is dropped, and when the broker is closed or dropped.
#[derive(Debug, Clone)]
struct Tasks(Vec<AbortHandle>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

fn error(kind: Kind, context: &'static str) -> BrokerError {
    BrokerError::new(kind, context)
}

fn away() -> BrokerError {
    error(Kind::Unavailable, "not in the cluster")
}

fn no_answer(cause: Error) -> BrokerError {
    error(Kind::Unavailable, "Redis did not answer").with_source(cause)
}

impl PubSub {
    /// Over the Redis at this URL; `?namespace=` keeps clusters apart. Opens no connection.
    ///
    /// # Errors
    /// Kind `Config` when it isn't such a URL. No error shows a password.
    pub fn new(url: &str) -> Result<Self, BrokerError> {
        let invalid = || error(Kind::Config, "expected a URL such as redis://host:6379");
        let refused = |cause| invalid().with_source(cause);
        let mut url: ServerUrl = url.parse().map_err(refused)?;
        if url.scheme() != "redis" || url.path().is_some_and(|path| !path.is_empty()) {
            return Err(invalid());
        }
        let namespace = url.take_namespace().map_err(refused)?.unwrap_or_default();
        let redis = Config {
            server: ServerConfig::new_centralized(url.host(), url.port().unwrap_or(6379)),
            username: url.user().map(str::to_owned),
            password: url.password().map(str::to_owned),
            ..Config::default()
        };
        url.finish().map_err(refused)?;
        Ok(Self {
            redis,
            namespace,
            events: Arc::default(),
            own: Mutex::new(Own::Idle),
        })
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    fn channel(&self, topic: &Topic) -> String {
        format!("{}.{topic}", self.namespace)
    }

    /// How many got it.
    async fn send(&self, topic: &Topic, bytes: Bytes) -> Result<u64, Error> {
        let sent = self.writer.publish(self.channel(topic), bytes).await;
        sent.inspect_err(|error| self.turn(false, error.to_string()))
    }

    fn turn(&self, up: bool, cause: String) {
        if self.up.swap(up, SeqCst) != up {
            let down = BrokerEvent::Down { cause };
            self.events.send(if up { BrokerEvent::Up } else { down });
        }
    }

    async fn read(
        self: Arc<Self>,
        mut incoming: Incoming,
        mut arrived: Receiver<Message>,
        inbox: mpsc::Sender<BrokerMessage>,
    ) {
        let (mut beacon, mut missing) = (time::interval(BEACON_INTERVAL), 0);
        loop {
            let arrived = tokio::select! {
                message = arrived.recv() => message,
                _ = beacon.tick() => {
                    missing += 1;
                    if missing > 2 {
                        self.turn(false, "two beacons did not come back".to_owned());
                    }
                    self.say(Say::Beacon).await;
                    continue;
                }
            };
            let message = match arrived {
                Ok(message) => message.value.into_owned_bytes().unwrap_or_default(),
                // Of what it was too slow for, the numbers show.
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            };
            match incoming.receive(message.into(), &self.events) {
                Next::Deliver(message) => drop(inbox.send(message).await),
                Next::OwnBeacon => {
                    missing = 0;
                    self.turn(true, String::new());
                }
                Next::Say(say) => self.say(say).await,
                _ => {}
            }
        }
    }

    /// Its failure is reported by an event, and the next beacon is another chance.
    async fn say(&self, say: Say) {
        let bytes = self.outgoing.lock().await.say(say);
        let _reported = self.send(&Topic::All, bytes).await;
    }
}

impl Broker for PubSub {
    async fn subscribe(&self, node: NodeInfo, _: &[Topic]) -> Result<Subscription, BrokerError> {
        let idle = |own: &Own| match own {
            Own::Idle => Ok(()),
            Own::Joined(_) => Err(error(Kind::Config, "this member is subscribed already")),
            Own::Closed => Err(error(Kind::Closed, "the broker is closed")),
        };
        idle(&self.own())?;
        let mut builder = Builder::from_config(self.redis.clone());
        builder.set_policy(ReconnectPolicy::new_exponential(0, 100, 1_000, 2));
        builder.with_connection_config(|connection| connection.max_command_attempts = 1);
        builder.with_performance_config(|performance| {
            performance.default_command_timeout = ANSWER;
            performance.broadcast_channel_capacity = 10_000;
        });
        let writer = builder.build().map_err(no_answer)?;
        let reader = builder.build_subscriber_client().map_err(no_answer)?;
        let mut tasks = Tasks(Vec::new());
        for connected in [writer.init().await, reader.init().await] {
            tasks.0.push(connected.map_err(no_answer)?.abort_handle());
        }
        let (arrived, mut reconnections) = (reader.message_rx(), reader.reconnect_rx());
        let outgoing = Outgoing::new(node.clone());
        let question = outgoing.question();
        let link = Arc::new(Link {
            writer,
            namespace: self.namespace.clone(),
            outgoing: outgoing.into(),
            events: Arc::clone(&self.events),
            up: AtomicBool::new(false),
        });
        let own = Topic::Node(node.id.clone());
        let subscribe = async |topic| {
            reader.subscribe(link.channel(topic)).await?;
            // The client doesn't wait for Redis. What comes behind on the same connection does.
            reader.ping::<Value>(None).await
        };
        subscribe(&Topic::All).await.map_err(no_answer)?;
        // Redis knows who listens. A connection that is being closed gets a moment.
        let taken = async || Ok(link.send(&own, question.clone()).await.map_err(no_answer)? > 0);
        if taken().await? {
            time::sleep(ANSWER_TIMEOUT).await;
            if taken().await? {
                return Err(error(Kind::DuplicateNode, "this node id is taken"));
            }
        }
        subscribe(&own).await.map_err(no_answer)?;
        // The client's own way also asks for what nobody has subscribed to, and Redis's answer to
        // that is then taken for another's.
        let subscriber = reader.clone();
        let channels = vec![link.channel(&Topic::All), link.channel(&own)];
        tasks.0.push(
            tokio::spawn(async move {
                while !matches!(reconnections.recv().await, Err(RecvError::Closed)) {
                    // Where it fails, there is another reconnection, or no beacon comes back.
                    let _told = subscriber.subscribe(channels.clone()).await;
                }
            })
            .abort_handle(),
        );
        let (inbox, mut received) = mpsc::channel(1_024);
        let reading = Arc::clone(&link).read(Incoming::new(node), arrived, inbox);
        tasks.0.push(tokio::spawn(reading).abort_handle());
        link.turn(true, String::new());
        let mut own = self.own();
        idle(&own)?;
        *own = Own::Joined((link, tasks.clone()));
        Ok(Subscription::new(futures::stream::poll_fn(move |cx| {
            let _ended_with_it = (&tasks, &reader);
            received.poll_recv(cx)
        })))
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<Published, BrokerError> {
        let link = match &*self.own() {
            Own::Joined((link, _)) if link.up.load(SeqCst) => Arc::clone(link),
            Own::Joined(_) | Own::Idle => return Err(away()),
            Own::Closed => return Err(error(Kind::Closed, "the broker is closed")),
        };
        let turn = time::timeout(TURN, link.outgoing.lock()).await;
        // The fault may have been found out while others were waiting, too.
        let turn = turn.ok().filter(|_| link.up.load(SeqCst));
        let mut outgoing = turn.ok_or_else(away)?;
        match link.send(topic, outgoing.message(topic, &data)).await {
            Ok(0) if *topic != Topic::All => {
                outgoing.forget(topic);
                Ok(Published::NoRoute)
            }
            Ok(_) => Ok(Published::Routed),
            Err(cause) => Err(error(Kind::Unknown, "Redis did not answer").with_source(cause)),
        }
    }

    fn events(&self) -> BrokerEvents {
        BrokerEvents::new(self.events.subscribe())
    }

    async fn close(&self) {
        *self.own() = Own::Closed;
        self.events.close();
    }
}
