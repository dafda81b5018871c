//! One link to RabbitMQ: two fresh connections and everything on them.
//!
//! Two, since RabbitMQ blocks a connection that publishes when it runs short of memory: the other
//! one continues to consume.

use std::{
    collections::{BTreeSet, VecDeque},
    net::SocketAddr,
    pin::pin,
    time::Duration,
};

use bytes::Bytes;
use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer, Event, PublisherConfirm,
    message::Delivery,
    options::{BasicAckOptions, BasicPublishOptions, ConfirmSelectOptions},
    types::ShortString,
    uri::AMQPUri,
};
use realtime_core::broker::{
    BrokerError, BrokerErrorKind, NodeInfo, Topic,
    stream::{ANSWER_TIMEOUT, Announcement, Look, Outgoing, look},
};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    AmqpConfig,
    error::{self, refused, too_slow, unavailable},
    probe, routes, topology,
    wire::Wires,
};

/// How long it may take to connect, and then to join.
const OPEN: Duration = Duration::from_secs(5);
/// How long a connection may take to say goodbye.
const CLOSE: Duration = Duration::from_secs(1);
/// How many topics are bound at the same time.
const BINDINGS: usize = 256;
/// How long a node may take to say that it leaves.
const GOODBYE: Duration = Duration::from_millis(500);
/// How often it is checked that what says it is connected is.
const CHECK: Duration = Duration::from_millis(500);

pub(crate) struct Link {
    pub(crate) publish: Channel,
    pub(crate) consume: Channel,
    /// On which it is found out who is there.
    pub(crate) routes: Channel,
    pub(crate) deliveries: Consumer,
    pub(crate) queue: ShortString,
    /// What came while the link was set up.
    pub(crate) early: VecDeque<Delivery>,
    connections: [Connection; 2],
    /// What happens to the connections. One for each: the library reports each event only once.
    notices: BoxStream<'static, Notice>,
    /// Dropped last: what said goodbye has ended by then.
    _wires: Wires,
}

/// What happens to a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    Blocked,
    Unblocked,
    /// It is of no use any more.
    Broken(String),
}

/// What to do about what only time heals.
pub(crate) enum Patience<'t> {
    /// The node starts: fail, and say why.
    Start,
    /// The link is made anew: wait, and report.
    Again(&'t (dyn Fn(Notice) + Send + Sync)),
}

impl Link {
    /// Connects, joins under the node's name, and sees a beacon of its own come back.
    pub(crate) async fn open(
        config: &AmqpConfig,
        url: &AMQPUri,
        outgoing: &Outgoing,
        patience: &Patience<'_>,
    ) -> Result<Self, BrokerError> {
        let address = probe::answers(url).await?;
        let node = outgoing.node();
        let queue = topology::new_queue(config, node);
        let connecting = Self::connect(config, (url, address), node, &queue);
        let connected = timeout(OPEN, connecting).await;
        let mut link = connected.unwrap_or_else(|_| Err(too_slow("connecting", OPEN)))?;
        link.introduce(config, outgoing, patience).await?;
        Ok(link)
    }

    /// Everything that can be done without publishing.
    async fn connect(
        config: &AmqpConfig,
        server: (&AMQPUri, SocketAddr),
        node: &NodeInfo,
        queue: &ShortString,
    ) -> Result<Self, BrokerError> {
        let wires = Wires::default();
        let (consuming, publishing) = futures::try_join!(
            connect(&wires, config, server, node, "consume"),
            connect(&wires, config, server, node, "publish"),
        )?;
        let consume = open_channel(&consuming).await?;
        let publish = open_channel(&publishing).await?;
        let routes = open_channel(&publishing).await?;
        if config.confirms {
            for channel in [&publish, &routes] {
                let on = channel.confirm_select(ConfirmSelectOptions::default());
                on.await.map_err(|e| refused("switching confirms on", e))?;
            }
        }
        topology::declare_exchange(&publish, config).await?;
        let deliveries = topology::consume(&consume, config, queue).await?;
        topology::bind(&consume, config, queue, &Topic::All).await?;
        Ok(Self {
            publish,
            consume,
            routes,
            deliveries,
            queue: queue.clone(),
            early: VecDeque::new(),
            notices: stream::select(notices_of(&publishing), notices_of(&consuming)).boxed(),
            connections: [publishing, consuming],
            _wires: wires,
        })
    }

