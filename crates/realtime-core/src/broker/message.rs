//! What a node receives.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream::BoxStream};

use super::{NodeInfo, Topic};
use crate::{Incarnation, NodeId};

/// A message from another node.
///
/// It is no value to be copied or compared, so that a broker that wants to know when a message was
/// taken can hang that on it one day. Today delivery between nodes is at most once.
#[derive(Debug)]
#[non_exhaustive]
pub struct BrokerMessage {
    /// The topic on which it was published.
    pub topic: Topic,
    /// The bytes that were published.
    pub data: Bytes,
    /// The node that published it.
    pub source: NodeId,
    /// The start of that node from which it comes.
    pub incarnation: Incarnation,
    /// Its number among the messages of that incarnation on that topic, from 1.
    pub seq: u64,
}

impl BrokerMessage {
    /// A message, as a backend yields it.
    #[must_use]
    pub fn new(topic: Topic, data: Bytes, from: NodeInfo, seq: u64) -> Self {
        Self {
            topic,
            data,
            source: from.id,
            incarnation: from.incarnation,
            seq,
        }
    }
}

/// What a node receives: one stream. Dropping it leaves the cluster.
pub struct Subscription(BoxStream<'static, BrokerMessage>);

impl Subscription {
    /// Wraps a backend's stream, whose `Drop` unsubscribes.
    #[must_use]
    pub fn new(stream: impl Stream<Item = BrokerMessage> + Send + 'static) -> Self {
        Self(stream.boxed())
    }
}

impl Stream for Subscription {
    type Item = BrokerMessage;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<BrokerMessage>> {
        self.0.poll_next_unpin(cx)
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}
