//! What callers ask of the link, and who waits for the outcome.

use bytes::Bytes;
use realtime_core::broker::{BrokerError, Published, Topic, TopicName};
use tokio::sync::{oneshot, watch};

use crate::{
    error::{blocked, unavailable},
    state::State,
};

/// Something for the link to do.
#[derive(Debug)]
pub(crate) enum Request {
    Bind(Binding),
    Publish(Publication),
}

/// Something to publish.
#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) topic: Topic,
    pub(crate) data: Bytes,
    pub(crate) outcome: oneshot::Sender<Result<Published, BrokerError>>,
}

/// A named topic to receive from now on, or no more.
#[derive(Debug)]
pub(crate) struct Binding {
    pub(crate) topic: TopicName,
    pub(crate) is_joined: bool,
    pub(crate) outcome: oneshot::Sender<Result<(), BrokerError>>,
}

impl Binding {
    pub(crate) fn join(
        topic: TopicName,
        outcome: oneshot::Sender<Result<(), BrokerError>>,
    ) -> Self {
        let is_joined = true;
        Self {
            topic,
            is_joined,
            outcome,
        }
    }

    pub(crate) fn leave(
        topic: TopicName,
        outcome: oneshot::Sender<Result<(), BrokerError>>,
    ) -> Self {
        let is_joined = false;
        Self {
            topic,
            is_joined,
            outcome,
        }
    }
}

impl Request {
    /// Says that it could not be done.
    pub(crate) fn fail(self, error: BrokerError) {
        match self {
            Self::Bind(binding) => drop(binding.outcome.send(Err(error))),
            Self::Publish(publication) => drop(publication.outcome.send(Err(error))),
        }
    }
}

/// While there is no connection for it.
pub(crate) fn refuse(request: Request, state: &watch::Sender<State>) {
    let error = match *state.borrow() {
        State::Blocked => blocked(),
        _ => unavailable("the link to RabbitMQ is down"),
    };
    request.fail(error);
}
