//! Any broker behind one type.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures::future::BoxFuture;

use super::{Broker, BrokerError, BrokerEvents, NodeInfo, Published, Subscription, Topic};

/// Any broker behind one type. A clone is the same member of the cluster.
#[derive(Clone)]
pub struct AnyBroker(Arc<dyn DynBroker>);

impl AnyBroker {
    /// Erases the type of a broker.
    #[must_use]
    pub fn new(broker: impl Broker) -> Self {
        Self(Arc::new(broker))
    }
}

impl Broker for AnyBroker {
    async fn subscribe(
        &self,
        node: NodeInfo,
        topics: &[Topic],
    ) -> Result<Subscription, BrokerError> {
        self.0.subscribe(node, topics).await
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<Published, BrokerError> {
        self.0.publish(topic, data).await
    }

    fn events(&self) -> BrokerEvents {
        self.0.events()
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

impl fmt::Debug for AnyBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyBroker").finish_non_exhaustive()
    }
}

/// The object-safe twin of [`Broker`].
trait DynBroker: Send + Sync {
    fn subscribe<'a>(
        &'a self,
        node: NodeInfo,
        topics: &'a [Topic],
    ) -> BoxFuture<'a, Result<Subscription, BrokerError>>;
    fn publish<'a>(
        &'a self,
        topic: &'a Topic,
        data: Bytes,
    ) -> BoxFuture<'a, Result<Published, BrokerError>>;
    fn events(&self) -> BrokerEvents;
    fn close(&self) -> BoxFuture<'_, ()>;
}

impl<T: Broker> DynBroker for T {
    fn subscribe<'a>(
        &'a self,
        node: NodeInfo,
        topics: &'a [Topic],
    ) -> BoxFuture<'a, Result<Subscription, BrokerError>> {
        Box::pin(Broker::subscribe(self, node, topics))
    }

    fn publish<'a>(
        &'a self,
        topic: &'a Topic,
        data: Bytes,
    ) -> BoxFuture<'a, Result<Published, BrokerError>> {
        Box::pin(Broker::publish(self, topic, data))
    }

    fn events(&self) -> BrokerEvents {
        Broker::events(self)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(Broker::close(self))
    }
}
