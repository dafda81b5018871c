//! What the tests of faults share.

use std::time::{Duration, Instant};

use futures::StreamExt;
use realtime_core::{
    IdentityKey, Incarnation, NodeId, SessionId,
    broker::NodeInfo,
    presence::{Presence, PresenceError, PresenceEvent, PresenceEvents, SessionInfo, SessionKey},
};
use realtime_presence_redis::{RedisConfig, RedisPresence};
use realtime_testkit::{
    servers::redis::Redis,
    wait::{until, within},
};

pub(crate) const LONG: Option<Duration> = Some(Duration::from_secs(300));

/// The command timeout of 1 s, and what a busy machine may add.
pub(crate) const SOON: Duration = Duration::from_millis(2_500);

/// How long a cluster may take to give a master up, and what a busy machine may add.
pub(crate) const SETTLED: Duration = Duration::from_secs(30);

pub(crate) fn ann() -> IdentityKey {
    IdentityKey::new("ann").with_tenant("acme")
}

pub(crate) fn session(identity: &IdentityKey) -> SessionInfo {
    let node = NodeInfo::new(NodeId::random(), Incarnation::random());
    SessionInfo::new(SessionId::random(), identity, node)
}

/// Registers sessions, all of them.
pub(crate) async fn register(
    presence: &RedisPresence,
    sessions: &[SessionInfo],
    ttl: Option<Duration>,
) {
    let registered = presence.register(sessions, ttl).await.unwrap();
    assert!(
        registered.failed.is_empty(),
        "{:?}",
        registered.failed.first()
    );
}

/// Removes sessions, all of them.
pub(crate) async fn unregister(presence: &RedisPresence, sessions: &[SessionKey]) {
    let gone = presence.unregister(sessions).await.unwrap();
    assert!(gone.failed.is_empty(), "{:?}", gone.failed.first());
}

/// Renews sessions, and returns those that are unknown.
pub(crate) async fn renew(
    presence: &RedisPresence,
    sessions: &[SessionKey],
    ttl: Option<Duration>,
) -> Vec<SessionKey> {
    let renewed = presence.renew(sessions, ttl).await.unwrap();
    assert!(renewed.failed.is_empty(), "{:?}", renewed.failed.first());
    renewed.unknown
}

pub(crate) fn presence(url: String) -> RedisPresence {
    RedisPresence::from_url(url).unwrap()
}

/// With more time than a busy machine takes: for what fails only if it is wrong.
pub(crate) fn patient(url: impl Into<String>) -> RedisPresence {
    let config = RedisConfig::builder(url).command_timeout(Duration::from_secs(8));
    RedisPresence::new(config.build().unwrap())
}

pub(crate) fn with_one_connection(url: String) -> RedisPresence {
    RedisPresence::new(RedisConfig::builder(url).pool_size(1).build().unwrap())
}

/// All commands of an identity fail within the timeout; the first error is returned.
pub(crate) async fn failure(presence: &RedisPresence) -> PresenceError {
    let (ann, info) = (ann(), session(&ann()));
    let key = [info.key()];
    let start = Instant::now();
    let (registered, gone, renewed, sessions, nodes, online) = futures::join!(
        presence.register(std::slice::from_ref(&info), LONG),
        presence.unregister(&key),
        presence.renew(&key, LONG),
        presence.sessions(&ann),
        presence.nodes(&ann),
        presence.is_online(&ann),
    );
    let took = start.elapsed();
    assert!(took < SOON, "it took {took:?} to fail");
    let errors = [
        registered.unwrap_err(),
        gone.unwrap_err(),
        renewed.unwrap_err(),
        sessions.unwrap_err(),
        nodes.unwrap_err(),
        online.unwrap_err(),
    ];
    let kind = errors[0].kind();
    assert!(errors.iter().all(|e| e.kind() == kind), "{errors:?}");
    let [first, ..] = errors;
    first
}

pub(crate) async fn next_down(events: &mut PresenceEvents) -> String {
    match within("an event", events.next()).await {
        Some(PresenceEvent::Down { cause, .. }) => cause,
        other => panic!("expected Down; got {other:?}"),
    }
}

/// Waits until it is up, for whatever other reasons it is said to be down before.
pub(crate) async fn next_up(events: &mut PresenceEvents) {
    within("the store to be up", up(events)).await;
}

/// Waits until all of a cluster is up, or a replica is the master, whatever is said to be down before.
pub(crate) async fn until_up(events: &mut PresenceEvents) {
    let waited = tokio::time::timeout(SETTLED, up(events)).await;
    assert!(waited.is_ok(), "it isn't up");
}

async fn up(events: &mut PresenceEvents) {
    loop {
        match events.next().await {
            Some(PresenceEvent::Up) => return,
            Some(PresenceEvent::Down { .. }) => {}
            other => panic!("expected Up; got {other:?}"),
        }
    }
}

/// Registers one session and finds it.
pub(crate) async fn works(presence: &RedisPresence) {
    let info = session(&ann());
    register(presence, std::slice::from_ref(&info), LONG).await;
    let found = presence.sessions(&ann()).await.unwrap();
    assert!(found.iter().any(|f| f.session_id == info.session_id));
}

/// Connections that clients hold, the asking one not counted.
pub(crate) async fn connections(redis: &Redis) -> usize {
    let list = redis.command(&["CLIENT", "LIST"]).await.unwrap();
    list.lines().count() - 1
}

pub(crate) async fn until_connections(redis: &Redis, expected: usize) {
    let what = format!("{expected} connections are held");
    until(&what, async || connections(redis).await == expected).await;
}
