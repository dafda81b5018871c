//! What the tasks of a subscription share.

use std::{error::Error, sync::Arc};

use realtime_core::{
    Events,
    broker::{BrokerError, BrokerEvent, NodeInfo},
};
use tokio::sync::{oneshot, watch};

use crate::{RedisBrokerConfig, health::Health};

/// A node that has joined, or is about to.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) config: Arc<RedisBrokerConfig>,
    pub(crate) node: NodeInfo,
    pub(crate) events: Arc<Events<BrokerEvent>>,
    pub(crate) health: Health,
    /// Which subscription it is at the server, from 1; raised each time that it is made anew.
    pub(crate) subscribed: watch::Sender<u64>,
    /// The last of these that was found to receive nothing.
    pub(crate) deaf: watch::Sender<u64>,
}

impl Member {
    /// How a connection is shown in lists.
    pub(crate) fn name(&self, role: &str) -> String {
        format!(
            "realtime:{}:{}:{role}",
            self.config.namespace(),
            self.node.id
        )
    }

    /// This subscription receives nothing: it is to be made anew.
    pub(crate) fn set_deaf(&self, subscription: u64) {
        self.deaf.send_replace(subscription);
    }
}

/// Asks how many listen to the node's own topic.
pub(crate) type Question = oneshot::Sender<Result<u64, BrokerError>>;

/// An error and what lies under it, in one line.
pub(crate) fn with_sources(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        line = format!("{line}: {source}");
        next = source.source();
    }
    line
}
