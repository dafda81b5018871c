//! The broker, and the stores of presence, histories and revocations, behind a bound: each call returns, whatever they do.
//!
//! Good backends have shorter bounds of their own. These are for what doesn't keep them: a store
//! that hangs must not hold a session's place, nor a shutdown.

mod revocations;
mod roster;

use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use realtime_core::{
    IdentityKey, RoomName,
    broker::{
        AnyBroker, Broker, BrokerError, BrokerErrorKind, BrokerEvents, BrokerLimits, Join,
        Published, Subscription, Topic, TopicName,
    },
    history::{
        AnyHistory, Append, Appended, History, HistoryError, HistoryErrorKind, HistoryEvents, Page,
        Position, Retention, Since,
    },
    presence::{
        AnyPresence, AnyRoster, NodeSessions, Online, Presence, PresenceError, PresenceErrorKind,
        PresenceEvents, Registered, Renewed, SessionInfo, SessionKey, Unregistered,
    },
};

use tokio::task::coop::consume_budget;

pub(crate) use revocations::bounded_revocations;

use crate::{
    guarded::{Broken, GuardedStream, Whose, caught, guarded},
    metrics::{Call, Metrics},
};

/// How long presence may take for a call.
pub(crate) const PRESENCE_CALL: Duration = Duration::from_secs(5);
/// How long the history of rooms may take for a call.
const HISTORY_CALL: Duration = Duration::from_secs(5);
/// How long the broker may take for a message, or for a topic.
const PUBLISH: Duration = Duration::from_secs(10);
/// How long the broker may take to be joined.
const SUBSCRIBE: Duration = Duration::from_secs(60);
/// How long each may take to be closed.
const CLOSE: Duration = Duration::from_secs(5);

/// A broker whose calls return, and are measured.
pub(crate) struct BoundedBroker(AnyBroker, Metrics);

/// A presence store whose calls return, and are measured.
pub(crate) struct BoundedPresence(AnyPresence, Metrics);

pub(crate) fn bounded_broker(broker: AnyBroker, metrics: Metrics) -> AnyBroker {
    AnyBroker::new(BoundedBroker(broker, metrics))
}

pub(crate) fn bounded_presence(presence: AnyPresence, metrics: Metrics) -> AnyPresence {
    AnyPresence::new(BoundedPresence(presence, metrics))
}

fn broker_broke(kind: BrokerErrorKind, broken: Broken) -> BrokerError {
    BrokerError::new(kind, "the broker did not answer").with_source(broken)
}

impl BoundedBroker {
    /// One change of the topics.
    async fn changed(
        &self,
        of: Call,
        call: impl Future<Output = Result<(), BrokerError>>,
    ) -> Result<(), BrokerError> {
        consume_budget().await;
        let called = async {
            guarded(Whose::Broker, Some(PUBLISH), call)
                .await
                .unwrap_or_else(|broken| Err(broker_broke(BrokerErrorKind::Unavailable, broken)))
        };
        self.1.call(of, called).await
    }
}

impl Broker for BoundedBroker {
    async fn subscribe(&self, join: Join) -> Result<Subscription, BrokerError> {
        let call = async { self.0.subscribe(join).await };
        let called = async {
            guarded(Whose::Broker, Some(SUBSCRIBE), call)
                .await
                .unwrap_or_else(|broken| Err(broker_broke(BrokerErrorKind::Unavailable, broken)))
        };
        let joined = self.1.call(Call::BrokerSubscribe, called).await?;
        Ok(Subscription::new(GuardedStream::new(joined)))
    }

    async fn join(&self, topic: &TopicName) -> Result<(), BrokerError> {
        self.changed(Call::BrokerJoin, async { self.0.join(topic).await })
            .await
    }

