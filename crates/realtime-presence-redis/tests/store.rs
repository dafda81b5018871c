//! What stands in Redis, and what else may stand there.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[allow(dead_code, reason = "shared with the tests of faults")]
mod support;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use realtime_core::{
    IdentityKey, SessionId,
    presence::{Presence, PresenceErrorKind, SessionInfo},
};
use realtime_presence_redis::{RedisConfig, RedisPresence};
use realtime_testkit::{
    conformance::presence as suite,
    servers::redis::{Redis, RedisCluster},
    wait::until,
};
use support::{LONG, ann, presence, register, renew, session, unregister, works};

const LEASES: &str = "rt:realtime:presence:{4:acme:ann}:leases";
const NODES: &str = "rt:realtime:presence:{4:acme:ann}:nodes";
const SESSIONS: &str = "rt:realtime:presence:{4:acme:ann}:sessions";
/// All that is stored for an identity, in the order of the alphabet.
const KEYS: [&str; 3] = [LEASES, NODES, SESSIONS];

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
async fn all_keys_expire_with_the_longest_lease() {
    let redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    let expire = async || {
        let mut expire = Vec::new();
        for key in KEYS {
            expire.push(number(&redis, &["PEXPIRETIME", key]).await);
        }
        expire
    };
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
        support::register(&presence, std::slice::from_ref(info), ttl).await;
        let found = presence.sessions(&ann()).await.unwrap();
        let found = found.iter().find(|found| found.key() == info.key());
        found.unwrap().expires_at
    };
    let first = ends(register(&long, Some(300)).await);
    let second = ends(register(&short, Some(100)).await);
    assert_eq!(keys(&redis).await, KEYS);
    assert_eq!(expire().await, [first; 3]);
    assert_eq!(register(&forever, None).await, None);
    assert_eq!(expire().await, [-1; 3]);
    unregister(&presence, &[forever.key(), long.key()]).await;
    assert_eq!(expire().await, [second; 3]);
    renew(&presence, &[short.key()], Some(Duration::from_secs(50))).await;
    assert!(expire().await.iter().all(|ends| *ends < second));
    unregister(&presence, &[short.key()]).await;
    assert_eq!(keys(&redis).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_when_the_leases_have_ended() {
    let redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    let infos: Vec<_> = (0..300).map(|_| session(&ann())).collect();
    register(&presence, &infos, Some(Duration::from_millis(300))).await;
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
    register(&presence, &infos, Some(Duration::from_millis(500))).await;
    let stays = session(&ann());
    register(&presence, std::slice::from_ref(&stays), LONG).await;
    let live = async || presence.sessions(&ann()).await.unwrap().len();
    until("the short leases have ended", async || live().await == 1).await;
    for left in [151, 51, 1, 1] {
        assert_eq!(renew(&presence, &[stays.key()], LONG).await, []);
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
    register(&presence, std::slice::from_ref(&info), LONG).await;
    let score: i64 = number(&redis, &["ZSCORE", LEASES, &info.session_id.to_string()]).await;
    let found = presence.sessions(&ann()).await.unwrap();
    let ends = found[0].expires_at.unwrap();
    let ends = ends.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(i64::try_from(ends.as_millis()).unwrap(), score);
    assert_eq!(found[0].connected_at, info.connected_at);
    // A lease that ended by the server's clock, while its keys are still there.
    let other = session(&ann());
    register(&presence, std::slice::from_ref(&other), LONG).await;
    redis
        .command(&["ZADD", LEASES, "1000", &info.session_id.to_string()])
        .await
        .unwrap();
    assert_eq!(presence.sessions(&ann()).await.unwrap().len(), 1);
    assert_eq!(renew(&presence, &[info.key()], LONG).await, [info.key()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_wrote_is_skipped_and_counted() {
    let redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    let (info, other) = (
        session(&ann()),
        session(&IdentityKey::new("bob").with_tenant("acme")),
    );
    register(&presence, &[info.clone(), other.clone()], LONG).await;
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
    assert_eq!(renew(&presence, &[info.key()], LONG).await, []);
    unregister(&presence, &[info.key()]).await;
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
async fn a_key_of_another_type_is_a_failure_of_its_own_and_is_left_alone() {
    let redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    for key in KEYS {
        redis.command(&["FLUSHALL"]).await.unwrap();
        redis
            .command(&["SET", key, "something else"])
            .await
            .unwrap();
        let registered = presence.register(&[session(&ann())], LONG).await.unwrap();
        let refused = &registered.failed[0].error;
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
        register(&presence, &[session(&here)], LONG).await;
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
        register(&presence, &infos, LONG).await;
        let found = presence.sessions(&identity(0)).await.unwrap().len();
        assert_eq!(found, 5_000 / identities);
        assert_eq!(renew(&presence, &keys, LONG).await, []);
        unregister(&presence, &keys).await;
        assert_eq!(self::keys(&redis).await, [""; 0]);
        let unknown: HashSet<_> = renew(&presence, &keys, LONG).await.into_iter().collect();
        assert_eq!(unknown, keys.into_iter().collect());
    }
}

/// A send asks for the nodes alone, however many sessions there are.
#[tokio::test(flavor = "multi_thread")]
async fn the_nodes_of_fifty_thousand_sessions_cost_what_three_nodes_cost() {
    const SESSIONS_OF_ONE: usize = 50_000;
    let redis = Redis::start().await.unwrap();
    // A batch of so many commands takes its time in a test.
    let config = RedisConfig::builder(redis.url()).command_timeout(Duration::from_secs(60));
    let presence = RedisPresence::new(config.build().unwrap());
    let nodes: Vec<_> = (0..3).map(|_| session(&ann()).node()).collect();
    let one = |n: usize| SessionInfo::new(SessionId::random(), &ann(), nodes[n % 3].clone());
    let infos: Vec<_> = (0..SESSIONS_OF_ONE).map(one).collect();
    for infos in infos.chunks(5_000) {
        register(&presence, infos, LONG).await;
    }
    let stat = async |command: &str, what: &str| -> u64 {
        let stats = redis.command(&["INFO", "commandstats"]).await.unwrap();
        let line = format!("cmdstat_{command}:");
        let line = stats
            .lines()
            .find_map(|l| l.strip_prefix(&line))
            .unwrap_or_default();
        let number = line.split(',').find_map(|part| part.strip_prefix(what));
        number.and_then(|n| n.parse().ok()).unwrap_or_default()
    };
    let of_scripts = async |what: &str| stat("evalsha", what).await + stat("eval", what).await;
    let busy = async || of_scripts("usec=").await;
    redis.command(&["CONFIG", "RESETSTAT"]).await.unwrap();
    let found = presence.sessions(&ann()).await.unwrap();
    let found: HashSet<_> = found.iter().map(|info| info.session_id).collect();
    assert_eq!(found, infos.iter().map(|info| info.session_id).collect());
    let all = busy().await;
    // In one call it was 200 ms, and everybody else waited for it.
    let pages = of_scripts("calls=").await;
    assert!(pages >= 100, "in {pages} pages");
    redis.command(&["CONFIG", "RESETSTAT"]).await.unwrap();
    const TIMES: u64 = 100;
    for _ in 0..TIMES {
        let found = presence.nodes(&ann()).await.unwrap();
        assert_eq!(found.iter().map(|at| at.sessions).sum::<u64>(), 50_000);
        assert_eq!(found.len(), 3);
    }
    let of_nodes = busy().await / TIMES;
    println!("Redis was busy for {all} us with all sessions, for {of_nodes} us with their nodes");
    assert!(
        of_nodes < 2_000 && of_nodes * 50 < all,
        "{of_nodes} us and {all} us"
    );
}

/// They are read in pages, between which leases are renewed, and sessions come and go.
#[tokio::test(flavor = "multi_thread")]
async fn who_stays_is_found_whatever_happens_to_the_others_meanwhile() {
    for ttl in [LONG, None] {
        let redis = Redis::start().await.unwrap();
        let config = RedisConfig::builder(redis.url()).command_timeout(Duration::from_secs(20));
        let presence = RedisPresence::new(config.build().unwrap());
        let stay: Vec<_> = (0..4_000).map(|_| session(&ann())).collect();
        let go: Vec<_> = (0..1_000).map(|_| session(&ann())).collect();
        register(&presence, &stay, ttl).await;
        register(&presence, &go, ttl).await;
        let keys: Vec<_> = stay.iter().map(SessionInfo::key).collect();
        let gone: Vec<_> = go.iter().map(SessionInfo::key).collect();
        let mut reads = 0;
        let others = async {
            for (n, keys) in keys.chunks(100).cycle().enumerate().take(200) {
                assert_eq!(renew(&presence, keys, ttl).await, []);
                if let Some(gone) = gone.chunks(10).nth(n) {
                    unregister(&presence, gone).await;
                }
            }
        };
        let mut others = std::pin::pin!(others);
        let ann = ann();
        loop {
            let found = tokio::select! {
                () = &mut others => break,
                found = presence.sessions(&ann) => found.unwrap(),
            };
            let found: HashSet<_> = found.iter().map(SessionInfo::key).collect();
            assert!(
                keys.iter().all(|key| found.contains(key)),
                "{}",
                found.len()
            );
            reads += 1;
        }
        assert!(reads > 2, "{reads}");
        let left = presence.sessions(&ann).await.unwrap();
        assert_eq!(left.len(), stay.len());
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
    suite::online_answers_for_many_identities(handle()).await;
    suite::every_node_that_holds_a_session_is_named_with_its_count(handle()).await;
    suite::a_node_whose_leases_have_ended_is_not_named(handle()).await;
    suite::streams_of_events_end_after_close(handle()).await;
    suite::closing_is_idempotent_and_leaves_sessions(handle()).await;
    // The identities of the last but few are spread over all nodes.
    for node in cluster.nodes() {
        assert!(number(node, &["DBSIZE"]).await > 0);
    }
}
