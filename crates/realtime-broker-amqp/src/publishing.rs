//! The half of a link that publishes: a connection, which can be made anew while the node's queue
//! is consumed on the other one.

use std::{collections::BTreeSet, time::Duration};

use lapin::{
    BasicProperties, Channel, PublisherConfirm,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    uri::AMQPUri,
};
use realtime_core::broker::{
    BrokerError, NodeInfo, Topic,
    stream::{Announcement, Outgoing},
};
use tokio::time::timeout;

use crate::{
    AmqpConfig,
    connection::{Connected, Patience, done},
    error::{refused, refused_for_want_of, too_slow},
    link::OPEN,
    routes,
    server::Server,
    topology,
};

/// How long a node may take to say that it leaves.
const GOODBYE: Duration = Duration::from_millis(500);

pub(crate) struct Publishing {
    pub(crate) channel: Channel,
    /// On which it is found out who is there.
    pub(crate) routes: Channel,
    pub(crate) connected: Connected,
}

impl Publishing {
    pub(crate) async fn open(
        config: &AmqpConfig,
        server: &Server,
        node: &NodeInfo,
    ) -> Result<Self, BrokerError> {
        let mut connected = Connected::open(config, server, node, "publish").await?;
        let (channel, routes) = (connected.channel().await?, connected.channel().await?);
        if config.confirms {
            for channel in [&channel, &routes] {
                let on = channel.confirm_select(ConfirmSelectOptions::default());
                on.await.map_err(|e| refused("switching confirms on", e))?;
            }
        }
        Ok(Self {
            channel,
            routes,
            connected,
        })
    }

    /// Anew, beside a queue that is there: RabbitMQ has to confirm that the node's name leads to
    /// it. `None` if it doesn't.
    pub(crate) async fn anew(
        config: &AmqpConfig,
        url: &AMQPUri,
        node: &NodeInfo,
        patience: &Patience<'_>,
    ) -> Result<Option<Self>, BrokerError> {
        let server = Server::find(config, url).await?;
        let opened = timeout(OPEN, Self::open(config, &server, node)).await;
        let mut opened = opened.unwrap_or_else(|_| Err(too_slow("connecting", OPEN)))?;
        let mut notices = opened.connected.take_notices();
        let own = node.topic().to_string();
        let mut is_there = false;
        let asked = async {
            let keys = BTreeSet::from([own.clone()]);
            let absent = routes::absent(opened.routes.clone(), config, keys).await;
            let absent = absent.map_err(not_published)?;
            is_there = !absent.contains(&own);
            Ok(())
        };
        done(asked, &mut notices, patience, ("publishing", OPEN), OPEN).await?;
        opened.connected.put_notices(notices);
        if is_there {
            return Ok(Some(opened));
        }
        opened.connected.close().await;
        Ok(None)
    }
}

/// Puts on the wire what the node says of itself.
pub(crate) async fn put(
    channel: &Channel,
    config: &AmqpConfig,
    said: &Announcement,
) -> Result<PublisherConfirm, BrokerError> {
    let published = publish(channel, config, &said.topic, &said.data).await;
    published.map_err(not_published)
}

fn not_published(error: lapin::Error) -> BrokerError {
    refused_for_want_of("`write` for the exchange", "publishing", error)
}

/// Tells the other nodes that this one leaves, if RabbitMQ takes it at once.
pub(crate) async fn leave(channel: &Channel, config: &AmqpConfig, outgoing: &Outgoing) {
    let told = async {
        let goodbye = outgoing.goodbye();
        let told = put(channel, config, &goodbye).await.ok()?;
        told.await.ok()
    };
    let _best_effort = timeout(GOODBYE, told).await;
}

/// Hands bytes to the client library, in the order of the calls.
pub(crate) async fn publish(
    channel: &Channel,
    config: &AmqpConfig,
    topic: &Topic,
    data: &[u8],
) -> lapin::Result<PublisherConfirm> {
    // Who sends it stands in the message.
    let properties = BasicProperties::default().with_delivery_mode(1);
    let (exchange, key) = (topology::exchange(config), topology::routing_key(topic));
    let options = BasicPublishOptions::default();
    let put = channel.basic_publish(exchange, key, options, data, properties);
    put.await
}