    async fn leave(&self, topic: &TopicName) -> Result<(), BrokerError> {
        self.changed(Call::BrokerLeave, async { self.0.leave(topic).await })
            .await
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<Published, BrokerError> {
        // Who publishes in a loop to a broker that is always ready lets others have a turn.
        consume_budget().await;
        let call = async { self.0.publish(topic, data).await };
        let called = async {
            guarded(Whose::Broker, Some(PUBLISH), call)
                .await
                .unwrap_or_else(|broken| Err(broker_broke(BrokerErrorKind::Unknown, broken)))
        };
        self.1.call(Call::BrokerPublish, called).await
    }

    fn limits(&self) -> BrokerLimits {
        caught(Whose::Broker, || self.0.limits()).unwrap_or_else(|_| BrokerLimits::none())
    }

    fn events(&self) -> BrokerEvents {
        match caught(Whose::Broker, || self.0.events()) {
            Ok(events) => BrokerEvents::new(GuardedStream::new(events)),
            Err(broken) => {
                tracing::warn!(
                    target: crate::log_targets::BROKER, error = %broken,
                    "what happens to the broker's link is not known",
                );
                BrokerEvents::new(stream::empty())
            }
        }
    }

    fn loopback(&self) -> Option<Duration> {
        caught(Whose::Broker, || self.0.loopback()).unwrap_or_default()
    }

    async fn close(&self) {
        let closed = guarded(Whose::Broker, Some(CLOSE), async { self.0.close().await }).await;
        if let Err(broken) = closed {
            tracing::warn!(target: crate::log_targets::SHUTDOWN, error = %broken, "the broker was not closed");
        }
    }
}

/// A history whose calls return, and are measured.
pub(crate) struct BoundedHistory(AnyHistory, Metrics);

pub(crate) fn bounded_history(history: AnyHistory, metrics: Metrics) -> AnyHistory {
    AnyHistory::new(BoundedHistory(history, metrics))
}

impl BoundedHistory {
    async fn called<T>(
        &self,
        of: Call,
        call: impl Future<Output = Result<T, HistoryError>>,
    ) -> Result<T, HistoryError> {
        consume_budget().await;
        let called = async {
            let called = guarded(Whose::History, Some(HISTORY_CALL), call).await;
            called.unwrap_or_else(|broken| {
                let context = "the history did not answer";
                let kind = HistoryErrorKind::Unavailable;
                Err(HistoryError::new(kind, context).with_source(broken))
            })
        };
        self.1.call(of, called).await
    }
}

impl History for BoundedHistory {
    async fn append(&self, room: &RoomName, append: Append) -> Result<Appended, HistoryError> {
        self.called(Call::HistoryAppend, async {
            self.0.append(room, append).await
        })
        .await
    }

    async fn since(
        &self,
        room: &RoomName,
        after: &Position,
        limit: usize,
    ) -> Result<Since, HistoryError> {
        self.called(Call::HistorySince, async {
            self.0.since(room, after, limit).await
        })
        .await
    }

    async fn latest(
        &self,
        room: &RoomName,
        before: Option<u64>,
        count: usize,
    ) -> Result<Page, HistoryError> {
        self.called(Call::HistoryLatest, async {
            self.0.latest(room, before, count).await
        })
        .await
    }

    async fn position(
        &self,
        room: &RoomName,
        retention: Retention,
    ) -> Result<Position, HistoryError> {
        self.called(Call::HistoryPosition, async {
            self.0.position(room, retention).await
        })
        .await
    }

    async fn remove(&self, room: &RoomName) -> Result<(), HistoryError> {
        self.called(Call::HistoryRemove, async { self.0.remove(room).await })
            .await
    }

    fn outlives_nodes(&self) -> bool {
        caught(Whose::History, || self.0.outlives_nodes()).unwrap_or(true)
    }

    fn events(&self) -> HistoryEvents {
        match caught(Whose::History, || self.0.events()) {
            Ok(events) => HistoryEvents::new(GuardedStream::new(events)),
            Err(broken) => {
                tracing::warn!(
                    target: crate::log_targets::HISTORY, error = %broken,
                    "what happens to the history is not known",
                );
                HistoryEvents::new(stream::empty())
            }
        }
    }

