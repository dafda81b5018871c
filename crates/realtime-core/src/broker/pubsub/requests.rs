//! What callers ask of the task that owns the link, and with which bounds.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::AcqRel},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout, timeout_at},
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

/// Something to do, and who waits for it.
#[derive(Debug)]
pub(super) struct Request<C> {
    asked: Asked,
    /// Either it was begun, or who asked has given up: whoever is first.
    claimed: Arc<AtomicBool>,
    answer: Answer<C>,
}

/// Who is told on which connection something was done.
#[derive(Debug)]
pub(super) struct Answer<C> {
    waiting: Option<oneshot::Sender<Result<Arc<Open<C>>, BrokerError>>>,
    /// A message may have gone out.
    is_sending: bool,
}

impl<C> Request<C> {
    /// One for whose outcome nobody waits.
    pub(super) fn forgotten(asked: Asked) -> Self {
        Self::new(asked, None)
    }

    fn new(
        asked: Asked,
        waiting: Option<oneshot::Sender<Result<Arc<Open<C>>, BrokerError>>>,
    ) -> Self {
        let is_sending = false;
        Self {
            asked,
            claimed: Arc::default(),
            answer: Answer {
                waiting,
                is_sending,
            },
        }
    }

    /// It is done now, unless who asked has given up. What isn't wanted any more is left all the same.
    pub(super) fn begin(self) -> Option<(Asked, Answer<C>)> {
        let Self {
            asked,
            claimed,
            mut answer,
        } = self;
        let is_leave = matches!(asked, Asked::Leave(_));
        if claimed.swap(true, AcqRel) && !is_leave {
            return None;
        }
        answer.is_sending = matches!(asked, Asked::Publish(..));
        Some((asked, answer))
    }
}

impl<C> Answer<C> {
    pub(super) fn tell(&mut self, done: Result<Arc<Open<C>>, BrokerError>) {
        if let Some(waiting) = self.waiting.take() {
            let _gave_up = waiting.send(done);
        }
    }
}

/// The link has ended before it was done.
impl<C> Drop for Answer<C> {
    fn drop(&mut self) {
        let cause = down();
        self.tell(Err(match self.is_sending {
            true => unknown(cause),
            false => cause,
        }));
    }
}

/// Hands a request over, and waits until it was sent to the server. One whose turn doesn't come in time
/// is not sent any more.
pub(super) async fn ask<C>(
    requests: &mpsc::Sender<Request<C>>,
    asked: Asked,
) -> Result<Arc<Open<C>>, BrokerError> {
    let (waiting, is_done) = oneshot::channel();
    let request = Request::new(asked, Some(waiting));
    let (claimed, deadline) = (Arc::clone(&request.claimed), Instant::now() + ANSWER);
    // Where there is room it is taken without waiting: a task that publishes much at once is made
    // to wait by Tokio while there is, and what it waits for would seem to be full.
    if let Err(error) = requests.try_send(request) {
        let mpsc::error::TrySendError::Full(request) = error else {
            return Err(down());
        };
        let queued = timeout_at(deadline, requests.send(request)).await;
        queued.map_err(|_| too_many())?.map_err(|_| down())?;
    }
    let mut is_done = pin!(is_done);
    let done = match timeout_at(deadline, &mut is_done).await {
        Ok(done) => done,
        Err(_) if !claimed.swap(true, AcqRel) => return Err(too_many()),
        Err(_) => is_done.await,
    };
    done.unwrap_or_else(|_| Err(down()))
}

pub(super) fn down() -> BrokerError {
    BrokerError::new(Kind::Unavailable, "the link to the server is down")
}

fn too_many() -> BrokerError {
    let context = format!("others have waited before this one for {ANSWER:?}; publish less");
    BrokerError::new(Kind::Unavailable, context)
}

pub(super) fn unknown(cause: BrokerError) -> BrokerError {
    let context = "the server didn't show in time that it has read the message";
    BrokerError::new(Kind::Unknown, context).with_source(cause)
}

/// What the backend said of a step that failed.
pub(super) fn failed(cause: impl Into<BoxError>) -> BrokerError {
    BrokerError::new(Kind::Unavailable, "the server can't be reached").with_source(cause)
}

/// A step of the backend, with its bound.
pub(super) async fn soon<T>(
    step: impl Future<Output = Result<T, BoxError>>,
) -> Result<T, BrokerError> {
    let done = timeout(ANSWER, step).await;
    done.map_err(failed)?.map_err(failed)
}
