//! A broker that holds something up for as long as the test likes.

use std::sync::Arc;

use axum::body::Bytes;
use realtime::broker::{
    Broker, BrokerError, BrokerEvents, BrokerLimits, Join, LocalBroker, Published, Subscription,
    Topic, TopicName,
};
use tokio::sync::Semaphore;

/// A broker whose topics are joined, and which takes what is for one node, when the test says so.
pub(crate) struct Stuck {
    pub(crate) bus: LocalBroker,
    pub(crate) joins: Arc<Semaphore>,
    pub(crate) answers: Arc<Semaphore>,
}

impl Stuck {
    /// Its topics can't be joined yet.
    pub(crate) fn to_join(bus: &LocalBroker) -> Self {
        Self {
            bus: bus.clone(),
            joins: Arc::new(Semaphore::new(0)),
            answers: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        }
    }

    /// It takes nothing for one node yet.
    pub(crate) fn to_answer(bus: &LocalBroker) -> Self {
        Self {
            bus: bus.clone(),
            joins: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
            answers: Arc::new(Semaphore::new(0)),
        }
    }
}

impl Broker for Stuck {
    async fn subscribe(&self, join: Join) -> Result<Subscription, BrokerError> {
        self.bus.subscribe(join).await
    }

    async fn join(&self, topic: &TopicName) -> Result<(), BrokerError> {
        let _allowed = self.joins.acquire().await;
        self.bus.join(topic).await
    }

    async fn leave(&self, topic: &TopicName) -> Result<(), BrokerError> {
        self.bus.leave(topic).await
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<Published, BrokerError> {
        let _allowed = match topic {
            Topic::Node(_) => Some(self.answers.acquire().await),
            _ => None,
        };
        self.bus.publish(topic, data).await
    }

    fn limits(&self) -> BrokerLimits {
        self.bus.limits()
    }

    fn events(&self) -> BrokerEvents {
        self.bus.events()
    }

    async fn close(&self) {
        self.bus.close().await;
    }
}