    async fn close(&self) {
        let closed = guarded(Whose::History, Some(CLOSE), async { self.0.close().await }).await;
        if let Err(broken) = closed {
            tracing::warn!(target: crate::log_targets::SHUTDOWN, error = %broken, "the history was not closed");
        }
    }
}

fn presence_broke(broken: Broken) -> PresenceError {
    let context = "the presence store did not answer";
    PresenceError::new(PresenceErrorKind::Unavailable, context).with_source(broken)
}

/// One call of the store.
async fn asked<T>(
    metrics: &Metrics,
    of: Call,
    call: impl Future<Output = Result<T, PresenceError>>,
) -> Result<T, PresenceError> {
    // Who asks in a loop lets others have a turn.
    consume_budget().await;
    let called = async {
        guarded(Whose::Presence, Some(PRESENCE_CALL), call)
            .await
            .unwrap_or_else(|broken| Err(presence_broke(broken)))
    };
    metrics.call(of, called).await
}

impl Presence for BoundedPresence {
    async fn register(
        &self,
        sessions: &[SessionInfo],
        ttl: Option<Duration>,
    ) -> Result<Registered, PresenceError> {
        asked(&self.1, Call::PresenceRegister, async {
            self.0.register(sessions, ttl).await
        })
        .await
    }

    async fn unregister(&self, sessions: &[SessionKey]) -> Result<Unregistered, PresenceError> {
        asked(&self.1, Call::PresenceUnregister, async {
            self.0.unregister(sessions).await
        })
        .await
    }

    async fn renew(
        &self,
        sessions: &[SessionKey],
        ttl: Option<Duration>,
    ) -> Result<Renewed, PresenceError> {
        asked(&self.1, Call::PresenceRenew, async {
            self.0.renew(sessions, ttl).await
        })
        .await
    }

    async fn sessions(&self, identity: &IdentityKey) -> Result<Vec<SessionInfo>, PresenceError> {
        asked(&self.1, Call::PresenceSessions, async {
            self.0.sessions(identity).await
        })
        .await
    }

    async fn nodes(&self, identity: &IdentityKey) -> Result<Vec<NodeSessions>, PresenceError> {
        asked(&self.1, Call::PresenceNodes, async {
            self.0.nodes(identity).await
        })
        .await
    }

    async fn online(&self, identities: &[IdentityKey]) -> Result<Online, PresenceError> {
        asked(&self.1, Call::PresenceOnline, async {
            self.0.online(identities).await
        })
        .await
    }

    async fn is_online(&self, identity: &IdentityKey) -> Result<bool, PresenceError> {
        asked(&self.1, Call::PresenceOnline, async {
            self.0.is_online(identity).await
        })
        .await
    }

    fn outlives_nodes(&self) -> bool {
        caught(Whose::Presence, || self.0.outlives_nodes()).unwrap_or(true)
    }

    fn roster(&self) -> Option<AnyRoster> {
        let roster = caught(Whose::Presence, || self.0.roster()).ok()??;
        Some(roster::bounded(roster, self.1.clone()))
    }

    fn events(&self) -> PresenceEvents {
        match caught(Whose::Presence, || self.0.events()) {
            Ok(events) => PresenceEvents::new(GuardedStream::new(events)),
            Err(broken) => {
                tracing::warn!(
                    target: crate::log_targets::PRESENCE, error = %broken,
                    "what happens to the presence store is not known",
                );
                PresenceEvents::new(stream::empty())
            }
        }
    }

    async fn close(&self) {
        let closed = guarded(Whose::Presence, Some(CLOSE), async { self.0.close().await }).await;
        if let Err(broken) = closed {
            tracing::warn!(target: crate::log_targets::SHUTDOWN, error = %broken, "presence was not closed");
        }
    }
}
