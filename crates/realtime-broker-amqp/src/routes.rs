//! Whether anybody has a node's name: found out by empty messages that RabbitMQ returns where
//! nobody does.
//!
//! The client library logs what is returned with its data, so it is not the message itself that is
//! to be returned. And it hands what is returned to whoever is confirmed next, which may be another
//! message. So the questions have a channel of their own and are asked in rounds: when all of a
//! round are confirmed, all that was returned belongs to it.
//!
//! The question comes before the message, which is sent where somebody is there. So what counts as
//! returned was never sent, and to send it again doubles nothing. Asked behind it, a node that binds
//! its queue between the two would seem to have got the message.

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use lapin::{BasicProperties, Channel, options::BasicPublishOptions};
use realtime_core::broker::Topic;

use crate::{AmqpConfig, patience::patient, request::Publication, topology};

/// How long RabbitMQ may take for a round.
const ROUND: Duration = Duration::from_secs(5);

/// What waits to learn whether somebody has a name.
#[derive(Debug)]
pub(crate) enum Waiting {
    /// To be published then.
    Message(Publication),
    /// Published already on this topic: what a node says of itself.
    Announcement(Topic),
}

impl Waiting {
    fn key(&self) -> String {
        match self {
            Self::Message(Publication { topic, .. }) | Self::Announcement(topic) => {
                topic.to_string()
            }
        }
    }
}

/// What a round has found; `None` where that takes too long.
pub(crate) type Round = Option<lapin::Result<HashSet<String>>>;

/// The questions of a link.
pub(crate) struct Routes {
    channel: Channel,
    /// For the next round.
    waiting: Vec<Waiting>,
    /// In the round that is under way.
    asked: Vec<Waiting>,
    round: Option<BoxFuture<'static, Round>>,
}

impl Routes {
    pub(crate) fn new(channel: &Channel) -> Self {
        Self {
            channel: channel.clone(),
            waiting: Vec::new(),
            asked: Vec::new(),
            round: None,
        }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.asked.len()
    }

    /// Asks whether somebody has the name that a message is for.
    pub(crate) fn ask(&mut self, waiting: Waiting, config: &AmqpConfig) {
        self.waiting.push(waiting);
        if self.round.is_none() {
            self.begin(config);
        }
    }

    /// The end of a round: those who waited for it, and the routing keys that nobody has. Never,
    /// while nobody waits. Cancel safe.
    pub(crate) async fn next(&mut self) -> (Vec<Waiting>, Round) {
        let Some(round) = &mut self.round else {
            return std::future::pending().await;
        };
        let found = round.await;
        self.round = None;
        (std::mem::take(&mut self.asked), found)
    }

    /// Begins the next round, if somebody waits for one.
    pub(crate) fn begin(&mut self, config: &AmqpConfig) {
        if self.waiting.is_empty() {
            return;
        }
        self.asked = std::mem::take(&mut self.waiting);
        let keys = self.asked.iter();
        let keys: BTreeSet<String> = keys.map(Waiting::key).collect();
        let asking = absent(self.channel.clone(), config, keys);
        self.round = Some(patient(ROUND, asking).boxed());
    }
}

/// Which of these routing keys nobody has. One round of questions: nothing else may be published on
/// the channel meanwhile.
pub(crate) fn absent(
    channel: Channel,
    config: &AmqpConfig,
    keys: BTreeSet<String>,
) -> impl Future<Output = lapin::Result<HashSet<String>>> + Send + use<> {
    let exchange = topology::exchange(config);
    let properties = BasicProperties::default().with_delivery_mode(1);
    async move {
        let mut confirms = Vec::with_capacity(keys.len());
        for key in keys {
            let options = BasicPublishOptions {
                mandatory: true,
                ..BasicPublishOptions::default()
            };
            let (exchange, properties) = (exchange.clone(), properties.clone());
            let asked = channel.basic_publish(exchange, key.into(), options, &[], properties);
            confirms.push(asked.await?);
        }
        let mut absent = HashSet::new();
        for confirm in confirms {
            if let Some(returned) = confirm.await?.take_message() {
                absent.insert(returned.routing_key.to_string());
            }
        }
        Ok(absent)
    }
}
