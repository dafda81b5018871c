//! Everything is asked of every backend, and then they are away.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::body::Bytes;
use realtime::{
    Identity, IdentityKey,
    broker::{
        Broker, BrokerError, BrokerEvent, BrokerEvents, BrokerLimits, Join, LocalBroker, Published,
        Subscription, Topic, TopicName,
    },
    node::Events,
    presence::{
        MemoryPresence, NodeSessions, Online, Presence, PresenceError, PresenceErrorKind,
        PresenceEvents, Registered, Renewed, SessionInfo, SessionKey, Unregistered,
    },
};
use realtime_testkit::memory::connect as in_memory;

use super::{Metrics, builder, start};

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
async fn each_state_of_a_link_is_told_apart() {
    let events = Arc::new(Events::new());
    let broker = Told(LocalBroker::new(), Arc::clone(&events));
    let gateway = builder().broker(broker).build().unwrap();
    let metrics = Metrics::of(&gateway);
    metrics
        .moves("realtime_backend_state", "state", &["not_started"])
        .await;
    let is = async |state: &str| {
        let labels = [("backend", "broker"), ("state", state)];
        metrics.is("realtime_backend_state", &labels, 1.).await;
    };
    is("not_started").await;
    gateway.start().await.unwrap();
    metrics
        .moves("realtime_backend_state", "state", &["up"])
        .await;
    is("up").await;
    events.send(BrokerEvent::Blocked);
    metrics
        .moves("realtime_backend_state", "state", &["blocked"])
        .await;
    is("blocked").await;
    events.send(BrokerEvent::down("no answer"));
    metrics
        .moves("realtime_backend_state", "state", &["down"])
        .await;
    is("down").await;
    let all = [("backend", "broker")];
    metrics.is("realtime_backend_state", &all, 1.).await;
    gateway.shutdown().await;
}

/// It knows nobody who goes.
#[derive(Default)]
struct Deaf {
    store: MemoryPresence,
    asked: AtomicUsize,
}

#[derive(Clone, Default)]
struct DeafPresence(Arc<Deaf>);

impl Presence for DeafPresence {
    async fn register(
        &self,
        sessions: &[SessionInfo],
        ttl: Option<Duration>,
    ) -> Result<Registered, PresenceError> {
        self.0.store.register(sessions, ttl).await
    }

    async fn unregister(&self, _: &[SessionKey]) -> Result<Unregistered, PresenceError> {
        self.0.asked.fetch_add(1, SeqCst);
        Err(PresenceError::new(PresenceErrorKind::Unavailable, "away"))
    }

    async fn renew(
        &self,
        sessions: &[SessionKey],
        ttl: Option<Duration>,
    ) -> Result<Renewed, PresenceError> {
        self.0.store.renew(sessions, ttl).await
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
        PresenceEvents::new(futures::stream::pending())
    }

    async fn close(&self) {}
}

/// For an hour, where there are no leases that would end.
#[tokio::test(start_paused = true)]
async fn a_departure_that_nobody_hears_of_is_given_up() {
    let presence = DeafPresence::default();
    let builder = builder().presence(presence.clone()).presence_ttl(None);
    let gateway = builder.build().unwrap();
    let metrics = Metrics::of(&gateway);
    let ann = in_memory(&gateway, Identity::new("ann")).await.unwrap();
    drop(ann);
    tokio::time::sleep(Duration::from_secs(3_000)).await;
    assert!(presence.0.asked.load(SeqCst) > 10, "it is tried again");
    let given_up = "realtime_presence_departures_given_up_total";
    assert_eq!(metrics.value(given_up, &[]), 0.);
    tokio::time::sleep(Duration::from_secs(1_200)).await;
    metrics
        .is("realtime_presence_departures_given_up_total", &[], 1.)
        .await;
    gateway.shutdown().await;
}

#[cfg(all(
    feature = "broker-redis",
    feature = "presence-redis",
    feature = "history-redis",
    feature = "revocation-redis"
))]
mod over_redis {
    use std::{collections::BTreeMap, time::SystemTime};

    use realtime::{
        Json, Router, connect, history::Retention, revocation::Revocation, room::RoomRule,
    };
    use realtime_testkit::servers::Redis;
    use serde_json::json;

    use super::*;
    use crate::{named, support::Server};

