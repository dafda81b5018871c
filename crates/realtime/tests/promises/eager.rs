//! A backend's stream that is always ready lets the other tasks of its runtime have a turn.

use std::{sync::mpsc, thread, time::Duration};

use axum::body::Bytes;
use futures::stream;
use realtime::{
    Builder, IdentityKey,
    broker::{
        Broker, BrokerError, BrokerEvent, BrokerEvents, BrokerLimits, BrokerMessage, Join,
        LocalBroker, Published, Subscription, Topic, TopicName,
    },
    presence::{
        MemoryPresence, NodeSessions, Online, Presence, PresenceError, PresenceEvent,
        PresenceEvents, Registered, Renewed, SessionInfo, SessionKey, Unregistered,
    },
};
use tokio::time::sleep;

/// However loaded the machine is.
const PATIENCE: Duration = Duration::from_secs(20);

/// A broker one of whose streams never has to be waited for.
#[derive(Debug)]
enum Eager {
    Messages,
    Events,
}

impl Broker for Eager {
    async fn subscribe(&self, join: Join) -> Result<Subscription, BrokerError> {
        Ok(match self {
            Self::Messages => {
                let message =
                    move || BrokerMessage::new(Topic::All, Bytes::new(), join.node.clone(), 1);
                Subscription::new(stream::repeat_with(message))
            }
            Self::Events => Subscription::new(stream::pending()),
        })
    }

    async fn publish(&self, _: &Topic, _: Bytes) -> Result<Published, BrokerError> {
        Ok(Published::Routed)
    }

    fn events(&self) -> BrokerEvents {
        match self {
            Self::Messages => LocalBroker::default().events(),
            Self::Events => BrokerEvents::new(stream::repeat(BrokerEvent::Blocked)),
        }
    }

    async fn close(&self) {}

    async fn join(&self, _: &TopicName) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn leave(&self, _: &TopicName) -> Result<(), BrokerError> {
        Ok(())
    }

    fn limits(&self) -> BrokerLimits {
        BrokerLimits::none()
    }
}

#[derive(Debug, Default)]
struct EagerPresence(MemoryPresence);

impl Presence for EagerPresence {
    async fn register(
        &self,
        sessions: &[SessionInfo],
        ttl: Option<Duration>,
    ) -> Result<Registered, PresenceError> {
        self.0.register(sessions, ttl).await
    }

    async fn unregister(&self, sessions: &[SessionKey]) -> Result<Unregistered, PresenceError> {
        self.0.unregister(sessions).await
    }

    async fn renew(
        &self,
        sessions: &[SessionKey],
        ttl: Option<Duration>,
    ) -> Result<Renewed, PresenceError> {
        self.0.renew(sessions, ttl).await
    }

    async fn sessions(&self, identity: &IdentityKey) -> Result<Vec<SessionInfo>, PresenceError> {
        self.0.sessions(identity).await
    }

    async fn nodes(&self, identity: &IdentityKey) -> Result<Vec<NodeSessions>, PresenceError> {
        self.0.nodes(identity).await
    }

    async fn online(&self, identities: &[IdentityKey]) -> Result<Online, PresenceError> {
        self.0.online(identities).await
    }

    fn events(&self) -> PresenceEvents {
        PresenceEvents::new(stream::repeat(PresenceEvent::Up))
    }

    async fn close(&self) {}
}

/// In a runtime with one thread, others have their turns and the gateway shuts down.
fn others_have_turns(builder: Builder) {
    let (turns, had) = mpsc::channel();
    // One that has no turn never ends, and must not keep the test from failing.
    thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(async {
            let gateway = builder.build().unwrap();
            gateway.start().await.unwrap();
            for _ in 0..20 {
                sleep(Duration::from_millis(1)).await;
            }
            gateway.shutdown().await;
        });
        turns.send(()).unwrap();
    });
    had.recv_timeout(PATIENCE).expect("others have their turns");
}

#[test]
fn beside_messages_of_a_broker() {
    others_have_turns(realtime::builder().broker(Eager::Messages));
}

#[test]
fn beside_events_of_a_broker() {
    others_have_turns(realtime::builder().broker(Eager::Events));
}

#[test]
fn beside_events_of_presence() {
    others_have_turns(realtime::builder().presence(EagerPresence::default()));
}