    /// Binds the node's name, and sees that what it publishes arrives. RabbitMQ may be short of
    /// memory and accept nothing: it says so with the first publication.
    async fn introduce(
        &mut self,
        config: &AmqpConfig,
        outgoing: &Outgoing,
        patience: &Patience<'_>,
    ) -> Result<(), BrokerError> {
        let mut notices = std::mem::replace(&mut self.notices, stream::empty().boxed());
        let (own, named) = (outgoing.node().topic(), outgoing.topics().all());
        // A node may be in very many.
        let binding = Duration::from_millis(named.len() as u64);
        let mut limit = match patience {
            Patience::Start => OPEN + leftover(config) + binding,
            Patience::Again(_) => OPEN + binding,
        };
        let mut blocked = false;
        let joined = async {
            let mut work = pin!(async {
                self.ask_for_a_duplicate(config, outgoing, patience).await?;
                topology::bind(&self.consume, config, &self.queue, &own).await?;
                for some in named.chunks(BINDINGS) {
                    let bound = some.iter().map(|name| {
                        let topic = Topic::Named(name.clone());
                        let (channel, queue) = (&self.consume, &self.queue);
                        async move { topology::bind(channel, config, queue, &topic).await }
                    });
                    futures::future::try_join_all(bound).await?;
                }
                self.loop_back(config, outgoing).await
            });
            loop {
                tokio::select! {
                    biased;
                    done = &mut work => return done,
                    Some(notice) = notices.next() => match (notice, patience) {
                        (Notice::Broken(cause), _) => return Err(unavailable(cause)),
                        (Notice::Blocked, Patience::Start) => return Err(error::blocked()),
                        (Notice::Blocked, Patience::Again(report)) => {
                            blocked = true;
                            report(Notice::Blocked);
                        }
                        (Notice::Unblocked, _) => (blocked, limit) = (false, OPEN),
                    },
                    () = sleep(limit), if !blocked => return Err(too_slow("joining", limit)),
                }
            }
        };
        joined.await?;
        self.notices = notices;
        Ok(())
    }

    /// Fails when another node is alive under this node's id.
    ///
    /// Where nobody has the name, the question comes back. A queue that accepts it may be a
    /// leftover, which nobody answers for and which RabbitMQ gives up after a while; or its node
    /// has so much to read that the question has to wait.
    async fn ask_for_a_duplicate(
        &mut self,
        config: &AmqpConfig,
        outgoing: &Outgoing,
        patience: &Patience<'_>,
    ) -> Result<(), BrokerError> {
        let node = outgoing.node();
        let asked_first = Instant::now();
        loop {
            let question = outgoing.question();
            let refused = |e| refused("asking for another node of this id", e);
            let asked = put(&self.publish, config, node, &question).await?;
            asked.await.map_err(refused)?;
            if config.confirms {
                let own = question.topic.to_string();
                let keys = BTreeSet::from([own.clone()]);
                let absent = routes::absent(self.routes.clone(), config, node, keys).await;
                if absent.map_err(refused)?.contains(&own) {
                    return Ok(());
                }
            }
            let answered = self.early_until(config, node, |received| {
                (received == Look::DuplicateNode).then_some(())
            });
            match timeout(ANSWER_TIMEOUT, answered).await {
                Ok(answered) => return answered.and_then(|()| Err(duplicate(node))),
                // Most likely this node's own leftover. Without confirms nothing comes back.
                Err(_) if matches!(patience, Patience::Again(_)) || !config.confirms => {
                    return Ok(());
                }
                Err(_) if asked_first.elapsed() > leftover(config) => return Err(duplicate(node)),
                Err(_) => {}
            }
        }
    }

    /// Sees a beacon come back: the link works both ways, and no duplicate has started meanwhile.
    async fn loop_back(
        &mut self,
        config: &AmqpConfig,
        outgoing: &Outgoing,
    ) -> Result<(), BrokerError> {
        let node = outgoing.node();
        let _confirmed_by_its_return = put(&self.publish, config, node, &outgoing.hello()).await?;
        let back = self.early_until(config, node, |received| match received {
            Look::OwnBeacon => Some(Ok(())),
            Look::DuplicateNode => Some(Err(duplicate(node))),
            _ => None,
        });
        back.await?
    }

    /// Keeps what comes until something is found in it. Each message is acknowledged at once: what
    /// is looked for may stand behind more of them than RabbitMQ sends ahead. No more are kept than
    /// that; what is given up shows in the numbers.
    async fn early_until<T>(
        &mut self,
        config: &AmqpConfig,
        node: &NodeInfo,
        find: impl Fn(Look) -> Option<T>,
    ) -> Result<T, BrokerError> {
        loop {
            let delivery = match self.deliveries.next().await {
                Some(Ok(delivery)) => delivery,
                Some(Err(error)) => return Err(refused("consuming the queue", error)),
                None => return Err(unavailable("RabbitMQ has ended the consumer")),
            };
            let acked = delivery.ack(BasicAckOptions::default()).await;
            acked.map_err(|e| refused("consuming the queue", e))?;
            // A look only: what is to be done with it is decided when the link runs.
            let seen = look(node, Bytes::copy_from_slice(&delivery.data));
            if self.early.len() >= usize::from(config.prefetch) {
                self.early.pop_front();
            }
            self.early.push_back(delivery);
            if let Some(found) = find(seen) {
                return Ok(found);
            }
        }
    }

