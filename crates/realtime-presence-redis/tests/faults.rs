//! Everything that can happen to Redis, on a real one.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::time::{Duration, Instant};

use futures::StreamExt;
use realtime_core::{
    IdentityKey, NodeId, SessionId,
    presence::{Presence, PresenceErrorKind, PresenceEvent, PresenceEvents, SessionInfo},
};
use realtime_presence_redis::{RedisConfig, RedisPresence};
use realtime_testkit::{servers::Redis, wait::until};
use tokio::time::timeout;

const LONG: Option<Duration> = Some(Duration::from_secs(300));
/// How soon a fault must be noticed, and how soon the store is back once Redis is; with what a
/// busy test machine may add.
const NOTICED: Duration = Duration::from_secs(12);
const BACK: Duration = Duration::from_secs(6);

fn store(redis: &Redis) -> RedisPresence {
    RedisPresence::new(RedisConfig::from_url(&redis.url()).unwrap()).unwrap()
}

fn ann() -> IdentityKey {
    IdentityKey::new("acme", "ann")
}

fn session() -> SessionInfo {
    SessionInfo::new(SessionId::random(), &ann(), NodeId::random())
}

/// Every call fails, within the second that it has and some slack.
async fn fails(presence: &RedisPresence) -> PresenceErrorKind {
    let (start, info, key, ann) = (Instant::now(), session(), [session().key()], ann());
    let failures = futures::join!(
        presence.register(std::slice::from_ref(&info), LONG),
        presence.unregister(&key),
        presence.is_online(&ann),
        presence.sessions(&ann),
    );
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "they fail in time"
    );
    assert!(failures.1.is_err() && failures.2.is_err() && failures.3.is_err());
    failures.0.expect_err("nothing is registered").kind()
}

async fn works(presence: &RedisPresence) {
    let info = session();
    presence
        .register(std::slice::from_ref(&info), LONG)
        .await
        .unwrap();
    assert!(presence.is_online(&ann()).await.unwrap());
    assert_eq!(presence.renew(&[info.key()], LONG).await.unwrap(), []);
    presence.unregister(&[info.key()]).await.unwrap();
}

async fn until_down(events: &mut PresenceEvents) {
    let down = timeout(NOTICED, events.next())
        .await
        .expect("it is noticed");
    assert!(matches!(down, Some(PresenceEvent::Down { .. })), "{down:?}");
}

async fn until_up(events: &mut PresenceEvents) {
    let up = timeout(BACK, events.next()).await.expect("it is back");
    assert_eq!(up, Some(PresenceEvent::Up));
}

#[tokio::test]
async fn killed_and_restarted_empty() {
    let mut redis = Redis::start().await;
    let presence = store(&redis);
    let mut events = presence.events();
    works(&presence).await;
    let info = session();
    presence
        .register(std::slice::from_ref(&info), LONG)
        .await
        .unwrap();
    until_up(&mut events).await;
    redis.kill();
    assert_eq!(fails(&presence).await, PresenceErrorKind::Unavailable);
    until_down(&mut events).await;
    redis.restart().await;
    until_up(&mut events).await;
    let unknown = presence.renew(&[info.key()], LONG).await.unwrap();
    assert_eq!(unknown, [info.key()], "it is empty");
    works(&presence).await;
}

#[tokio::test]
async fn stopped_and_continued() {
    let redis = Redis::start().await;
    let presence = store(&redis);
    let mut events = presence.events();
    works(&presence).await;
    until_up(&mut events).await;
    redis.stop();
    assert_eq!(fails(&presence).await, PresenceErrorKind::Unavailable);
    // Also while it is asked all the time.
    let asked = async {
        loop {
            let _fails = presence.is_online(&ann()).await;
        }
    };
    tokio::select! {
        () = until_down(&mut events) => {}
        () = asked => {}
    }
    redis.resume();
    until_up(&mut events).await;
    works(&presence).await;
}

#[tokio::test]
async fn gone_for_a_moment_only_is_told_too() {
    let redis = Redis::start().await;
    let presence = store(&redis);
    let mut events = presence.events();
    works(&presence).await;
    until_up(&mut events).await;
    redis.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    until_down(&mut events).await;
    until_up(&mut events).await;
    // Each connection notices on its own that it was closed.
    until("it answers again", async || {
        presence.is_online(&ann()).await.is_ok()
    })
    .await;
    works(&presence).await;
}

#[tokio::test]
async fn it_is_not_there_at_first() {
    let mut redis = Redis::start().await;
    redis.kill();
    let presence = store(&redis);
    let mut events = presence.events();
    assert_eq!(fails(&presence).await, PresenceErrorKind::Unavailable);
    until_down(&mut events).await;
    redis.restart().await;
    until_up(&mut events).await;
    works(&presence).await;
}

