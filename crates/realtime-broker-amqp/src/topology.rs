//! The names of things in RabbitMQ, and how they are declared.

use lapin::{
    Channel, Consumer, ExchangeKind,
    options::{
        BasicConsumeOptions, BasicQosOptions, ExchangeDeclareOptions, QueueBindOptions,
        QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable, ShortString},
};
use realtime_core::broker::{BrokerError, NodeInfo, Topic};
use sha1::{Digest, Sha1};

use crate::{
    AmqpConfig,
    error::{refused, refused_for_want_of},
};

pub(crate) fn exchange(config: &AmqpConfig) -> ShortString {
    format!("rt.{}", config.namespace).into()
}

/// A name that is too long for a routing key, of at most 255 bytes, is cut and made whole by a
/// digest. Two that are cut to the same would share a key, which costs their messages a way and
/// nothing else: each says on which topic it was published.
pub(crate) fn routing_key(topic: &Topic) -> ShortString {
    const MOST: usize = 255;
    const DIGEST: usize = 16;
    let key = topic.to_string();
    if key.len() <= MOST {
        return key.into();
    }
    let digest = Sha1::digest(&key);
    let whole = |end: &usize| key.is_char_boundary(*end);
    let end = (0..=MOST - DIGEST).rev().find(whole).unwrap_or(0);
    let digest = digest.iter().take(DIGEST / 2);
    let digest: String = digest.map(|byte| format!("{byte:02x}")).collect();
    format!("{}{digest}", &key[..end]).into()
}

/// A queue of one connection: with a name that was never used before, nothing that a broken
/// connection has left behind can be in the way.
pub(crate) fn new_queue(config: &AmqpConfig, node: &NodeInfo) -> ShortString {
    let nonce = fastrand::u64(..);
    format!("rt.{}.{}.{nonce:016x}", config.namespace, node.id).into()
}

/// Declares the exchange, or looks whether it is there.
pub(crate) async fn declare_exchange(
    channel: &Channel,
    config: &AmqpConfig,
) -> Result<(), BrokerError> {
    let options = ExchangeDeclareOptions {
        durable: true,
        passive: !config.declares,
        ..ExchangeDeclareOptions::default()
    };
    let declared = channel.exchange_declare(
        exchange(config),
        ExchangeKind::Direct,
        options,
        FieldTable::default(),
    );
    declared.await.map_err(|e| {
        refused_for_want_of("`configure` for the exchange", "declaring the exchange", e)
    })
}

/// Declares the queue and consumes it.
pub(crate) async fn consume(
    channel: &Channel,
    config: &AmqpConfig,
    queue: &ShortString,
) -> Result<Consumer, BrokerError> {
    let mut arguments = FieldTable::default();
    let ttl = u32::try_from(config.queue_ttl.as_millis()).unwrap_or(u32::MAX);
    for (name, limit) in [
        ("x-max-length", config.queue_messages),
        ("x-max-length-bytes", config.queue_bytes),
        ("x-message-ttl", ttl),
    ] {
        arguments.insert(name.into(), AMQPValue::LongLongInt(i64::from(limit)));
    }
    // The newest are worth the most, and numbers show what is missing.
    let overflow = AMQPValue::LongString("drop-head".into());
    arguments.insert("x-overflow".into(), overflow);
    let options = QueueDeclareOptions {
        exclusive: true,
        auto_delete: true,
        ..QueueDeclareOptions::default()
    };
    let declared = channel.queue_declare(queue.clone(), options, arguments);
    declared
        .await
        .map_err(|e| refused_for_want_of("`configure` for the queue", "declaring the queue", e))?;
    let qos = channel.basic_qos(config.prefetch, BasicQosOptions::default());
    qos.await.map_err(|e| refused("setting the prefetch", e))?;
    let consumer = channel.basic_consume(
        queue.clone(),
        // It comes with each message, and one that RabbitMQ draws is long.
        ShortString::from("node"),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    consumer
        .await
        .map_err(|e| refused_for_want_of("`read` for the queue", "consuming the queue", e))
}

pub(crate) async fn bind(
    channel: &Channel,
    config: &AmqpConfig,
    queue: &ShortString,
    topic: &Topic,
) -> Result<(), BrokerError> {
    let bound = channel.queue_bind(
        queue.clone(),
        exchange(config),
        routing_key(topic),
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    let permissions = "`write` for the queue, and `read` for the exchange";
    bound
        .await
        .map_err(|e| refused_for_want_of(permissions, "binding the queue", e))
}

pub(crate) async fn unbind(
    channel: &Channel,
    config: &AmqpConfig,
    queue: &ShortString,
    topic: &Topic,
) -> Result<(), BrokerError> {
    let unbound = channel.queue_unbind(
        queue.clone(),
        exchange(config),
        routing_key(topic),
        FieldTable::default(),
    );
    unbound.await.map_err(|e| refused("unbinding the queue", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_has_a_key_of_its_own() {
        let key = |name: String| routing_key(&Topic::Named(name.parse().unwrap()));
        let keys = ["a", "b"].map(|end| key(format!("{}{end}", "\u{20ac}".repeat(170))));
        assert!(keys[0] != keys[1] && keys.iter().all(|key| key.as_str().len() <= 255));
        assert_eq!(
            key("x".repeat(253)).as_str(),
            format!("t.{}", "x".repeat(253))
        );
    }
}
