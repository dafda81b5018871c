//! What callers ask of the task that owns the link, and with which bounds.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::open::Open;
use crate::{
    BoxError,
    broker::{BrokerError, BrokerErrorKind as Kind, Topic, TopicName},
};

/// How long the server may take for anything, and a request for its turn.
pub(super) const ANSWER: Duration = Duration::from_secs(2);
/// How many requests wait for the server, and messages for the gateway.
pub(super) const QUEUE: usize = 1_024;

#[derive(Debug)]
pub(super) enum Asked {
    Publish(Topic, Bytes),
    Join(TopicName),
    /// Of a topic that isn't wanted any more, unless it is meanwhile.
    Leave(TopicName),
}

/// Something to do, and who is told on which connection it was done.
#[derive(Debug)]
pub(super) struct Request<C> {
    pub(super) asked: Asked,
    pub(super) done: oneshot::Sender<Result<Arc<Open<C>>, BrokerError>>,
}

/// Hands a request over, and waits until it was sent to the server.
pub(super) async fn ask<C>(
    requests: &mpsc::Sender<Request<C>>,
    asked: Asked,
) -> Result<Arc<Open<C>>, BrokerError> {
    let (done, is_done) = oneshot::channel();
    let request = Request { asked, done };
    // Where there is room it is taken without waiting: a task that publishes much at once is made
    // to wait by Tokio while there is, and what it waits for would seem to be full.
    if let Err(error) = requests.try_send(request) {
        let mpsc::error::TrySendError::Full(request) = error else {
            return Err(down());
        };
        let queued = requests.send_timeout(request, ANSWER).await;
        queued.map_err(|_| {
            let context = format!("{QUEUE} requests have waited for {ANSWER:?}; publish less");
            BrokerError::new(Kind::Unavailable, context)
        })?;
    }
    // Nobody has sent it where nobody says so.
    is_done.await.unwrap_or_else(|_| Err(down()))
}

pub(super) fn down() -> BrokerError {
    BrokerError::new(Kind::Unavailable, "the link to the server is down")
}

pub(super) fn unknown(cause: BrokerError) -> BrokerError {
    let context = "the server didn't show in time that it has read the message";
    BrokerError::new(Kind::Unknown, context).with_source(cause)
}

/// A step of the backend, with its bound.
pub(super) async fn soon<T>(
    step: impl Future<Output = Result<T, BoxError>>,
) -> Result<T, BrokerError> {
    let failed = |cause: BoxError| {
        BrokerError::new(Kind::Unavailable, "the server can't be reached").with_source(cause)
    };
    let done = timeout(ANSWER, step).await;
    done.map_err(|late| failed(late.into()))?.map_err(failed)
}