    /// Everything that there is to be asked, but for the roster, which is asked by itself.
    async fn ask_everything(server: &Server) {
        let gateway = &server.gateway;
        let ann = IdentityKey::new("ann");
        let _answers = (
            gateway.send_to_identity(&ann, "n", Json(1)).await,
            gateway.is_online(&ann).await,
            gateway.sessions_of(&ann).await,
            gateway.room("a").send("n", Json(1)).await,
            gateway.room("a").history(None, 1).await,
            gateway.room("a").members(None, 1).await,
            gateway
                .revoke(Revocation::identity(
                    IdentityKey::new("mallory"),
                    SystemTime::now(),
                ))
                .await,
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_fails_while_they_are_away_is_seen() {
        let mut redis = Redis::start().await.unwrap();
        let url = redis.url();
        let retention = Retention::new(10, Duration::from_secs(600)).unwrap();
        let rule = RoomRule::open().history(retention).announce("who");
        let builder = builder()
            .router(Router::new().room("{room}", rule))
            .broker(connect::broker(&url).unwrap())
            .presence(connect::presence(&url).unwrap())
            .history(connect::history(&url).unwrap())
            .revocations(connect::revocations(&url).unwrap())
            .presence_grace(Some(Duration::from_secs(1)))
            .presence_ttl(Some(Duration::from_secs(12)));
        let (server, metrics) = start(builder).await;
        let mut ann = named(&server, "ann").await;
        let mut ask = async |route: &str, data: serde_json::Value| {
            ann.request(route, data).await.unwrap()["data"].clone()
        };
        let position = ask("join", json!({"room": "a"})).await["position"].clone();
        ask("join", json!({"room": "left"})).await;
        ask("leave", json!({"room": "left"})).await;
        let from = json!({
            "room": "a", "epoch": position["epoch"], "offset": position["offset"],
        });
        ask_everything(&server).await;
        ask("recover", from.clone()).await;
        drop(named(&server, "bob").await);
        metrics
            .moves(
                "realtime_backend_call_duration_seconds",
                "call",
                &[
                    "append",
                    "changes",
                    "confirm",
                    "enter",
                    "is_revoked",
                    "join",
                    "latest",
                    "leave",
                    "members",
                    "nodes",
                    "online",
                    "position",
                    "publish",
                    "register",
                    "renew",
                    "revoke",
                    "sessions",
                    "since",
                    "subscribe",
                    "unregister",
                ],
            )
            .await;
        metrics
            .moves(
                "realtime_backend_call_duration_seconds",
                "backend",
                &["broker", "history", "presence", "revocations", "roster"],
            )
            .await;
        metrics
            .moves("realtime_backend_call_duration_seconds", "outcome", &["ok"])
            .await;
        metrics
            .moves(
                "realtime_backend_state",
                "backend",
                &["broker", "history", "presence", "revocations"],
            )
            .await;
        for backend in ["broker", "history", "presence", "revocations"] {
            let up = [("backend", backend), ("state", "up")];
            metrics.is("realtime_backend_state", &up, 1.).await;
        }

        redis.kill().unwrap();
        ask_everything(&server).await;
        let refused = ask("join", json!({"room": "new"})).await;
        assert_eq!(refused["code"], "unavailable", "{refused}");
        let refused = ask("members", json!({"room": "a"})).await;
        assert_eq!(refused["code"], "unavailable", "{refused}");
        let ours = [("route", "members"), ("outcome", "failed")];
        metrics
            .is("realtime_handler_duration_seconds", &ours, 1.)
            .await;
        let refused = ask("recover", from).await;
        assert_eq!(refused["code"], "unavailable", "{refused}");
        metrics
            .moves(
                "realtime_backend_outages_total",
                "backend",
                &["broker", "history", "presence", "revocations"],
            )
            .await;
        for backend in ["broker", "history", "presence", "revocations"] {
            let down = [("backend", backend), ("state", "down")];
            metrics.is("realtime_backend_state", &down, 1.).await;
        }
        let calls: BTreeMap<_, _> = metrics
            .all()
            .into_iter()
            .filter(|sample| sample.name == "realtime_backend_call_duration_seconds_count")
            .filter(|sample| sample.labels["outcome"] == "failed")
            .map(|sample| (sample.labels["backend"].clone(), sample.value))
            .collect();
        for backend in ["broker", "history", "presence", "revocations", "roster"] {
            let calls = calls.get(backend).copied().unwrap_or_default();
            assert!(calls > 0., "{backend}");
        }
        metrics
            .moves(
                "realtime_backend_call_duration_seconds",
                "outcome",
                &["failed"],
            )
            .await;
        metrics
            .moves("realtime_room_recoveries_total", "outcome", &["failed"])
            .await;
        metrics
            .moves("realtime_room_joins_total", "outcome", &["history"])
            .await;
        metrics
            .moves("realtime_presence_leases_total", "outcome", &["failed"])
            .await;
        redis.restart().await.unwrap();
        metrics
            .is("realtime_backend_state", &[("state", "up")], 4.)
            .await;
        server.stop().await;
    }
}
