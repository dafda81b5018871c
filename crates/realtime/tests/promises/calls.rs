//! Every public function that takes a duration takes the longest and the shortest there are.

use std::time::Duration;

use realtime::{
    Builder, Config, IdentityKey, Json, Router, SessionId,
    broker::NodeInfo,
    error::BuildErrorKind,
    middleware::TimeoutLayer,
    node::Incarnation,
    presence::{MemoryPresence, Presence, SessionInfo},
};
use realtime_testkit::wait::within;
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    host::{Host, Kind},
    support::{Ends, Server, compressing},
};

const EXTREMES: [Duration; 2] = [Duration::ZERO, Duration::MAX];

#[cfg(any(feature = "broker-amqp", feature = "presence-redis"))]
const SHORT: Duration = Duration::from_millis(200);

fn echo() -> Router {
    Router::new().route("echo", async |Json(data): Json<Value>| Json(data))
}

#[tokio::test]
async fn a_shutdown_within_the_longest_time_of_all() {
    let ends = Ends::default();
    let server = Server::start(
        ends.hear(crate::support::builder().router(echo()))
            .build()
            .unwrap(),
    )
    .await;
    let mut client = server.connect().await;
    server.until_open(1).await;
    let shutdown = server.gateway.shutdown_within(Duration::MAX);
    let report = within("the shutdown", shutdown).await;
    let (sessions, aborted, left) = (report.sessions, report.aborted, report.tasks_left);
    assert_eq!((sessions, aborted, left), (1, 0, 0));
    assert_eq!(client.closed().await.unwrap().0, 1001);
    assert_eq!(ends.len(), 1);
    // The earliest deadline counts, and this one is later than any.
    assert_eq!(server.gateway.shutdown_within(Duration::MAX).await, report);
}

#[tokio::test]
async fn a_shutdown_within_no_time_at_all() {
    let stuck = echo().route("stuck", async || std::future::pending::<()>().await);
    let server = Server::start(crate::support::builder().router(stuck).build().unwrap()).await;
    let mut client = server.connect().await;
    client.send("stuck", Value::Null).await.unwrap();
    server.until_open(1).await;
    let shutdown = server.gateway.shutdown_within(Duration::ZERO);
    let report = within("the shutdown", shutdown).await;
    assert_eq!((report.sessions, report.tasks_left), (1, 0));
    assert_eq!(server.gateway.stats().open, 0);
}

/// More sessions than are closed in one turn: the deadline comes before all of them are.
#[tokio::test(start_paused = true)]
async fn a_shutdown_within_no_time_of_many_sessions_waits_for_nothing() {
    let host = Host::start(Kind::Hyper, crate::support::builder().build().unwrap()).await;
    let mut clients = Vec::new();
    for _ in 0..500 {
        clients.push(host.connect("ann").await);
    }
    host.until_open(500).await;
    let begun = Instant::now();
    let report = host.gateway.shutdown_within(Duration::ZERO).await;
    assert_eq!((report.sessions, report.tasks_left), (500, 0));
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
}

/// The longest time doesn't put off a deadline that is there already.
#[tokio::test]
async fn a_short_shutdown_after_the_longest_one() {
    let stuck = echo().route("stuck", async || std::future::pending::<()>().await);
    let builder = crate::support::builder()
        .router(stuck)
        .shutdown_timeout(None);
    let server = Server::start(builder.build().unwrap()).await;
    let mut client = server.connect().await;
    client.send("stuck", Value::Null).await.unwrap();
    realtime_testkit::wait::until("the handler runs", async || {
        server.gateway.stats().received == 1
    })
    .await;
    let gateway = server.gateway.clone();
    let longest = tokio::spawn(async move { gateway.shutdown_within(Duration::MAX).await });
    let short = server.gateway.shutdown_within(Duration::from_millis(100));
    let report = within("the short one", short).await;
    let longest = within("the longest", longest).await;
    assert_eq!((report.sessions, report.aborted), (1, 1));
    assert_eq!(longest.unwrap(), report);
}

#[tokio::test]
async fn a_limit_for_handlers() {
    for limit in EXTREMES {
        let builder = crate::support::builder()
            .router(echo())
            .layer(TimeoutLayer::new(limit));
        let server = Server::start(builder.build().unwrap()).await;
        let mut client = server.connect().await;
        let answer = within("an answer", client.request("echo", Value::Null)).await;
        let route = answer.unwrap()["route"].take();
        // Either nothing is limited, or everything takes too long: it says so.
        assert!(
            route == "echo" || limit.is_zero() && route == "error",
            "{limit:?}: {route}"
        );
        server.stop().await;
    }
}

