//! What lies in Redis, and what becomes of it.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[allow(dead_code, reason = "shared with the tests of faults")]
mod support;

use std::time::{Duration, SystemTime};

use futures::future::join_all;
use realtime_core::{
    Identity, IdentityKey,
    revocation::{Revocation, Revocations},
};
use realtime_revocation_redis::KEPT_LONGER;
use realtime_testkit::{servers::redis::Redis, wait::until};
use support::{is_revoked, revoke, signed_out, store, token};

const PREFIX: &str = "rt:realtime:revocation:{revoked-realtime}:";

fn key(name: &str) -> String {
    format!("{PREFIX}{name}")
}

async fn number(redis: &Redis, command: &[&str]) -> i64 {
    redis.command(command).await.unwrap().parse().unwrap()
}

/// Without those of the checks.
async fn keys(redis: &Redis) -> Vec<String> {
    let keys = redis.command(&["KEYS", "rt:*"]).await.unwrap();
    let keys = keys.lines().filter_map(|key| key.strip_prefix(PREFIX));
    let mut keys: Vec<_> = keys.map(str::to_owned).collect();
    keys.sort();
    keys
}

fn after(seconds: u64) -> SystemTime {
    SystemTime::now() + Duration::from_secs(seconds)
}

/// How many seconds a key has left beyond [`KEPT_LONGER`], rounded.
async fn left(redis: &Redis, name: &str) -> i64 {
    let ms = number(redis, &["PTTL", &key(name)]).await;
    let kept_longer = i64::try_from(KEPT_LONGER.as_millis()).unwrap();
    (ms - kept_longer + 5_000) / 10_000 * 10
}

