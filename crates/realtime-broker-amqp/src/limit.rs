//! The largest message that RabbitMQ takes, which it tells nobody before it is too late: one that
//! is larger closes its channel, and all that is on its way there fails with it.
//!
//! So a message that is larger than any before it is asked about first, on a channel that may
//! close: an unroutable one of twice its size. That costs a few round trips in the life of a link,
//! and none for small messages, which go on meanwhile.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use lapin::{
    BasicProperties, Connection, ErrorKind,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::ShortString,
};
use realtime_core::broker::{BrokerError, BrokerErrorKind, stream::MAX_STAMP};

use crate::{
    AmqpConfig, error::unavailable, patience::patient, publisher::WINDOW, request::Publication,
    topology,
};

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

    /// Whether it is known of messages of this size that the server takes them, or that it doesn't.
    pub(crate) fn knows(&self, size: usize) -> bool {
        size <= self.fine.load(Relaxed) || size > self.most.load(Relaxed)
    }

    /// Finds out whether the server takes messages of this size.
    async fn find_out(
        &self,
        connection: &Connection,
        config: &AmqpConfig,
        size: usize,
    ) -> Result<(), String> {
        let mut asked = size.saturating_mul(2).min(config.max_message + MAX_STAMP);
        loop {
            asked = asked.max(size);
            let answer = patient(ANSWER, takes(connection, config, asked)).await;
            match answer {
                Some(Ok(())) => {
                    self.fine.fetch_max(asked, Relaxed);
                    return Ok(());
                }
                Some(Err(Refusal::Limit(most))) => {
                    self.most.store(most, Relaxed);
                    self.fine.store(most, Relaxed);
                    return Ok(());
                }
                // Too large, and by how much it didn't say.
                Some(Err(Refusal::TooLarge)) if asked > size => asked = size,
                Some(Err(Refusal::TooLarge)) => {
                    self.most.fetch_min(size - 1, Relaxed);
                    return Ok(());
                }
                Some(Err(Refusal::Broken(error))) => {
                    return Err(format!(
                        "how large a message may be can't be found out: {error}"
                    ));
                }
                None => {
                    return Err(format!(
                        "RabbitMQ did not say within {ANSWER:?} whether a message may be so large"
                    ));
                }
            }
        }
    }
}

/// How many may wait to learn whether the server takes them, before nothing more is taken: so few
/// that what is sent on still has room in the window.
const WAITING: usize = WINDOW / 2;

/// What waits to learn whether the server takes it. When this is dropped it has not been sent, and
/// callers are told so.
pub(crate) struct Sizes<'p> {
    limit: &'p Limit,
    connection: &'p Connection,
    config: &'p AmqpConfig,
    waiting: VecDeque<(usize, Publication)>,
    /// About the smallest of them when it was asked, and its size: one that takes long on its way
    /// speaks for none that doesn't.
    question: Option<(usize, BoxFuture<'p, Result<(), String>>)>,
}

impl<'p> Sizes<'p> {
    pub(crate) fn new(
        limit: &'p Limit,
        connection: &'p Connection,
        config: &'p AmqpConfig,
    ) -> Self {
        Self {
            limit,
            connection,
            config,
            waiting: VecDeque::new(),
            question: None,
        }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// So many wait that no more is to be asked.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() >= WAITING
    }

    /// Asks whether the server takes messages of this size.
    pub(crate) fn ask(&mut self, size: usize, publication: Publication) {
        self.waiting.push_back((size, publication));
        self.begin();
    }

    fn begin(&mut self) {
        if self.question.is_none()
            && let Some(size) = self.waiting.iter().map(|(size, _)| *size).min()
        {
            let asking = self.limit.find_out(self.connection, self.config, size);
            self.question = Some((size, asking.boxed()));
        }
    }

    /// Those of which it has come to be known, in their order, or those that are no smaller than the
    /// one that was asked about, and why it isn't to be found out. Never, while none wait. Cancel
    /// safe.
    ///
    /// Those are left out for whose outcome nobody waits any more: they would go out behind what the
    /// same caller has sent since.
    pub(crate) async fn next(&mut self) -> (VecDeque<Publication>, Result<(), String>) {
        let Some((asked, question)) = &mut self.question else {
            return std::future::pending().await;
        };
        let (asked, found) = (*asked, question.await);
        self.question = None;
        let waited = std::mem::take(&mut self.waiting).into_iter();
        let waited = waited.filter(|(_, publication)| !publication.outcome.is_closed());
        let (known, unknown): (VecDeque<_>, _) = waited.partition(|(size, _)| match found {
            Ok(()) => self.limit.knows(*size),
            Err(_) => *size >= asked,
        });
        self.waiting = unknown;
        self.begin();
        let known = known.into_iter().map(|(_, publication)| publication);
        (known.collect(), found)
    }
}

impl Drop for Sizes<'_> {
    fn drop(&mut self) {
        for (_, publication) in self.waiting.drain(..) {
            let context = "the link broke before the message was sent";
            let _nobody_waits = publication.outcome.send(Err(unavailable(context)));
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
