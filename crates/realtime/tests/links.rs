//! What a gateway makes of the events of its backends.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::body::Bytes;
use realtime::{
    Gateway, Identity, IdentityKey,
    broker::{
        Broker, BrokerError, BrokerEvent, BrokerEvents, BrokerLimits, Join, LocalBroker, Published,
        Subscription, Topic, TopicName,
    },
    node::Events,
    presence::{
        MemoryPresence, NodeSessions, Online, Presence, PresenceError, PresenceErrorKind,
        PresenceEvent, PresenceEvents, Registered, Renewed, SessionInfo, SessionKey, Unregistered,
    },
    report::Link,
};
use realtime_testkit::{client::Client, memory::connect as in_memory, wait::until};
use support::Server;
use tokio::time::Instant;

/// A broker to which happens what the test says.
struct Told(LocalBroker, Arc<Events<BrokerEvent>>);

impl Broker for Told {
    async fn subscribe(&self, join: Join) -> Result<Subscription, BrokerError> {
        self.0.subscribe(join).await
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<Published, BrokerError> {
        self.0.publish(topic, data).await
    }

    fn events(&self) -> BrokerEvents {
        BrokerEvents::new(self.1.subscribe())
    }

    async fn close(&self) {
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

#[tokio::test]
async fn a_flood_of_invalid_messages_hides_no_gap_and_no_outage() {
    let events = Arc::new(Events::new());
    let broker = Told(LocalBroker::new(), Arc::clone(&events));
    let gateway = support::builder().broker(broker).build().unwrap();
    gateway.start().await.unwrap();
    // The gateway runs in this thread: it reads nothing before the flood is over.
    for n in 0..5_000 {
        let (cause, count) = ("too short".to_owned(), 1);
        events.send(BrokerEvent::invalid_message(cause, count));
        let (cause, source) = ("no answer".to_owned(), "there".parse().unwrap());
        match n {
            1_000 => events.send(BrokerEvent::down(cause)),
            2_000 => events.send(BrokerEvent::Up),
            3_000 => events.send(BrokerEvent::gap(source, None, 7)),
            4_000 => events.send(BrokerEvent::Blocked),
            _ => {}
        }
    }
    until("all is read", async || {
        gateway.health().broker == Link::Blocked
    })
    .await;
    let stats = gateway.stats();
    assert_eq!(stats.invalid_broker_messages, 5_000);
    assert_eq!((stats.broker_outages, stats.missed_from_nodes), (1, 7));
    gateway.shutdown().await;
}

#[derive(Debug, Default)]
struct Outage {
    store: MemoryPresence,
    events: Events<PresenceEvent>,
    fails: AtomicBool,
    /// Renewals fail.
    forgets: AtomicBool,
    /// How many renewals were asked for.
    renewals: AtomicU64,
}

impl Outage {
    fn begin(&self) {
        self.events.send(PresenceEvent::down("no answer"));
    }

    /// How many are registered.
    async fn registered(&self) -> usize {
        let anonymous = IdentityKey::new("anonymous");
        self.store.sessions(&anonymous).await.unwrap().len()
    }

    /// Has all leases renewed, and waits until that is done.
    async fn renew(&self, gateway: &Gateway) {
        let renewals = self.renewals.load(SeqCst);
        self.events.send(PresenceEvent::Up);
        until("all leases are renewed", async || {
            self.renewals.load(SeqCst) > renewals
        })
        .await;
        self.events
            .send(PresenceEvent::down("a part of it is gone"));
        until("the outage is known", async || {
            matches!(gateway.health().presence, Link::Down { .. })
        })
        .await;
    }
}

#[derive(Debug, Clone, Default)]
struct Store(Arc<Outage>);

impl Presence for Store {
    async fn register(
        &self,
        sessions: &[SessionInfo],
        ttl: Option<Duration>,
    ) -> Result<Registered, PresenceError> {
        if self.0.fails.load(SeqCst) {
            return Err(PresenceError::new(PresenceErrorKind::Unavailable, "down"));
        }
        self.0.store.register(sessions, ttl).await
    }

    async fn unregister(&self, sessions: &[SessionKey]) -> Result<Unregistered, PresenceError> {
        self.0.store.unregister(sessions).await
    }

    async fn renew(
        &self,
        sessions: &[SessionKey],
        ttl: Option<Duration>,
    ) -> Result<Renewed, PresenceError> {
        self.0.renewals.fetch_add(1, SeqCst);
        if self.0.forgets.load(SeqCst) {
            return Err(PresenceError::new(PresenceErrorKind::Unavailable, "down"));
        }
        self.0.store.renew(sessions, ttl).await
    }

    async fn sessions(&self, identity: &IdentityKey) -> Result<Vec<SessionInfo>, PresenceError> {
        self.0.store.sessions(identity).await
    }

    async fn nodes(&self, identity: &IdentityKey) -> Result<Vec<NodeSessions>, PresenceError> {
        self.0.store.nodes(identity).await
    }

    /// It goes down after it has answered, and before the answer is read.
    async fn online(&self, identities: &[IdentityKey]) -> Result<Online, PresenceError> {
        let answer = self.0.store.online(identities).await;
        if self.0.fails.load(SeqCst) {
            self.0.begin();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        answer
    }

    fn events(&self) -> PresenceEvents {
        PresenceEvents::new(self.0.events.subscribe())
    }

    async fn close(&self) {
        self.0.store.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_is_reported_during_the_start_is_believed() {
    let presence = Store::default();
    presence.0.fails.store(true, SeqCst);
    let gateway = support::builder()
        .presence(presence.clone())
        .build()
        .unwrap();
    gateway.start().await.unwrap();
    assert!(matches!(gateway.health().presence, Link::Down { .. }));
    presence.0.events.send(PresenceEvent::Up);
    until("it is back", async || gateway.health().is_good()).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_store_that_is_down_is_not_asked_before_it_is_back() {
    let presence = Store::default();
    let builder = support::builder()
        .presence(presence.clone())
        .presence_ttl(None);
    let server = Server::start(builder.build().unwrap()).await;
    presence.0.fails.store(true, SeqCst);
    let mut clients = vec![server.connect().await];
    server.until_open(1).await;
    let began = Instant::now();
    presence.0.begin();
    until("the outage is known", async || {
        matches!(server.gateway.health().presence, Link::Down { .. })
    })
    .await;
    let asked = presence.0.renewals.load(SeqCst);
    for open in 2..10 {
        clients.push(server.connect().await);
        server.until_open(open).await;
    }
    // Long enough for a repetition, which would be the mistake.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    is_left_alone(&presence, asked, began);
    presence.0.fails.store(false, SeqCst);
    presence.0.events.send(PresenceEvent::Up);
    until("all are registered", async || {
        presence.0.registered().await == clients.len()
    })
    .await;
    server.stop().await;
}

/// It was asked no more often than each five seconds whether it serves somebody.
fn is_left_alone(presence: &Store, asked: u64, since: Instant) {
    let more = presence.0.renewals.load(SeqCst) - asked;
    let took = since.elapsed();
    assert!(more <= took.as_secs() / 5, "{more} times in {took:?}");
}

/// One whose session could not be registered, at the time of an outage.
async fn comes_in_vain(server: &Server, presence: &Store) -> Client {
    presence.0.fails.store(true, SeqCst);
    let open = server.gateway.stats().open + 1;
    let client = server.connect().await;
    server.until_open(open).await;
    until("it could not be registered", async || {
        server.gateway.stats().presence_unsettled > 0
    })
    .await;
    presence.0.fails.store(false, SeqCst);
    client
}

/// It is found out that nobody is served any more, long before leases are due, and where there are none.
#[tokio::test(start_paused = true)]
async fn a_store_that_goes_down_after_it_has_served_is_left_alone() {
    let presence = Store::default();
    let builder = support::builder()
        .presence(presence.clone())
        .presence_ttl(None)
        // Nobody reads what the server sends, pings among it.
        .heartbeat(None);
    let gateway = builder.build().unwrap();
    gateway.start().await.unwrap();
    let comes = async || {
        let anonymous = Identity::new("anonymous");
        in_memory(&gateway, anonymous).await.unwrap()
    };
    let mut clients = vec![comes().await];
    until("it is registered", async || {
        presence.0.registered().await == 1
    })
    .await;
    presence.0.fails.store(true, SeqCst);
    presence.0.forgets.store(true, SeqCst);
    presence.0.begin();
    until("the outage is known", async || {
        matches!(gateway.health().presence, Link::Down { .. })
    })
    .await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (asked, began) = (presence.0.renewals.load(SeqCst), Instant::now());
    assert!(asked > 0, "nobody has asked whether it serves somebody");
    // Each of them would be tried again after a second, two, and so on.
    for _ in 0..10 {
        clients.push(comes().await);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    is_left_alone(&presence, asked, began);
    presence.0.fails.store(false, SeqCst);
    presence.0.forgets.store(false, SeqCst);
    until("all are registered", async || {
        presence.0.registered().await == clients.len()
    })
    .await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn while_a_part_of_a_store_is_down_the_others_are_served() {
    let (presence, events) = (Store::default(), Arc::new(Events::new()));
    let builder = support::builder()
        .broker(Told(LocalBroker::new(), Arc::clone(&events)))
        .presence(presence.clone())
        // No lease ends before the test.
        .presence_ttl(Some(Duration::from_secs(600)));
    let server = Server::start(builder.build().unwrap()).await;
    let _one = server.connect().await;
    server.until_open(1).await;
    presence.0.renew(&server.gateway).await;
    let _other = comes_in_vain(&server, &presence).await;
    until("it is registered", async || {
        presence.0.registered().await == 2
    })
    .await;
    // What kept the node from the others may have kept it from the store.
    let renewals = presence.0.renewals.load(SeqCst);
    events.send(BrokerEvent::down("no answer"));
    events.send(BrokerEvent::Up);
    until("leases are renewed", async || {
        presence.0.renewals.load(SeqCst) > renewals
    })
    .await;
    assert!(matches!(
        server.gateway.health().presence,
        Link::Down { .. }
    ));
    // Where it serves nobody at all it is left alone.
    presence.0.forgets.store(true, SeqCst);
    let began = Instant::now();
    presence.0.renew(&server.gateway).await;
    let _third = comes_in_vain(&server, &presence).await;
    let renewals = presence.0.renewals.load(SeqCst);
    // Long enough for a repetition, which would be the mistake.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    is_left_alone(&presence, renewals, began);
    // That a part of it is there again is found out long before leases are due.
    presence.0.forgets.store(false, SeqCst);
    until("it is registered, too", async || {
        presence.0.registered().await == 3
    })
    .await;
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_renewal_of_nobody_says_nothing_and_who_is_registered_shows_that_a_part_works() {
    let presence = Store::default();
    let builder = support::builder()
        .presence(presence.clone())
        .presence_ttl(None);
    let gateway = builder.build().unwrap();
    gateway.start().await.unwrap();
    let first = in_memory(&gateway, Identity::new("anonymous"))
        .await
        .unwrap();
    until("it is registered", async || {
        presence.0.registered().await == 1
    })
    .await;
    drop(first);
    until("it has left", async || presence.0.registered().await == 0).await;
    // All leases are renewed, of which there are none, before what comes next.
    presence.0.events.send(PresenceEvent::Up);
    let part = PresenceEvent::down("a part of it is gone");
    presence.0.events.send(part);
    until("the outage is known", async || {
        matches!(gateway.health().presence, Link::Down { .. })
    })
    .await;
    let came = Instant::now();
    presence.0.fails.store(true, SeqCst);
    let _other = in_memory(&gateway, Identity::new("anonymous"))
        .await
        .unwrap();
    until("it could not be registered", async || {
        gateway.stats().presence_unsettled > 0
    })
    .await;
    presence.0.fails.store(false, SeqCst);
    until("it is registered", async || {
        presence.0.registered().await == 1
    })
    .await;
    // The clock stands still while there is something to do.
    let took = came.elapsed();
    assert!(
        took < Duration::from_secs(5),
        "not before a probe: {took:?}"
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_outage_that_spreads_is_one_and_its_cause_is_the_last() {
    let presence = Store::default();
    let builder = support::builder().presence(presence.clone());
    let gateway = builder.build().unwrap();
    gateway.start().await.unwrap();
    for cause in ["a: gone", "a: gone; b: gone"] {
        presence.0.events.send(PresenceEvent::down(cause));
        until("the cause is known", async || {
            let presence = gateway.health().presence;
            matches!(presence, Link::Down { cause: told, .. } if told == cause)
        })
        .await;
    }
    assert_eq!(gateway.stats().presence_outages, 1);
    gateway.shutdown().await;
}
