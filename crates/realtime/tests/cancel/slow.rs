//! Backends that take their time: they do what the real ones do, and are pending before and after
//! it.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
    time::Duration,
};

use axum::{body::Bytes, http::request::Parts};
use realtime::{
    Identity, IdentityKey,
    auth::{AuthError, Authenticator},
    broker::{
        Broker, BrokerError, BrokerEvents, BrokerLimits, Join, LocalBroker, Published,
        Subscription, Topic, TopicName,
    },
    presence::{
        MemoryPresence, NodeSessions, Online, Presence, PresenceError, PresenceEvents, Registered,
        Renewed, SessionInfo, SessionKey, Unregistered,
    },
};

/// How many times each of them is pending before it acts, and how many times after.
pub const PAUSES: usize = 2;

async fn pause() {
    for _ in 0..PAUSES {
        let mut paused = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut paused, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

async fn slowly<T>(act: impl Future<Output = T>) -> T {
    pause().await;
    let result = act.await;
    pause().await;
    result
}

#[derive(Debug, Clone)]
pub struct SlowBroker(pub LocalBroker);

impl Broker for SlowBroker {
    async fn subscribe(&self, join: Join) -> Result<Subscription, BrokerError> {
        // Only before: a member that has joined and was dropped has left, and doesn't come back.
        pause().await;
        self.0.subscribe(join).await
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<Published, BrokerError> {
        slowly(self.0.publish(topic, data)).await
    }

    fn events(&self) -> BrokerEvents {
        self.0.events()
    }

    async fn close(&self) {
        slowly(self.0.close()).await;
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

#[derive(Debug, Clone)]
pub struct SlowPresence(pub MemoryPresence);

impl Presence for SlowPresence {
    async fn register(
        &self,
        sessions: &[SessionInfo],
        ttl: Option<Duration>,
    ) -> Result<Registered, PresenceError> {
        slowly(self.0.register(sessions, ttl)).await
    }

    async fn unregister(&self, sessions: &[SessionKey]) -> Result<Unregistered, PresenceError> {
        slowly(self.0.unregister(sessions)).await
    }

    async fn renew(
        &self,
        sessions: &[SessionKey],
        ttl: Option<Duration>,
    ) -> Result<Renewed, PresenceError> {
        slowly(self.0.renew(sessions, ttl)).await
    }

    async fn sessions(&self, identity: &IdentityKey) -> Result<Vec<SessionInfo>, PresenceError> {
        slowly(self.0.sessions(identity)).await
    }

    async fn nodes(&self, identity: &IdentityKey) -> Result<Vec<NodeSessions>, PresenceError> {
        slowly(self.0.nodes(identity)).await
    }

    async fn online(&self, identities: &[IdentityKey]) -> Result<Online, PresenceError> {
        slowly(self.0.online(identities)).await
    }

    fn events(&self) -> PresenceEvents {
        self.0.events()
    }

    async fn close(&self) {
        slowly(self.0.close()).await;
    }
}

/// Lets everybody in, and knows how many it is asked about at present.
#[derive(Debug, Clone, Default)]
pub struct SlowAuthenticator {
    asking: Arc<AtomicUsize>,
}

impl SlowAuthenticator {
    pub fn asking(&self) -> usize {
        self.asking.load(SeqCst)
    }
}

struct Asking<'a>(&'a AtomicUsize);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Authenticator for SlowAuthenticator {
    /// With a query, it is never done.
    async fn authenticate(&self, request: &Parts) -> Result<Identity, AuthError> {
        self.asking.fetch_add(1, SeqCst);
        let _asking = Asking(&self.asking);
        pause().await;
        if request.uri.query().is_some() {
            std::future::pending::<()>().await;
        }
        Ok(Identity::new("ann"))
    }
}
