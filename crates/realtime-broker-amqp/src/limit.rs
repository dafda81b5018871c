//! The largest message that RabbitMQ takes, which it tells nobody before it is too late: one that
//! is larger closes its channel, and all that is on its way there fails with it.
//!
//! So a message that is larger than any before it is asked about first, on a channel that may
//! close: an unroutable one of twice its size. That costs a few round trips in the life of a link,
//! and none for small messages.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use lapin::{
    BasicProperties, Connection, ErrorKind,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::ShortString,
};
use realtime_core::broker::{BrokerError, BrokerErrorKind, stream::MAX_STAMP};
use tokio::time::timeout;

use crate::{AmqpConfig, topology};

/// No server is configured to take less, or it takes nothing of use.
const ALWAYS_FINE: usize = 64 * 1024;
/// How long RabbitMQ may take for the question.
const ANSWER: Duration = Duration::from_secs(5);
/// What the server says before the number.
const SAYS: &str = "max size ";

/// What is known of the limit, in bytes with what stands in front of a message.
#[derive(Debug)]
pub(crate) struct Limit {
    /// So much was taken.
    fine: AtomicUsize,
    /// More than so much is not.
    most: AtomicUsize,
}

impl Default for Limit {
    fn default() -> Self {
        Self {
            fine: AtomicUsize::new(ALWAYS_FINE),
            most: AtomicUsize::new(usize::MAX),
        }
    }
}

impl Limit {
    /// The largest that the server takes, where that is known.
    pub(crate) fn most(&self) -> Option<usize> {
        Some(self.most.load(Relaxed)).filter(|most| *most < usize::MAX)
    }

    /// Another server may have another one.
    pub(crate) fn forget(&self) {
        self.fine.store(ALWAYS_FINE, Relaxed);
        self.most.store(usize::MAX, Relaxed);
    }

    /// Why a message of this size is too large, if it is known to be.
    pub(crate) fn check(&self, size: usize) -> Result<(), BrokerError> {
        match self.most() {
            Some(most) if size > most => Err(BrokerError::new(
                BrokerErrorKind::TooLarge,
                format!(
                    "RabbitMQ takes at most {most} bytes (its setting max_message_size); got \
                     {size}, with what stands in front of a message"
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Finds out whether the server takes messages of this size, unless that is known. An error is
    /// about the link.
    pub(crate) async fn find_out(
        &self,
        connection: &Connection,
        config: &AmqpConfig,
        size: usize,
    ) -> Result<(), String> {
        if size <= self.fine.load(Relaxed) || size > self.most.load(Relaxed) {
            return Ok(());
        }
        let mut asked = size.saturating_mul(2).min(config.max_message + MAX_STAMP);
        loop {
            asked = asked.max(size);
            let answer = timeout(ANSWER, takes(connection, config, asked)).await;
            match answer {
                Ok(Ok(())) => {
                    self.fine.fetch_max(asked, Relaxed);
                    return Ok(());
                }
                Ok(Err(Refusal::Limit(most))) => {
                    self.most.fetch_min(most, Relaxed);
                    self.fine.fetch_min(most, Relaxed);
                    return Ok(());
                }
                // Too large, and by how much it didn't say.
                Ok(Err(Refusal::TooLarge)) if asked > size => asked = size,
                Ok(Err(Refusal::TooLarge)) => {
                    self.most.fetch_min(size - 1, Relaxed);
                    return Ok(());
                }
                Ok(Err(Refusal::Broken(error))) => {
                    return Err(format!(
                        "how large a message may be can't be found out: {error}"
                    ));
                }
                Err(_) => {
                    return Err(format!(
                        "RabbitMQ did not say within {ANSWER:?} whether a message may be so large"
                    ));
                }
            }
        }
    }
}

enum Refusal {
    Limit(usize),
    TooLarge,
    Broken(lapin::Error),
}

async fn takes(connection: &Connection, config: &AmqpConfig, size: usize) -> Result<(), Refusal> {
    let asked = async {
        let channel = connection.create_channel().await?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        // Nobody is bound to it: no topic has such a key.
        let (exchange, nobody) = (topology::exchange(config), ShortString::from("size"));
        let options = BasicPublishOptions::default();
        let (data, properties) = (
            vec![0; size],
            BasicProperties::default().with_delivery_mode(1),
        );
        let asked = channel.basic_publish(exchange, nobody, options, &data, properties);
        asked.await?.await?;
        let _best_effort = channel.close(200, ShortString::from("asked")).await;
        lapin::Result::Ok(())
    };
    asked.await.map_err(|error| match told(&error) {
        Some(said) => {
            let number = said.rsplit_once(SAYS).map(|(_, number)| number);
            let number = number.and_then(|number| number.trim().parse().ok());
            number.map_or(Refusal::TooLarge, Refusal::Limit)
        }
        None => Refusal::Broken(error),
    })
}

/// Whether an error is the server's answer to the question.
pub(crate) fn is_told(error: &lapin::Error) -> bool {
    told(error).is_some()
}

fn told(error: &lapin::Error) -> Option<&str> {
    match error.kind() {
        ErrorKind::ProtocolError(refusal) if refusal.get_id() == 406 => {
            let said = refusal.get_message().as_str();
            said.contains("message size").then_some(said)
        }
        _ => None,
    }
}