    /// What happens to the connections from now on, and whether they are what they say. Once.
    pub(crate) fn notices(&mut self) -> impl Stream<Item = Notice> + Send + use<> {
        let notices = std::mem::replace(&mut self.notices, stream::empty().boxed());
        let [publishing, consuming] = &self.connections;
        let connections = [publishing.status().clone(), consuming.status().clone()];
        let channels = [&self.publish, &self.consume, &self.routes];
        let channels = channels.map(|channel| channel.status().clone());
        let ticks = stream::unfold((), |()| async {
            tokio::time::sleep(CHECK).await;
            Some(((), ()))
        });
        let checked = ticks.filter_map(move |()| {
            let whole = connections.iter().all(|c| c.connected() && !c.errored())
                && channels.iter().all(lapin::ChannelStatus::connected);
            let broken = "a connection or channel is not connected any more";
            std::future::ready((!whole).then(|| Notice::Broken(broken.to_owned())))
        });
        stream::select(notices, checked.boxed())
    }

    /// Says goodbye, with a bound: a server that doesn't answer is left alone.
    pub(crate) async fn close(self) {
        let goodbye = self.connections.iter().map(|connection| async {
            let closed = connection.close(200, ShortString::from("leaving"));
            timeout(CLOSE, closed).await.map(drop)
        });
        let _best_effort = futures::future::join_all(goodbye).await;
    }
}

/// Tells the other nodes that this one leaves, if RabbitMQ takes it at once.
pub(crate) async fn leave(publish: &Channel, config: &AmqpConfig, outgoing: &Outgoing) {
    let told = async {
        let goodbye = outgoing.goodbye();
        let told = put(publish, config, outgoing.node(), &goodbye).await.ok()?;
        told.await.ok()
    };
    let _best_effort = timeout(GOODBYE, told).await;
}

fn notices_of(connection: &Connection) -> BoxStream<'static, Notice> {
    let notice = |event| match event {
        Event::ConnectionBlocked(_) => Some(Notice::Blocked),
        Event::ConnectionUnblocked => Some(Notice::Unblocked),
        Event::Error(error) => Some(Notice::Broken(error.to_string())),
        _ => None,
    };
    let events = connection.events_listener();
    let notices = events.filter_map(move |event| std::future::ready(notice(event)));
    notices.boxed()
}

/// For how long RabbitMQ may keep the queue of a node whose connection was cut. It gives a
/// connection up after two to three heartbeats.
fn leftover(config: &AmqpConfig) -> Duration {
    4 * config.heartbeat
}

fn duplicate(node: &NodeInfo) -> BrokerError {
    let context = format!(
        "another node is alive under the id {}; give each node an id of its own",
        node.id
    );
    BrokerError::new(BrokerErrorKind::DuplicateNode, context)
}

async fn connect(
    wires: &Wires,
    config: &AmqpConfig,
    (url, address): (&AMQPUri, SocketAddr),
    node: &NodeInfo,
    role: &str,
) -> Result<Connection, BrokerError> {
    let mut url = url.clone();
    url.query.heartbeat = Some(u16::try_from(config.heartbeat.as_secs()).unwrap_or(60));
    let name = format!("realtime {} {} {role}", config.namespace, node.id);
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let (tls, server_name) = (config.tls.clone(), config.tls_server_name.clone());
    let connected = wires
        .connect(url, address, tls, server_name, properties)
        .await;
    connected.map_err(|e| refused("connecting", e))
}

async fn open_channel(connection: &Connection) -> Result<Channel, BrokerError> {
    let channel = connection.create_channel().await;
    channel.map_err(|e| refused("opening a channel", e))
}

async fn put(
    channel: &Channel,
    config: &AmqpConfig,
    node: &NodeInfo,
    said: &Announcement,
) -> Result<PublisherConfirm, BrokerError> {
    let published = publish(channel, config, node, &said.topic, &said.data).await;
    published.map_err(|e| refused("publishing", e))
}

/// Hands bytes to the client library, in the order of the calls.
pub(crate) async fn publish(
    channel: &Channel,
    config: &AmqpConfig,
    node: &NodeInfo,
    topic: &Topic,
    data: &[u8],
) -> lapin::Result<PublisherConfirm> {
    let properties = BasicProperties::default()
        .with_delivery_mode(1)
        .with_app_id(node.id.as_str().into());
    let (exchange, key) = (topology::exchange(config), topology::routing_key(topic));
    let options = BasicPublishOptions::default();
    let put = channel.basic_publish(exchange, key, options, data, properties);
    put.await
}
