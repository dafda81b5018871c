//! Any broker behind one type.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::BoxFuture;

use super::{
    Broker, BrokerError, BrokerEvents, BrokerLimits, Join, Published, Subscription, Topic,
    TopicName,
};

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
    async fn subscribe(&self, join: Join) -> Result<Subscription, BrokerError> {
        self.0.subscribe(join).await
    }

    async fn join(&self, topic: &TopicName) -> Result<(), BrokerError> {
        self.0.join(topic).await
    }

    async fn leave(&self, topic: &TopicName) -> Result<(), BrokerError> {
        self.0.leave(topic).await
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<Published, BrokerError> {
        self.0.publish(topic, data).await
    }

    fn limits(&self) -> BrokerLimits {
        self.0.limits()
    }

    fn events(&self) -> BrokerEvents {
        self.0.events()
    }

    fn loopback(&self) -> Option<Duration> {
        self.0.loopback()
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
    fn subscribe(&self, join: Join) -> BoxFuture<'_, Result<Subscription, BrokerError>>;
    fn join<'a>(&'a self, topic: &'a TopicName) -> BoxFuture<'a, Result<(), BrokerError>>;
    fn leave<'a>(&'a self, topic: &'a TopicName) -> BoxFuture<'a, Result<(), BrokerError>>;
    fn publish<'a>(
        &'a self,
        topic: &'a Topic,
        data: Bytes,
    ) -> BoxFuture<'a, Result<Published, BrokerError>>;
    fn limits(&self) -> BrokerLimits;
    fn events(&self) -> BrokerEvents;
    fn loopback(&self) -> Option<Duration>;
    fn close(&self) -> BoxFuture<'_, ()>;
}

impl<T: Broker> DynBroker for T {
    fn subscribe(&self, join: Join) -> BoxFuture<'_, Result<Subscription, BrokerError>> {
        Box::pin(Broker::subscribe(self, join))
    }

    fn join<'a>(&'a self, topic: &'a TopicName) -> BoxFuture<'a, Result<(), BrokerError>> {
        Box::pin(Broker::join(self, topic))
    }

    fn leave<'a>(&'a self, topic: &'a TopicName) -> BoxFuture<'a, Result<(), BrokerError>> {
        Box::pin(Broker::leave(self, topic))
    }

    fn publish<'a>(
        &'a self,
        topic: &'a Topic,
        data: Bytes,
    ) -> BoxFuture<'a, Result<Published, BrokerError>> {
        Box::pin(Broker::publish(self, topic, data))
    }

    fn limits(&self) -> BrokerLimits {
        Broker::limits(self)
    }

    fn events(&self) -> BrokerEvents {
        Broker::events(self)
    }

    fn loopback(&self) -> Option<Duration> {
        Broker::loopback(self)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(Broker::close(self))
    }
}
