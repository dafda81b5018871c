//! The half of a link that consumes: a connection, and the node's queue, which lives as long.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::StreamExt;
use lapin::{Channel, Consumer, message::Delivery, options::BasicAckOptions, types::ShortString};
use realtime_core::broker::{
    BrokerError, NodeInfo, Topic,
    stream::{Look, look},
};

use crate::{
    AmqpConfig,
    connection::Connected,
    error::{refused, unavailable},
    server::Server,
    topology,
};

pub(crate) struct Consuming {
    pub(crate) channel: Channel,
    pub(crate) deliveries: Consumer,
    pub(crate) queue: ShortString,
    /// What came while the link was set up.
    pub(crate) early: VecDeque<Delivery>,
    pub(crate) connected: Connected,
}

impl Consuming {
    /// With a new queue, which gets what is for all.
    pub(crate) async fn open(
        config: &AmqpConfig,
        server: &Server,
        node: &NodeInfo,
    ) -> Result<Self, BrokerError> {
        let queue = topology::new_queue(config, node);
        let mut connected = Connected::open(config, server, node, "consume").await?;
        let channel = connected.channel().await?;
        topology::declare_exchange(&channel, config).await?;
        let deliveries = topology::consume(&channel, config, &queue).await?;
        topology::bind(&channel, config, &queue, &Topic::All).await?;
        Ok(Self {
            channel,
            deliveries,
            queue,
            early: VecDeque::new(),
            connected,
        })
    }

    /// Keeps what comes until something is found in it. Each message is acknowledged at once: what
    /// is looked for may stand behind more of them than RabbitMQ sends ahead. No more are kept than
    /// that; what is given up shows in the numbers.
    pub(crate) async fn early_until<T>(
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
}