/// A setting is taken and works, or is refused by name.
#[tokio::test]
async fn every_setting() {
    type Set = fn(Builder, Option<Duration>) -> Builder;
    let settings: [(&str, Set); 7] = [
        ("heartbeat", Builder::heartbeat),
        ("pong_timeout", Builder::pong_timeout),
        ("write_timeout", Builder::write_timeout),
        ("shutdown_timeout", Builder::shutdown_timeout),
        ("auth_timeout", Builder::auth_timeout),
        ("hook_timeout", Builder::hook_timeout),
        ("presence_ttl", Builder::presence_ttl),
    ];
    for ((name, set), value) in settings.into_iter().flat_map(|s| EXTREMES.map(|e| (s, e))) {
        match set(crate::support::builder().router(echo()), Some(value)).build() {
            Err(error) => {
                assert_eq!(error.kind(), BuildErrorKind::InvalidOption);
                assert!(error.to_string().contains(name), "{error}");
            }
            Ok(gateway) => {
                let server = Server::start(gateway).await;
                let mut client = server.connect().await;
                let asked = within("an answer", client.request("echo", Value::Null));
                assert_eq!(asked.await.unwrap()["route"], "echo", "{name} {value:?}");
                server.stop().await;
            }
        }
    }
}

/// The longest that are allowed work as well as any.
#[tokio::test]
async fn the_longest_settings_that_are_allowed() {
    let longest = Some(Duration::from_secs(365 * 24 * 60 * 60));
    let mut config = Config::default();
    config.heartbeat = longest;
    config.pong_timeout = longest;
    config.write_timeout = longest;
    config.shutdown_timeout = longest;
    config.auth_timeout = longest;
    config.hook_timeout = longest;
    config.presence_ttl = longest;
    let server = Server::start(
        compressing(realtime::builder().config(config))
            .router(echo())
            .build()
            .unwrap(),
    )
    .await;
    server.gateway.start().await.unwrap();
    let mut client = server.connect().await;
    let asked = client.request("echo", Value::Null);
    assert_eq!(within("an answer", asked).await.unwrap()["route"], "echo");
    within("the end", server.stop()).await;
}

#[test]
fn settings_in_a_file() {
    for value in EXTREMES {
        let mut config = Config::default();
        config.heartbeat = Some(value);
        // It can't be written where the form has no room for it; it never panics.
        if let Ok(json) = serde_json::to_string(&config) {
            let read: Config = serde_json::from_str(&json).unwrap();
            assert_eq!(read.heartbeat, Some(value));
        }
    }
    for written in [
        "18446744073709551615",
        "1.8e19",
        "1e400",
        "\"9999999999999h\"",
        "0",
    ] {
        let json = format!(r#"{{"heartbeat": {written}}}"#);
        if let Ok(config) = serde_json::from_str::<Config>(&json) {
            assert!(config.validate().is_err(), "{written}");
        }
    }
}

#[tokio::test]
async fn leases_in_memory() {
    for ttl in EXTREMES.map(Some).into_iter().chain([None]) {
        let (presence, ann) = (MemoryPresence::new(), IdentityKey::new("ann"));
        let node = NodeInfo::new("node".parse().unwrap(), Incarnation::random());
        let info = SessionInfo::new(SessionId::random(), &ann, node);
        let (keys, infos) = ([info.key()], [info]);
        let _registered = presence.register(&infos, ttl).await.unwrap();
        // A lease of no time has ended; any other holds.
        let holds = ttl != Some(Duration::ZERO);
        assert_eq!(presence.is_online(&ann).await.unwrap(), holds, "{ttl:?}");
        let lost = presence.renew(&keys, ttl).await.unwrap().unknown;
        assert_eq!(lost.is_empty(), holds, "{ttl:?}");
        assert_eq!(
            presence.sessions(&ann).await.unwrap().len(),
            usize::from(holds)
        );
        let _gone = presence.unregister(&keys).await.unwrap();
        assert!(!presence.is_online(&ann).await.unwrap());
    }
}

#[cfg(feature = "presence-redis")]
#[tokio::test]
async fn the_timeout_of_redis() {
    use realtime::presence::redis::{RedisConfig, RedisPresence};
    for timeout in EXTREMES {
        let config = RedisConfig::builder("redis://127.0.0.1:1").command_timeout(timeout);
        // It is refused, or taken and doesn't panic when it is used.
        if let Ok(config) = config.build() {
            let (presence, ann) = (RedisPresence::new(config), IdentityKey::new("ann"));
            let _no_server = tokio::time::timeout(SHORT, presence.is_online(&ann)).await;
            within("close", presence.close()).await;
        }
    }
}

#[cfg(feature = "broker-amqp")]
#[tokio::test]
async fn the_times_of_amqp() {
    use realtime::broker::{
        Broker, Join,
        amqp::{AmqpBroker, AmqpConfig},
    };
    let builder = || AmqpConfig::builder("amqp://127.0.0.1:1");
    for time in EXTREMES {
        for config in [builder().heartbeat(time), builder().queue_ttl(time)] {
            if let Ok(config) = config.build() {
                let broker = AmqpBroker::new(config);
                let node = NodeInfo::new("here".parse().unwrap(), Incarnation::random());
                let joining = broker.subscribe(Join::new(node));
                let _no_server = tokio::time::timeout(SHORT, joining).await;
                within("close", broker.close()).await;
            }
        }
    }
}
