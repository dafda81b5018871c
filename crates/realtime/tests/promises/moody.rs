//! A presence store and a broker that hang or panic where the test says, and remember their calls.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::Bytes;
use realtime::{
    IdentityKey,
    broker::{
        Broker, BrokerError, BrokerEvents, BrokerLimits, Join, LocalBroker, Published,
        Subscription, Topic, TopicName,
    },
    presence::{
        MemoryPresence, NodeSessions, Online, Presence, PresenceError, PresenceEvents, Registered,
        Renewed, SessionInfo, SessionKey, Unregistered,
    },
};

/// A method of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    Close,
    Nodes,
    Online,
    Publish,
    Register,
    Renew,
    Sessions,
    Subscribe,
    Unregister,
}

/// What a backend does instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Hangs,
    /// The next call only.
    HangsOnce,
    /// The next call only.
    PanicsOnce,
}

#[derive(Debug, Default)]
struct State {
    moods: HashMap<Call, Mood>,
    calls: HashMap<Call, usize>,
}

/// The test's hold on a backend.
#[derive(Debug, Clone, Default)]
pub struct Moods(Arc<Mutex<State>>);

impl Moods {
    pub fn set(&self, call: Call, mood: Mood) {
        self.0.lock().unwrap().moods.insert(call, mood);
    }

    pub fn calls(&self, call: Call) -> usize {
        let state = self.0.lock().unwrap();
        state.calls.get(&call).copied().unwrap_or_default()
    }

    async fn meet(&self, call: Call) {
        let mood = {
            let mut state = self.0.lock().unwrap();
            *state.calls.entry(call).or_default() += 1;
            match state.moods.get(&call).copied() {
                Some(Mood::Hangs) => Some(Mood::Hangs),
                _ => state.moods.remove(&call),
            }
        };
        match mood {
            None => {}
            Some(Mood::PanicsOnce) => panic!("on purpose: a backend that panics in {call:?}"),
            Some(Mood::Hangs | Mood::HangsOnce) => std::future::pending().await,
        }
    }
}

#[derive(Debug, Clone, Default)]
pub struct MoodyPresence(pub MemoryPresence, pub Moods);

impl Presence for MoodyPresence {
    async fn register(
        &self,
        sessions: &[SessionInfo],
        ttl: Option<Duration>,
    ) -> Result<Registered, PresenceError> {
        self.1.meet(Call::Register).await;
        self.0.register(sessions, ttl).await
    }

    async fn unregister(&self, sessions: &[SessionKey]) -> Result<Unregistered, PresenceError> {
        self.1.meet(Call::Unregister).await;
        self.0.unregister(sessions).await
    }

    async fn renew(
        &self,
        sessions: &[SessionKey],
        ttl: Option<Duration>,
    ) -> Result<Renewed, PresenceError> {
        self.1.meet(Call::Renew).await;
        self.0.renew(sessions, ttl).await
    }

    async fn sessions(&self, identity: &IdentityKey) -> Result<Vec<SessionInfo>, PresenceError> {
        self.1.meet(Call::Sessions).await;
        self.0.sessions(identity).await
    }

    async fn nodes(&self, identity: &IdentityKey) -> Result<Vec<NodeSessions>, PresenceError> {
        self.1.meet(Call::Nodes).await;
        self.0.nodes(identity).await
    }

    async fn online(&self, identities: &[IdentityKey]) -> Result<Online, PresenceError> {
        self.1.meet(Call::Online).await;
        self.0.online(identities).await
    }

    fn events(&self) -> PresenceEvents {
        self.0.events()
    }

    async fn close(&self) {
        self.1.meet(Call::Close).await;
        self.0.close().await;
    }
}

#[derive(Debug, Default)]
pub struct MoodyBroker(pub LocalBroker, pub Moods);

impl Broker for MoodyBroker {
    async fn subscribe(&self, join: Join) -> Result<Subscription, BrokerError> {
        self.1.meet(Call::Subscribe).await;
        self.0.subscribe(join).await
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<Published, BrokerError> {
        self.1.meet(Call::Publish).await;
        self.0.publish(topic, data).await
    }

    fn events(&self) -> BrokerEvents {
        self.0.events()
    }

    async fn close(&self) {
        self.1.meet(Call::Close).await;
        self.0.close().await;
    }

    async fn join(&self, topic: &TopicName) -> Result<(), BrokerError> {
        self.0.join(topic).await
    }

    async fn leave(&self, topic: &TopicName) -> Result<(), BrokerError> {
        self.0.leave(topic).await
    }

    fn limits(&self) -> BrokerLimits {
        self.0.limits()
    }
}
