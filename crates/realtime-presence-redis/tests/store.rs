//! What stands in Redis, and what else may stand there.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[allow(dead_code, reason = "shared with the tests of faults")]
mod support;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use realtime_core::{
    IdentityKey,
    presence::{Presence, PresenceErrorKind, SessionInfo},
};
use realtime_testkit::{
    conformance::presence as suite,
    servers::redis::{Redis, RedisCluster},
    wait::until,
};
use support::{LONG, ann, presence, session, works};

const LEASES: &str = "rt:realtime:presence:{4:acme:ann}:leases";
const SESSIONS: &str = "rt:realtime:presence:{4:acme:ann}:sessions";

/// All keys but the one that is written to see whether writing works.
/// The keys of sessions. Those of the probe, with which health does its work, come and go.
async fn keys(redis: &Redis) -> Vec<String> {
    let keys = redis.command(&["KEYS", "*"]).await.unwrap();
    let mut keys: Vec<_> = keys
        .lines()
        .filter(|key| !key.is_empty() && !key.contains("probe"))
        .map(str::to_owned)
        .collect();
    keys.sort();
    keys
}

async fn number(redis: &Redis, command: &[&str]) -> i64 {
    redis.command(command).await.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_keys_expire_with_the_longest_lease() {
    let redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    let expiry = async |key| number(&redis, &["PEXPIRETIME", key]).await;
    let ends = |ends: Option<SystemTime>| {
        let since = ends
            .unwrap()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
        i64::try_from(since.as_millis()).unwrap()
    };
    let (short, long, forever) = (session(&ann()), session(&ann()), session(&ann()));
    let register = async |info: &SessionInfo, ttl: Option<u64>| {
        let ttl = ttl.map(Duration::from_secs);
        let registered = presence
            .register(std::slice::from_ref(info), ttl)
            .await
            .unwrap();
        registered[0].expires_at
    };
    let first = ends(register(&long, Some(300)).await);
    let second = ends(register(&short, Some(100)).await);
    assert_eq!(keys(&redis).await, [LEASES, SESSIONS]);
    assert_eq!(
        (expiry(LEASES).await, expiry(SESSIONS).await),
        (first, first)
    );
    assert_eq!(register(&forever, None).await, None);
    assert_eq!((expiry(LEASES).await, expiry(SESSIONS).await), (-1, -1));
    presence
        .unregister(&[forever.key(), long.key()])
        .await
        .unwrap();
    assert_eq!(
        (expiry(LEASES).await, expiry(SESSIONS).await),
        (second, second)
    );
    presence
        .renew(&[short.key()], Some(Duration::from_secs(50)))
        .await
        .unwrap();
    assert!(expiry(LEASES).await < second && expiry(SESSIONS).await < second);
    presence.unregister(&[short.key()]).await.unwrap();
    assert_eq!(keys(&redis).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_when_the_leases_have_ended() {
    let redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    let infos: Vec<_> = (0..300).map(|_| session(&ann())).collect();
    presence
        .register(&infos, Some(Duration::from_millis(300)))
        .await
        .unwrap();
    until("nobody is online", async || {
        !presence.is_online(&ann()).await.unwrap()
    })
    .await;
    assert_eq!(keys(&redis).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_sessions_are_pruned_a_hundred_at_a_time() {
    let redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    let infos: Vec<_> = (0..250).map(|_| session(&ann())).collect();
    presence
        .register(&infos, Some(Duration::from_millis(500)))
        .await
        .unwrap();
    let stays = session(&ann());
    presence
        .register(std::slice::from_ref(&stays), LONG)
        .await
        .unwrap();
    let live = async || presence.sessions(&ann()).await.unwrap().len();
    until("the short leases have ended", async || live().await == 1).await;
    for left in [151, 51, 1, 1] {
        assert_eq!(presence.renew(&[stays.key()], LONG).await.unwrap(), []);
        assert_eq!(number(&redis, &["ZCARD", LEASES]).await, left);
        assert_eq!(number(&redis, &["HLEN", SESSIONS]).await, left);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_clock_of_the_server_counts() {
    let redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    let mut info = session(&ann());
    // What this node believes of the time, and of the lease, is of no account.
    info.connected_at -= Duration::from_secs(3_600);
    info.expires_at = Some(SystemTime::now() - Duration::from_secs(3_600));
    let registered = presence
        .register(std::slice::from_ref(&info), LONG)
        .await
        .unwrap();
    let score: i64 = number(&redis, &["ZSCORE", LEASES, &info.session_id.to_string()]).await;
    let ends = registered[0].expires_at.unwrap();
    let ends = ends.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(i64::try_from(ends.as_millis()).unwrap(), score);
    let found = presence.sessions(&ann()).await.unwrap();
    assert_eq!(found[0].expires_at, registered[0].expires_at);
    assert_eq!(found[0].connected_at, info.connected_at);
    // A lease that ended by the server's clock, while its keys are still there.
    let other = session(&ann());
    presence
        .register(std::slice::from_ref(&other), LONG)
        .await
        .unwrap();
    redis
        .command(&["ZADD", LEASES, "1000", &info.session_id.to_string()])
        .await
        .unwrap();
    assert_eq!(presence.sessions(&ann()).await.unwrap().len(), 1);
    assert_eq!(
        presence.renew(&[info.key()], LONG).await.unwrap(),
        [info.key()]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_wrote_is_skipped_and_counted() {
    let redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    let (info, other) = (
        session(&ann()),
        session(&IdentityKey::new("bob").with_tenant("acme")),
    );
    presence
        .register(&[info.clone(), other.clone()], LONG)
        .await
        .unwrap();
    let bob = redis
        .command(&[
            "HGET",
            "rt:realtime:presence:{4:acme:bob}:sessions",
            &other.session_id.to_string(),
        ])
        .await
        .unwrap();
    let deep = "[".repeat(100_000);
    let own = other.session_id.to_string();
    let garbage = [
        ("x", "{}"),
        ("y", ""),
        ("z", &*deep),
        ("\u{1b}[0m", "\u{7f}"),
        (&*own, &*bob),
    ];
    for (session, record) in garbage {
        redis
            .command(&["ZADD", LEASES, "+inf", session])
            .await
            .unwrap();
        redis
            .command(&["HSET", SESSIONS, session, record])
            .await
            .unwrap();
    }
    redis
        .command(&["ZADD", LEASES, "1e300", "without a record"])
        .await
        .unwrap();
    let found = presence.sessions(&ann()).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].session_id, info.session_id);
    assert_eq!(presence.corrupt_records(), 6);
    // Writing goes on beside it.
    assert_eq!(presence.renew(&[info.key()], LONG).await.unwrap(), []);
    presence.unregister(&[info.key()]).await.unwrap();
    works(&presence).await;
}

/// It is met again with every question about its identity.
#[tokio::test]
async fn what_somebody_else_wrote_is_no_flood_of_lines() {
    let redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    for key in [["ZADD", LEASES, "+inf", "x"], ["HSET", SESSIONS, "x", "{}"]] {
        redis.command(&key).await.unwrap();
    }
    let log = Arc::new(Mutex::new(Vec::new()));
    let writer = Arc::clone(&log);
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || Lines(Arc::clone(&writer)));
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    for _ in 0..1_000 {
        assert_eq!(presence.sessions(&ann()).await.unwrap(), []);
    }
    assert_eq!(presence.corrupt_records(), 1_000);
    let log = String::from_utf8(log.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = log
        .lines()
        .filter(|line| line.contains("skipped"))
        .collect();
    assert_eq!(lines.len(), 10, "{log}");
    assert!(lines[9].contains("corrupt=512"), "{log}");
}

/// What is logged, in memory.
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_type_is_an_error_and_changes_nothing() {
    let redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    for key in [LEASES, SESSIONS] {
        redis.command(&["FLUSHALL"]).await.unwrap();
        redis
            .command(&["SET", key, "something else"])
            .await
            .unwrap();
        let refused = presence
            .register(&[session(&ann())], LONG)
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), PresenceErrorKind::Corrupt, "{refused:?}");
        assert!(!refused.is_transient());
        assert_eq!(keys(&redis).await, [key]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_whose_names_join_to_the_same_do_not_share_keys() {
    let redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    let pairs = [
        (("a|b", "c"), ("a", "b|c")),
        (("a:b", "c"), ("a", "b:c")),
        (("", "a:b"), ("a", "b")),
        (("1", "a:b"), ("1:a", "b")),
    ];
    for ((tenant, id), (other_tenant, other_id)) in pairs {
        let here = IdentityKey::new(id).with_tenant(tenant);
        let there = IdentityKey::new(other_id).with_tenant(other_tenant);
        presence.register(&[session(&here)], LONG).await.unwrap();
        assert!(presence.is_online(&here).await.unwrap());
        assert!(!presence.is_online(&there).await.unwrap(), "{there:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_share_a_server_without_seeing_each_other() {
    let redis = Redis::start().await.unwrap();
    let shop = presence(format!("{}?namespace=shop", redis.url()));
    let game = presence(format!("{}?namespace=game", redis.url()));
    works(&shop).await;
    assert!(!game.is_online(&ann()).await.unwrap());
    let keys = keys(&redis).await;
    assert!(
        keys.iter().all(|key| key.starts_with("rt:shop:")),
        "{keys:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_sessions_of_one_or_many_identities_go_in_one_batch() {
    let redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    for identities in [1, 5_000] {
        let identity =
            |n: usize| IdentityKey::new((n % identities).to_string()).with_tenant("many");
        let infos: Vec<_> = (0..5_000).map(|n| session(&identity(n))).collect();
        let keys: Vec<_> = infos.iter().map(SessionInfo::key).collect();
        let registered = presence.register(&infos, LONG).await.unwrap();
        let order: Vec<_> = registered.iter().map(|r| r.session).collect();
        assert_eq!(order, keys.iter().map(|k| k.session).collect::<Vec<_>>());
        let found = presence.sessions(&identity(0)).await.unwrap().len();
        assert_eq!(found, 5_000 / identities);
        assert_eq!(presence.renew(&keys, LONG).await.unwrap(), []);
        presence.unregister(&keys).await.unwrap();
        assert_eq!(self::keys(&redis).await, [""; 0]);
        assert_eq!(presence.renew(&keys, LONG).await.unwrap(), keys);
    }
}

/// One cluster for all, since it takes long to start; each has a namespace of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_three_masters_keeps_the_promises() {
    let mut cluster = RedisCluster::start().await.unwrap();
    let mut namespaces = 0;
    let mut handle = || {
        namespaces += 1;
        let url = format!("{}&namespace=n{namespaces}", cluster.url());
        move || presence(url.clone())
    };
    suite::a_registered_session_is_found_at_once_by_every_node(handle()).await;
    suite::a_session_whose_lease_has_ended_is_not_found(handle()).await;
    suite::a_renewed_session_is_found_until_its_new_lease_ends(handle()).await;
    suite::what_the_store_does_not_know_is_returned_and_not_added(handle()).await;
    suite::tenants_are_kept_apart(handle()).await;
    suite::large_batches_over_many_identities_are_fine(handle()).await;
    suite::is_online_agrees_with_sessions(handle()).await;
    suite::streams_of_events_end_after_close(handle()).await;
    suite::closing_is_idempotent_and_leaves_sessions(handle()).await;
    // The identities of the last but few are spread over all nodes.
    for node in cluster.nodes() {
        assert!(number(node, &["DBSIZE"]).await > 0);
    }
}
