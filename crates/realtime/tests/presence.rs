//! A gateway and a real Redis: one identity that can't be kept, and an outage while clients leave.
#![cfg(feature = "presence-redis")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use realtime::{
    Builder, CloseCode, Gateway, Identity, IdentityKey,
    presence::{
        NodeSessions, Online, Presence, PresenceError, PresenceEvents, Registered, Renewed,
        SessionInfo, SessionKey, Unregistered, redis::RedisPresence,
    },
    report::Link,
};
use realtime_testkit::{
    memory::{TestClient, connect},
    servers::redis::Redis,
    wait::until,
};

/// Counts what is asked of the store.
#[derive(Debug, Clone)]
struct Counting(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: RedisPresence,
    calls: AtomicUsize,
    keys: AtomicUsize,
}

impl Counting {
    fn new(redis: &Redis) -> Self {
        Self(Arc::new(Inner {
            store: RedisPresence::from_url(redis.url()).unwrap(),
            calls: AtomicUsize::new(0),
            keys: AtomicUsize::new(0),
        }))
    }

    fn count(&self, keys: usize) -> &RedisPresence {
        self.0.calls.fetch_add(1, SeqCst);
        self.0.keys.fetch_add(keys, SeqCst);
        &self.0.store
    }

    fn counted(&self) -> (usize, usize) {
        (self.0.calls.load(SeqCst), self.0.keys.load(SeqCst))
    }
}

impl Presence for Counting {
    async fn register(
        &self,
        sessions: &[SessionInfo],
        ttl: Option<Duration>,
    ) -> Result<Registered, PresenceError> {
        self.count(sessions.len()).register(sessions, ttl).await
    }

    async fn unregister(&self, sessions: &[SessionKey]) -> Result<Unregistered, PresenceError> {
        self.count(sessions.len()).unregister(sessions).await
    }

    async fn renew(
        &self,
        sessions: &[SessionKey],
        ttl: Option<Duration>,
    ) -> Result<Renewed, PresenceError> {
        self.count(sessions.len()).renew(sessions, ttl).await
    }

    async fn sessions(&self, identity: &IdentityKey) -> Result<Vec<SessionInfo>, PresenceError> {
        self.0.store.sessions(identity).await
    }

    async fn nodes(&self, identity: &IdentityKey) -> Result<Vec<NodeSessions>, PresenceError> {
        self.0.store.nodes(identity).await
    }

    async fn online(&self, identities: &[IdentityKey]) -> Result<Online, PresenceError> {
        self.0.store.online(identities).await
    }

    fn events(&self) -> PresenceEvents {
        self.0.store.events()
    }

    async fn close(&self) {
        self.0.store.close().await;
    }
}

fn key(n: usize) -> IdentityKey {
    IdentityKey::new(format!("u{n}"))
}

fn leases_of(n: usize) -> String {
    format!("rt:realtime:presence:{{0::u{n}}}:leases")
}

fn gateway(presence: &Counting, with: impl FnOnce(Builder) -> Builder) -> Gateway {
    let builder = realtime::builder().presence(presence.clone());
    with(builder).build().unwrap()
}

async fn clients(gateway: &Gateway, count: usize) -> Vec<TestClient> {
    let mut clients = Vec::new();
    for n in 0..count {
        let client = connect(gateway, Identity::new(format!("u{n}"))).await;
        clients.push(client.unwrap());
    }
    until("all sessions are open", async || {
        gateway.stats().open == count as u64
    })
    .await;
    clients
}

/// How many of these identities are online, as another handle on the store says.
async fn online(redis: &RedisPresence, count: usize) -> usize {
    let asked: Vec<_> = (0..count).map(key).collect();
    let answer = redis.online(&asked).await;
    answer.map_or(usize::MAX, |answer| answer.online.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_identity_that_cannot_be_kept_costs_the_others_nothing() {
    const COUNT: usize = 500;
    let lease = Duration::from_secs(3);
    let redis = Redis::start().await.unwrap();
    let (presence, witness) = (
        Counting::new(&redis),
        RedisPresence::from_url(redis.url()).unwrap(),
    );
    let gateway = gateway(&presence, |builder| builder.presence_ttl(Some(lease)));
    gateway.start().await.unwrap();
    let clients = clients(&gateway, COUNT).await;
    until("all are online", async || {
        online(&witness, COUNT).await == COUNT
    })
    .await;
    redis.command(&["SET", &leases_of(7), "x"]).await.unwrap();
    until("it is noticed", async || {
        gateway.stats().presence_unsettled == 1
    })
    .await;

    let (before, begun) = (presence.counted(), Instant::now());
    while begun.elapsed() < 3 * lease {
        assert_eq!(online(&witness, COUNT).await, COUNT - 1);
        assert_eq!(gateway.health().presence, Link::Up, "for the others it is");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let after = presence.counted();
    let (calls, keys) = (after.0 - before.0, after.1 - before.1);
    // All of them each third of a lease, less a tenth; and the one by itself as often.
    let rounds = (begun.elapsed().as_secs_f64() / (lease.as_secs_f64() / 3.0 * 0.9)) as usize + 2;
    println!("{rounds} rounds at the most: {calls} calls about {keys} sessions");
    assert!(calls <= 3 * rounds, "{calls} calls in {rounds} rounds");
    assert!(
        keys <= rounds * (COUNT + 2),
        "{keys} sessions in {rounds} rounds"
    );
    assert_eq!(gateway.stats().presence_unsettled, 1);

    redis.command(&["DEL", &leases_of(7)]).await.unwrap();
    until("it is online, too", async || {
        online(&witness, COUNT).await == COUNT && gateway.stats().presence_unsettled == 0
    })
    .await;
    drop(clients);
    gateway.shutdown().await;
}

/// With leases that end much later, and without any.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_during_an_outage_is_offline_soon_after_it() {
    const COUNT: usize = 100;
    for ttl in [Some(Duration::from_secs(90)), None] {
        let mut redis = Redis::start().await.unwrap();
        let (presence, witness) = (
            Counting::new(&redis),
            RedisPresence::from_url(redis.url()).unwrap(),
        );
        let gateway = gateway(&presence, |builder| builder.presence_ttl(ttl));
        gateway.start().await.unwrap();
        let clients = clients(&gateway, COUNT).await;
        until("all are online", async || {
            online(&witness, COUNT).await == COUNT
        })
        .await;

        redis.stop().unwrap();
        let begun = Instant::now();
        let leaving = clients.into_iter().map(async |mut client| {
            let _left = client.close(CloseCode::NORMAL, "").await;
        });
        futures::future::join_all(leaving).await;
        until("all have left the gateway", async || {
            gateway.stats().open == 0
        })
        .await;
        tokio::time::sleep(Duration::from_secs(6).saturating_sub(begun.elapsed())).await;
        let waiting = gateway.stats().departures_waiting;
        assert_eq!(waiting, COUNT as u64, "none of them is forgotten");
        redis.resume().unwrap();
        let back = Instant::now();
        until("all are offline", async || {
            online(&witness, COUNT).await == 0
        })
        .await;
        let took = back.elapsed();
        assert!(took < Duration::from_secs(10), "it took {took:?}");
        until("none waits any more", async || {
            gateway.stats().departures_waiting == 0
        })
        .await;
        let stats = gateway.stats();
        assert_eq!(stats.departures_given_up, 0);
        gateway.shutdown().await;
    }
}
