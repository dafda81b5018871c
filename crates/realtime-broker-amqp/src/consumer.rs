//! Receives what RabbitMQ delivers, checks it, and hands it to the gateway.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use futures::StreamExt;
use lapin::{Channel, Consumer, message::Delivery, options::BasicAckOptions};
use realtime_core::{
    Events,
    broker::{
        BrokerEvent, BrokerMessage, Topic,
        stream::{Incoming, Next},
    },
};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::{Instant, sleep_until},
};

use crate::{AmqpConfig, topology};

/// After how many messages they are acknowledged, at the latest.
const ACK_MESSAGES: u32 = 64;
/// After how long they are, if they are fewer.
const ACK_DELAY: Duration = Duration::from_millis(50);

/// The consuming half of a link.
pub(crate) struct Receiver<'c> {
    pub(crate) config: &'c AmqpConfig,
    pub(crate) channel: &'c Channel,
    pub(crate) incoming: &'c mut Incoming,
    pub(crate) events: &'c Events<BrokerEvent>,
    pub(crate) inbox: &'c mpsc::Sender<BrokerMessage>,
}

/// What is still to be acknowledged.
struct Unacked {
    tag: u64,
    count: u32,
    due: Instant,
}

impl Receiver<'_> {
    /// Runs until the link is down, and says why.
    pub(crate) async fn run(
        mut self,
        deliveries: &mut Consumer,
        early: VecDeque<Delivery>,
    ) -> String {
        // Acknowledged already.
        for delivery in early {
            self.take(delivery).await;
        }
        // Before RabbitMQ has sent all that it may send ahead, or it would wait for the delay.
        let at_most = (u32::from(self.config.prefetch) / 2).clamp(1, ACK_MESSAGES);
        let mut unacked: Option<Unacked> = None;
        loop {
            let due = unacked.as_ref().map_or_else(Instant::now, |u| u.due);
            let full = unacked.as_ref().is_some_and(|u| u.count >= at_most);
            let delivery = tokio::select! {
                biased;
                () = sleep_until(due), if unacked.is_some() && !full => None,
                () = std::future::ready(()), if full => None,
                delivery = next(deliveries) => Some(delivery),
            };
            match delivery {
                Some(Ok(delivery)) => {
                    let tag = delivery.delivery_tag;
                    self.take(delivery).await;
                    let unacked = unacked.get_or_insert_with(|| Unacked {
                        tag,
                        count: 0,
                        due: Instant::now() + ACK_DELAY,
                    });
                    unacked.tag = tag;
                    unacked.count += 1;
                }
                Some(Err(fault)) => return fault,
                None => {
                    let Some(Unacked { tag, .. }) = unacked.take() else {
                        continue;
                    };
                    let all_before = BasicAckOptions { multiple: true };
                    if let Err(error) = self.channel.basic_ack(tag, all_before).await {
                        return format!("messages could not be acknowledged: {error}");
                    }
                }
            }
        }
    }

    async fn take(&mut self, delivery: Delivery) {
        // The publisher runs on the same task, and neither the stream nor an inbox with room waits.
        tokio::task::consume_budget().await;
        if delivery.data.is_empty() && delivery.routing_key != topology::routing_key(&Topic::All) {
            // Somebody finds out whether this node is there.
            return;
        }
        match self.incoming.receive(Bytes::from(delivery.data)) {
            Next::Deliver(message) if message.data.len() > self.config.max_message => {
                let (limit, size) = (self.config.max_message, message.data.len());
                let cause = format!("expected at most {limit} bytes; got {size}");
                self.events.send(BrokerEvent::invalid_message(cause, 1));
            }
            Next::Deliver(message) => {
                // Closed only when the subscription is dropped, which ends this link.
                if let Err(TrySendError::Full(message)) = self.inbox.try_send(message) {
                    let _while_it_waits = self.incoming.stall();
                    let _leaving = self.inbox.send(message).await;
                }
            }
            Next::DuplicateNode { incarnation, .. } => {
                tracing::error!(
                    target: realtime_core::log_targets::BROKER, ?incarnation,
                    "another node is alive under this node's id; give each an id of its own",
                );
            }
            _ => {}
        }
    }
}

async fn next(deliveries: &mut Consumer) -> Result<Delivery, String> {
    match deliveries.next().await {
        Some(Ok(delivery)) => Ok(delivery),
        Some(Err(error)) => Err(format!("the consumer failed: {error}")),
        None => Err("RabbitMQ has ended the consumer; was its queue deleted?".to_owned()),
    }
}
