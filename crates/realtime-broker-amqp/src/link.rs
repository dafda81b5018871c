//! One link to RabbitMQ: two fresh connections and everything on them.
//!
//! Two, since RabbitMQ blocks a connection that publishes when it runs short of memory: the other
//! one continues to consume. And they live and die by themselves: one that publishes and gets no
//! answers costs no queue.

use std::{collections::BTreeSet, time::Duration};

use futures::stream;
use lapin::{Channel, uri::AMQPUri};
use realtime_core::broker::{
    BrokerError, BrokerErrorKind, NodeInfo, Topic, TopicName,
    stream::{ANSWER_TIMEOUT, Look, Outgoing},
};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    AmqpConfig,
    connection::{Patience, done},
    consuming::Consuming,
    error::{closed, refused_for_want_of, too_slow},
    publishing::{self, Publishing, leave},
    routes,
    server::Server,
    topology,
};

/// How long it may take to connect, and then to join.
pub(crate) const OPEN: Duration = Duration::from_secs(5);
/// How many topics are bound at the same time.
pub(crate) const BINDINGS: usize = 256;

pub(crate) struct Link {
    pub(crate) consuming: Consuming,
    /// None while it is made anew.
    pub(crate) publishing: Option<Publishing>,
    /// What the queue was bound to as the link was made.
    pub(crate) bound: Vec<TopicName>,
}

impl Link {
    /// Connects, joins under the node's name, and sees a beacon of its own come back. Where it is
    /// stopped, others don't go on to believe that the node is there.
    pub(crate) async fn open(
        config: &AmqpConfig,
        url: &AMQPUri,
        outgoing: &Outgoing,
        patience: &Patience<'_>,
        stop: &CancellationToken,
    ) -> Result<Self, BrokerError> {
        let node = outgoing.node();
        let connecting = async {
            let server = Server::find(config, url).await?;
            let connecting = async {
                futures::try_join!(
                    Consuming::open(config, &server, node),
                    Publishing::open(config, &server, node),
                )
            };
            let connected = timeout(OPEN, connecting).await;
            connected.unwrap_or_else(|_| Err(too_slow("connecting", OPEN)))
        };
        let connected = stop.run_until_cancelled(connecting).await;
        let (mut consuming, mut publishing) = connected.unwrap_or_else(|| Err(closed()))?;

        let (mut consumes, mut publishes) = (
            consuming.connected.take_notices(),
            publishing.connected.take_notices(),
        );
        // A node may be in very many.
        let binding = Duration::from_millis(outgoing.topics().all().len() as u64);
        let limit = match patience {
            Patience::Start => OPEN + leftover(config) + binding,
            Patience::Again(_) => OPEN + binding,
        };
        let channels = [publishing.channel.clone(), publishing.routes.clone()];
        let mut joining = Joining {
            config,
            outgoing,
            patience,
            consuming: &mut consuming,
            channels: &channels,
            bound: Vec::new(),
            has_said_hello: false,
        };
        let mut notices = stream::select(&mut consumes, &mut publishes);
        let joined = done(
            joining.join(),
            &mut notices,
            patience,
            ("joining", limit),
            OPEN,
        );
        let joined = stop.run_until_cancelled(joined).await;
        let (bound, has_said_hello) = (joining.bound, joining.has_said_hello);
        consuming.connected.put_notices(consumes);
        publishing.connected.put_notices(publishes);
        let Some(joined) = joined else {
            if has_said_hello {
                leave(&publishing.channel, config, outgoing).await;
            }
            futures::join!(consuming.connected.close(), publishing.connected.close());
            return Err(closed());
        };
        joined?;
        Ok(Self {
            consuming,
            publishing: Some(publishing),
            bound,
        })
    }

    /// Says goodbye on both connections.
    pub(crate) async fn close(self) {
        let publishing = async {
            if let Some(publishing) = self.publishing {
                publishing.connected.close().await;
            }
        };
        futures::join!(self.consuming.connected.close(), publishing);
    }
}

/// A link on which everything is there but the node's name.
struct Joining<'j> {
    config: &'j AmqpConfig,
    outgoing: &'j Outgoing,
    patience: &'j Patience<'j>,
    consuming: &'j mut Consuming,
    /// Of the connection that publishes.
    channels: &'j [Channel; 2],
    /// The named topics that the queue is bound to.
    bound: Vec<TopicName>,
    /// Others may know that the node is there.
    has_said_hello: bool,
}

impl Joining<'_> {
    /// Binds the node's name, and sees that what it publishes arrives.
    async fn join(&mut self) -> Result<(), BrokerError> {
        self.ask_for_a_duplicate().await?;
        let config = self.config;
        let (channel, queue) = (&self.consuming.channel, &self.consuming.queue);
        let own = self.outgoing.node().topic();
        topology::bind(channel, config, queue, &own).await?;
        self.bound = self.outgoing.topics().all();
        for some in self.bound.chunks(BINDINGS) {
            let bound = some.iter().map(|name| {
                let topic = Topic::Named(name.clone());
                async move { topology::bind(channel, config, queue, &topic).await }
            });
            futures::future::try_join_all(bound).await?;
        }
        self.loop_back().await
    }

    /// Fails when another node is alive under this node's id.
    ///
    /// Where nobody has the name, the question comes back. A queue that accepts it may be a
    /// leftover, which nobody answers for and which RabbitMQ gives up after a while; or its node
    /// has so much to read that the question has to wait.
    async fn ask_for_a_duplicate(&mut self) -> Result<(), BrokerError> {
        let (config, node) = (self.config, self.outgoing.node());
        let asked_first = Instant::now();
        loop {
            let question = self.outgoing.question();
            let step = "asking for another node of this id";
            let refused = |e| refused_for_want_of("`write` for the exchange", step, e);
            let asked = publishing::put(&self.channels[0], config, &question).await?;
            asked.await.map_err(refused)?;
            if config.confirms {
                let own = question.topic.to_string();
                let keys = BTreeSet::from([own.clone()]);
                let routes = self.channels[1].clone();
                let absent = routes::absent(routes, config, keys).await;
                if absent.map_err(refused)?.contains(&own) {
                    return Ok(());
                }
            }
            let answered = self.consuming.early_until(config, node, |received| {
                (received == Look::DuplicateNode).then_some(())
            });
            match timeout(ANSWER_TIMEOUT, answered).await {
                Ok(answered) => return answered.and_then(|()| Err(duplicate(node))),
                // Most likely this node's own leftover. Without confirms nothing comes back.
                Err(_) if matches!(self.patience, Patience::Again(_)) || !config.confirms => {
                    return Ok(());
                }
                Err(_) if asked_first.elapsed() > leftover(config) => return Err(duplicate(node)),
                Err(_) => {}
            }
        }
    }

    /// Sees a beacon come back: the link works both ways, and no duplicate has started meanwhile.
    async fn loop_back(&mut self) -> Result<(), BrokerError> {
        let (config, node) = (self.config, self.outgoing.node());
        let hello = self.outgoing.hello();
        self.has_said_hello = true;
        let _confirmed_by_its_return = publishing::put(&self.channels[0], config, &hello).await?;
        let back = self
            .consuming
            .early_until(config, node, |received| match received {
                Look::OwnBeacon => Some(Ok(())),
                Look::DuplicateNode => Some(Err(duplicate(node))),
                _ => None,
            });
        back.await?
    }
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