#[tokio::test(flavor = "multi_thread")]
async fn each_key_ends_with_the_latest_end_that_was_asked_for() {
    let redis = Redis::start().await.unwrap();
    let store = store(redis.url());
    let scopes = [
        ("everybody", Revocation::everybody(SystemTime::now())),
        ("tenant:acme", Revocation::tenant("acme", SystemTime::now())),
        (
            "identity:4:acme:ada",
            Revocation::identity(
                IdentityKey::new("ada").with_tenant("acme"),
                SystemTime::now(),
            ),
        ),
        ("token:7", Revocation::token("7")),
    ];
    let mut longest = 0;
    for (name, revocation) in &scopes {
        for (asked, expected) in [(1_000, 1_000), (500, 1_000), (2_000, 2_000)] {
            store.revoke(revocation, after(asked)).await.unwrap();
            assert_eq!(left(&redis, name).await, expected, "{name}");
            longest = longest.max(expected);
            assert_eq!(left(&redis, "log").await, longest);
        }
        store
            .revoke(revocation, SystemTime::UNIX_EPOCH)
            .await
            .unwrap();
        assert_eq!(left(&redis, name).await, 2_000, "{name}");
    }
    let names = scopes.map(|(name, _)| name.to_owned());
    let mut expected = names.to_vec();
    expected.push("log".to_owned());
    expected.sort();
    assert_eq!(keys(&redis).await, expected);
    // One that never ends is kept, and one whose end has passed is for a while.
    let never = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 45);
    store.revoke(&Revocation::token("8"), never).await.unwrap();
    assert!(number(&redis, &["PTTL", &key("token:8")]).await > 1 << 48);
    let over = SystemTime::now() - Duration::from_secs(60);
    store.revoke(&Revocation::token("9"), over).await.unwrap();
    assert_eq!(left(&redis, "token:9").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redis_has_forgotten_is_believed() {
    let redis = Redis::start().await.unwrap();
    let store = store(redis.url());
    revoke(&store, &Revocation::token("7")).await;
    assert!(is_revoked(&store, &token("7")).await);
    // As if its end had come.
    redis
        .command(&["PEXPIRE", &key("token:7"), "1"])
        .await
        .unwrap();
    until("it is forgotten", async || {
        !is_revoked(&store, &token("7")).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_has_each_scope_once_and_nothing_that_has_ended() {
    let redis = Redis::start().await.unwrap();
    let store = store(redis.url());
    for _ in 0..20 {
        revoke(&store, &signed_out("ada")).await;
    }
    let log = key("log");
    assert_eq!(number(&redis, &["ZCARD", &log]).await, 1);
    // What had ended in 1970, and what is somebody else's.
    let mut words = vec!["ZADD".to_owned(), log.clone()];
    for n in 0..500 {
        let ended = format!("{:029} {n} token:ended-{n}", 1_u128 << 90);
        words.extend([(n + 1).to_string(), ended]);
        words.extend([(n + 1).to_string(), format!("nonsense {n}")]);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    redis.command(&words).await.unwrap();
    let told = store.since(0).await.unwrap();
    assert!(told.revocations.len() <= 501 && !told.revocations.is_empty());
    for some in (0..400).collect::<Vec<_>>().chunks(50) {
        let revocations = some.iter().map(|n| signed_out(&n.to_string()));
        let revocations: Vec<_> = revocations.collect();
        join_all(revocations.iter().map(|r| revoke(&store, r))).await;
    }
    // They are drawn by lot: nearly all of them are gone.
    let left = number(&redis, &["ZCARD", &log]).await - 401;
    assert!((0..100).contains(&left), "{left} are left");
    let told = store.since(500).await.unwrap();
    assert_eq!(told.revocations.len(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_grow_where_the_log_is_gone_or_its_clock_was_ahead() {
    let redis = Redis::start().await.unwrap();
    let store = store(redis.url());
    revoke(&store, &Revocation::token("a")).await;
    let first = store.since(0).await.unwrap().next;
    redis.command(&["FLUSHALL"]).await.unwrap();
    revoke(&store, &Revocation::token("b")).await;
    let told = store.since(first).await.unwrap();
    assert!(told.revocations.len() == 1 && told.next > first, "{told:?}");
    // A server whose clock was an hour ahead has written here.
    let ahead = (told.next + 3_600_000_000).to_string();
    let ended = format!("{:029} {} token:x", 1_u128 << 90, 1_u64 << 50);
    redis
        .command(&["ZADD", &key("log"), &ahead, &ended])
        .await
        .unwrap();
    let ahead = ahead.parse().unwrap();
    for n in 1..4 {
        revoke(&store, &Revocation::token(n.to_string())).await;
        let told = store.since(ahead).await.unwrap();
        assert_eq!((told.revocations.len() as u64, told.next), (n, ahead + n));
    }
    // Numbers that can't be counted on from are none of ours.
    redis
        .command(&["ZADD", &key("log"), "inf", "else"])
        .await
        .unwrap();
    revoke(&store, &Revocation::token("c")).await;
    let told = store.since(first).await.unwrap();
    assert_eq!(told.revocations.len(), 1);
    assert!(told.next < ahead);
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_share_a_server_without_seeing_each_other() {
    let redis = Redis::start().await.unwrap();
    let [a, b] = ["a", "b"].map(|n| store(format!("{}?namespace={n}", redis.url())));
    revoke(&a, &Revocation::everybody(SystemTime::now())).await;
    assert!(is_revoked(&a, &Identity::new("ada")).await);
    assert!(!is_revoked(&b, &Identity::new("ada")).await);
    assert!(b.since(0).await.unwrap().revocations.is_empty());
}

/// What the checks write ends by itself, and doesn't add up.
#[tokio::test(flavor = "multi_thread")]
async fn checks_leave_nothing_behind() {
    let redis = Redis::start().await.unwrap();
    let stores = [(); 3].map(|()| store(redis.url()));
    for store in &stores {
        revoke(store, &Revocation::token("7")).await;
    }
    let keys = redis.command(&["KEYS", "rt:*probe*"]).await.unwrap();
    assert_eq!(keys.lines().count(), 2, "{keys}");
    for key in keys.lines() {
        let ttl = number(&redis, &["PTTL", key]).await;
        assert!((1..=5_000).contains(&ttl), "{ttl}");
    }
    let log = keys.lines().find(|key| key.ends_with(":log")).unwrap();
    assert!(number(&redis, &["ZCARD", log]).await < 100);
    for store in &stores {
        store.close().await;
    }
}

/// Not a promise, but what the documentation says.
#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_takes_some_hundred_bytes() {
    let redis = Redis::start().await.unwrap();
    let store = store(redis.url());
    let used = async || {
        let info = redis.command(&["INFO", "memory"]).await.unwrap();
        let line = info.lines().find(|line| line.starts_with("used_memory:"));
        let (_, bytes) = line.unwrap().split_once(':').unwrap();
        bytes.trim().parse::<usize>().unwrap()
    };
    revoke(&store, &Revocation::token("first")).await;
    let before = used().await;
    let ids = (0..2_000).map(|n| format!("{n:0>36}"));
    let revocations: Vec<_> = ids.map(Revocation::token).collect();
    for some in revocations.chunks(500) {
        join_all(some.iter().map(|r| revoke(&store, r))).await;
    }
    let each = used().await.saturating_sub(before) / revocations.len();
    println!("{each} bytes for each revocation");
    assert!(each < 700, "{each}");
}