#[tokio::test]
async fn it_takes_no_writes() {
    let redis = Redis::start().await;
    let presence = store(&redis);
    works(&presence).await;
    let online = session();
    presence
        .register(std::slice::from_ref(&online), LONG)
        .await
        .unwrap();

    redis.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = presence.register(&[session()], LONG).await.unwrap_err();
    assert_eq!(
        refused.kind(),
        PresenceErrorKind::Unavailable,
        "out of memory"
    );
    assert!(refused.is_transient());
    assert!(
        presence.is_online(&ann()).await.unwrap(),
        "it is read all the same"
    );
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    works(&presence).await;

    redis.command(&["REPLICAOF", "127.0.0.1", "1"]);
    let refused = presence.register(&[session()], LONG).await.unwrap_err();
    assert_eq!(refused.kind(), PresenceErrorKind::Unavailable, "read-only");
    redis.command(&["REPLICAOF", "NO", "ONE"]);
    until("it takes writes again", async || {
        presence
            .register(std::slice::from_ref(&online), LONG)
            .await
            .is_ok()
    })
    .await;
    works(&presence).await;
}

#[tokio::test]
async fn it_forgets_scripts_and_sessions() {
    let redis = Redis::start().await;
    let presence = store(&redis);
    let info = session();
    presence
        .register(std::slice::from_ref(&info), LONG)
        .await
        .unwrap();
    assert_eq!(redis.command(&["SCRIPT", "FLUSH"]), "OK");
    assert_eq!(presence.renew(&[info.key()], LONG).await.unwrap(), []);
    assert_eq!(redis.command(&["FLUSHALL"]), "OK");
    let unknown = presence.renew(&[info.key()], LONG).await.unwrap();
    assert_eq!(unknown, [info.key()]);
    works(&presence).await;
}

#[tokio::test]
async fn a_password_that_is_wrong_or_missing_is_told() {
    let redis = Redis::with_options(&["--requirepass", "secret"]).await;
    let with = |url: &str| {
        let config = RedisConfig::from_url(&redis.url().replace("redis://", url)).unwrap();
        RedisPresence::new(config).unwrap()
    };
    for url in ["redis://", "redis://:wrong@"] {
        let error = with(url).register(&[session()], LONG).await.unwrap_err();
        assert!(!format!("{error:?}").contains("wrong"), "{error:?}");
        let kind = error.kind();
        let told = [PresenceErrorKind::Config, PresenceErrorKind::Unavailable];
        assert!(told.contains(&kind), "{kind:?}");
    }
    works(&with("redis://:secret@")).await;
}

#[tokio::test]
async fn what_others_wrote_in_our_place_is_skipped_or_refused() {
    let redis = Redis::start().await;
    let presence = store(&redis);
    let info = session();
    presence
        .register(std::slice::from_ref(&info), LONG)
        .await
        .unwrap();
    let keys = redis.command(&["KEYS", "rt:realtime:*"]);
    let (leases, records) = {
        let mut keys: Vec<_> = keys.lines().collect();
        keys.sort_unstable();
        (keys[0].to_owned(), keys[1].to_owned())
    };
    redis.command(&["ZADD", &leases, "9999999999999", "stranger"]);
    redis.command(&["HSET", &records, "stranger", "{not json"]);
    redis.command(&["ZADD", &leases, "9999999999999", "without-record"]);
    let found = presence.sessions(&ann()).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].session_id, info.session_id);
    redis.command(&["SET", &leases, "a string"]);
    let error = presence.sessions(&ann()).await.unwrap_err();
    assert_eq!(error.kind(), PresenceErrorKind::Corrupt, "{error:?}");
}

#[tokio::test]
async fn nothing_is_left_of_sessions_whose_leases_have_ended() {
    let redis = Redis::start().await;
    let presence = store(&redis);
    let short = Some(Duration::from_millis(200));
    for _ in 0..3 {
        let sessions: Vec<_> = (0..150).map(|_| session()).collect();
        presence.register(&sessions, short).await.unwrap();
    }
    until("Redis holds no key", async || {
        redis.command(&["DBSIZE"]) == "0"
    })
    .await;
}

#[tokio::test]
async fn a_closed_store_leaves_no_task_behind() {
    let redis = Redis::start().await;
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = tasks();
    let (closed, dropped) = (store(&redis), store(&redis));
    works(&closed).await;
    works(&dropped).await;
    closed.close().await;
    drop(dropped);
    until("its tasks have ended", async || tasks() <= before).await;
}
