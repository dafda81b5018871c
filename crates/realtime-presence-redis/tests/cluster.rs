//! A Redis Cluster whose slots move, and servers that can't be used for what they are taken for.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[allow(dead_code, reason = "shared with the tests of faults")]
mod support;

#[path = "support/people.rs"]
mod people;

use std::{
    collections::HashSet,
    process::{Command, Stdio},
    time::{Duration, Instant, SystemTime},
};

use people::{connections, home, lives, people};
use realtime_core::{
    IdentityKey,
    presence::{Presence, PresenceErrorKind},
};
use realtime_presence_redis::RedisPresence;
use realtime_testkit::{
    servers::redis::{Redis, RedisCluster},
    wait::until,
};
use support::{
    LONG, ann, next_down, next_up, patient, presence, register, renew, session, unregister,
    until_up, works,
};

/// Those who live on the first node, each with a slot.
async fn of_the_first(
    presence: &RedisPresence,
    cluster: &mut RedisCluster,
) -> Vec<(IdentityKey, String)> {
    let mut own = Vec::new();
    for who in people() {
        lives(presence, &who).await;
        let (slot, node) = home(cluster, &who).await;
        if node == 0 {
            own.push((who, slot));
        }
    }
    own
}

async fn id(node: &Redis) -> String {
    node.command(&["CLUSTER", "MYID"]).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_follow_a_slot_that_is_on_its_way() {
    let mut cluster = RedisCluster::start().await.unwrap();
    let presence = presence(cluster.url());
    for who in people() {
        lives(&presence, &who).await;
    }
    let before = connections(cluster.nodes()).await;
    for who in people() {
        // Somebody who is online already, and somebody who comes.
        let stays = session(&who);
        let (all, key) = ([stays.clone()], [stays.key()]);
        register(&presence, &all, LONG).await;
        let (slot, from) = home(&mut cluster, &who).await;
        let to = (from + 1) % 3;
        let nodes = cluster.nodes();
        let (from_id, to_id) = (id(&nodes[from]).await, id(&nodes[to]).await);
        let setslot = async |node: usize, state: &str, id: &str| {
            let words = ["CLUSTER", "SETSLOT", &slot, state, id];
            nodes[node].command(&words).await.unwrap();
        };
        setslot(to, "IMPORTING", &from_id).await;
        setslot(from, "MIGRATING", &to_id).await;
        lives(&presence, &who).await;
        unregister(&presence, &key).await;
        // Now none of the keys is where it was.
        lives(&presence, &who).await;
        assert!(!presence.is_online(&who).await.unwrap());
        register(&presence, &all, LONG).await;
        for node in [to, from] {
            setslot(node, "NODE", &to_id).await;
        }
        // Who came meanwhile has come where the slot has gone.
        assert!(presence.is_online(&who).await.unwrap());
        assert_eq!(renew(&presence, &key, LONG).await, []);
        lives(&presence, &who).await;
    }
    let after = connections(cluster.nodes()).await;
    assert!(
        before.is_subset(&after),
        "a redirect has ended a connection"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_lost_while_a_cluster_is_resharded() {
    let mut cluster = RedisCluster::start().await.unwrap();
    let presence = presence(cluster.url());
    let sessions: Vec<_> = people().iter().map(session).collect();
    let keys: Vec<_> = sessions.iter().map(|session| session.key()).collect();
    register(&presence, &sessions, LONG).await;
    let nodes = cluster.nodes();
    let (from, to) = (id(&nodes[0]).await, id(&nodes[1]).await);
    let at = format!("127.0.0.1:{}", nodes[0].port());
    let mut reshard = Command::new("redis-cli");
    reshard.args(["--cluster", "reshard", &at, "--cluster-yes"]);
    reshard.args(["--cluster-from", &from, "--cluster-to", &to]);
    reshard
        .args(["--cluster-slots", "5461"])
        .stdout(Stdio::null());
    let mut reshard = reshard.spawn().unwrap();
    let mut rounds = 0;
    loop {
        assert_eq!(renew(&presence, &keys, LONG).await, []);
        for who in people() {
            assert!(presence.is_online(&who).await.unwrap());
            lives(&presence, &who).await;
        }
        rounds += 1;
        if let Some(ended) = reshard.try_wait().unwrap() {
            assert!(ended.success());
            break;
        }
    }
    assert!(rounds > 1, "it took too short to see anything");
    assert_eq!(renew(&presence, &keys, LONG).await, []);
}

/// Takes a slot from a node, which then serves nobody.
async fn set_down(node: &Redis, slot: &str) {
    node.command(&["CLUSTER", "DELSLOTS", slot]).await.unwrap();
    let info = node.command(&["CLUSTER", "INFO"]).await.unwrap();
    assert!(info.contains("cluster_state:fail"), "{info}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_wait_for_a_cluster_that_is_down_for_a_moment() {
    let mut cluster = RedisCluster::start().await.unwrap();
    let presence = patient(cluster.url());
    let own = of_the_first(&presence, &mut cluster).await;
    let mut events = presence.events();
    let before = connections(cluster.nodes()).await;
    let taken = own[0].1.clone();
    let node = &cluster.nodes()[0];
    set_down(node, &taken).await;
    // It is noticed without a connection's end.
    let cause = next_down(&mut events).await;
    assert!(cause.contains("CLUSTERDOWN"), "{cause}");
    let calls = own.iter().map(|(who, _)| lives(&presence, who));
    let calls = futures::future::join_all(calls);
    let up = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let words = ["CLUSTER", "ADDSLOTS", taken.as_str()];
        node.command(&words).await.unwrap();
    };
    futures::join!(calls, up);
    next_up(&mut events).await;
    let after = connections(cluster.nodes()).await;
    assert!(before.is_subset(&after), "a connection has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_under_way_when_a_cluster_goes_down_are_made_again() {
    let mut cluster = RedisCluster::start().await.unwrap();
    let presence = patient(cluster.url());
    let mut own = of_the_first(&presence, &mut cluster).await;
    let (who, taken) = own.pop().unwrap();
    let node = &cluster.nodes()[0];
    for _ in 0..3 {
        set_down(node, &taken).await;
        // Its owner and the others of this node, before anybody knows.
        let calls = own.iter().map(|(who, _)| presence.is_online(who));
        let calls = futures::future::join_all(calls);
        let up = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let words = ["CLUSTER", "ADDSLOTS", taken.as_str()];
            node.command(&words).await.unwrap();
        };
        let (online, answers, ()) = futures::join!(presence.is_online(&who), calls, up);
        assert!(!online.unwrap());
        for answer in answers {
            assert!(!answer.unwrap());
        }
        lives(&presence, &who).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_does_not_take_the_others_along() {
    let mut cluster = RedisCluster::start().await.unwrap();
    let presence = presence(cluster.url());
    let (mut stuck, mut others) = (Vec::new(), Vec::new());
    for who in people() {
        lives(&presence, &who).await;
        match home(&mut cluster, &who).await.1 {
            0 => stuck.push(who),
            _ => others.push(who),
        }
    }
    let sessions: Vec<_> = people().iter().map(session).collect();
    let keys: Vec<_> = sessions.iter().map(|session| session.key()).collect();
    register(&presence, &sessions, LONG).await;
    cluster.nodes()[0].stop().unwrap();
    // Those on the server that hangs fail, and the others are renewed.
    let short = Duration::from_secs(10);
    let renewed = presence.renew(&keys, Some(short)).await.unwrap();
    let failed: HashSet<_> = renewed.failed.iter().map(|f| &f.key.identity).collect();
    assert_eq!(failed, stuck.iter().collect());
    assert!(renewed.failed.iter().all(|f| f.error.is_transient()));
    assert_eq!(renewed.unknown, []);
    let everybody = people();
    let online = presence.online(&everybody).await.unwrap();
    assert_eq!(online.online, others.iter().cloned().collect());
    assert_eq!(online.failed.len(), stuck.len());
    let flood = (0..3_000).map(|n: usize| presence.is_online(&stuck[n % stuck.len()]));
    let flood = futures::future::join_all(flood);
    let calm = async {
        for who in &others {
            let started = Instant::now();
            let found = presence.sessions(who).await.unwrap();
            assert!(started.elapsed() < Duration::from_millis(900));
            let ends = found[0].expires_at.unwrap();
            let left = ends.duration_since(SystemTime::now()).unwrap();
            assert!(left < short, "it was not renewed");
        }
    };
    let (failed, ()) = futures::join!(flood, calm);
    assert!(failed.iter().all(Result::is_err));
    cluster.nodes()[0].resume().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_is_gone_is_the_trouble_of_those_whom_it_has() {
    let options = Redis::options().line("cluster-require-full-coverage no");
    let mut cluster = RedisCluster::with(options).await.unwrap();
    let presence = presence(cluster.url());
    let mut events = presence.events();
    let (mut lost, mut others) = (HashSet::new(), HashSet::new());
    for who in people() {
        match home(&mut cluster, &who).await.1 {
            1 => lost.insert(who),
            _ => others.insert(who),
        };
    }
    let lease = Duration::from_secs(5);
    let sessions: Vec<_> = people().iter().map(session).collect();
    let keys: Vec<_> = sessions.iter().map(|session| session.key()).collect();
    register(&presence, &sessions, Some(lease)).await;
    let gone = cluster.nodes()[1].port();
    cluster.nodes()[1].kill().unwrap();
    let killed = Instant::now();
    let cause = next_down(&mut events).await;
    assert!(cause.contains(&format!("127.0.0.1:{gone}: ")), "{cause}");
    // For more than two leases.
    while killed.elapsed() < lease * 2 + lease / 2 {
        let renewed = presence.renew(&keys, Some(lease)).await.unwrap();
        let failed: HashSet<_> = renewed.failed.iter().map(|f| &f.key.identity).collect();
        assert_eq!(failed, lost.iter().collect());
        assert!(renewed.failed.iter().all(|f| f.error.is_transient()));
        assert_eq!(renewed.unknown, []);
        let online = presence.online(&people()).await.unwrap();
        assert_eq!(online.online, others);
        let started = Instant::now();
        for who in &others {
            lives(&presence, who).await;
        }
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "they are held up"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    cluster.nodes()[1].restart().await.unwrap();
    next_up(&mut events).await;
    let of_the_lost = |key: &&realtime_core::presence::SessionKey| lost.contains(&key.identity);
    let unknown: HashSet<_> = renew(&presence, &keys, Some(lease))
        .await
        .into_iter()
        .collect();
    assert_eq!(unknown, keys.iter().filter(of_the_lost).cloned().collect());
    register(&presence, &sessions, Some(lease)).await;
    assert_eq!(presence.online(&people()).await.unwrap().online.len(), 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_refused_do_not_take_the_others_along() {
    let few = Redis::options().line("maxclients 2").start().await.unwrap();
    let presence = presence(few.url());
    let mut events = presence.events();
    let cause = next_down(&mut events).await;
    assert!(cause.contains("max number of clients"), "{cause}");
    for who in people() {
        until("a connection is open", async || {
            presence.is_online(&who).await.is_ok()
        })
        .await;
    }
    for who in people() {
        lives(&presence, &who).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_a_cluster_is_not_taken_for_a_server() {
    let mut cluster = RedisCluster::start().await.unwrap();
    let presence = presence(cluster.nodes()[0].url());
    for who in people() {
        let error = presence.is_online(&who).await.unwrap_err();
        assert_eq!(error.kind(), PresenceErrorKind::Config, "{error:?}");
        assert!(error.to_string().contains("use redis-cluster:"), "{error}");
    }
}

/// Each of these lacks something else.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_not_do_everything_is_a_fault_of_the_configuration() {
    for rules in [
        "~rt:* +zcard +ping +hello +set +info",
        "~rt:* +@all -@scripting",
        "~rt:* +@all -zadd",
        "~rt:* +@all -del",
        "~rt:* +@all -persist",
        "~rt:* +@all -hdel",
        "~rt:* +@all -hget",
        "~rt:* +@all -zcard",
        "~other:* +@all",
        "%R~rt:* +@all",
    ] {
        let redis = Redis::options().user("rt", "pw", rules).start().await;
        let redis = redis.unwrap();
        let presence = presence(redis.url());
        let mut events = presence.events();
        let answer = presence.is_online(&ann()).await;
        let kind = answer.as_ref().err().map(|error| error.kind());
        assert_eq!(kind, Some(PresenceErrorKind::Config), "{rules}: {answer:?}");
        next_down(&mut events).await;
        let enough = ["ACL", "SETUSER", "rt", "~rt:*", "+@all", "-@dangerous"];
        redis.command(&enough).await.unwrap();
        next_up(&mut events).await;
        works(&presence).await;
        // The same while it is connected.
        let too_few = ["ACL", "SETUSER", "rt", "-zadd"];
        redis.command(&too_few).await.unwrap();
        next_down(&mut events).await;
        until("calls say why", async || {
            let error = presence.is_online(&ann()).await.err();
            error.is_some_and(|error| error.kind() == PresenceErrorKind::Config)
        })
        .await;
    }
}

/// All nodes of a cluster of gateways probe a master under the same keys, whose last session none of
/// them removes.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_a_cluster_who_may_not_do_everything_is_one_too() {
    for rules in ["~rt:* +@all -del", "~rt:* +@all -persist"] {
        let options = Redis::options().user("rt", "pw", rules);
        let mut cluster = RedisCluster::with(options).await.unwrap();
        let (one, other) = (patient(cluster.url()), patient(cluster.url()));
        for presence in [&one, &other] {
            let mut events = presence.events();
            for who in people() {
                let answer = presence.is_online(&who).await;
                let kind = answer.as_ref().err().map(|error| error.kind());
                assert_eq!(kind, Some(PresenceErrorKind::Config), "{rules}: {answer:?}");
            }
            next_down(&mut events).await;
        }
        // Each of the masters counts.
        let mut events = one.events();
        for (n, node) in cluster.nodes().iter().enumerate() {
            let enough = ["ACL", "SETUSER", "rt", "+@all"];
            node.command(&enough).await.unwrap();
            if n < 2 {
                let up = tokio::time::timeout(Duration::from_secs(3), until_up(&mut events));
                assert!(up.await.is_err(), "{rules}: one of the masters refuses");
            }
        }
        until_up(&mut events).await;
        for who in people() {
            lives(&one, &who).await;
        }
    }
}

#[cfg(feature = "rustls")]
mod over_tls {
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use realtime_presence_redis::RedisConfig;

    use super::*;

    fn certificate(name: &str) -> (String, String) {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        (cert.pem(), signing_key.serialize_pem())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn servers_that_are_known_by_addresses_may_have_names() {
        let (pem, key) = certificate("redis.example");
        let cluster = RedisCluster::with(Redis::options().tls(&pem, &key)).await;
        let cluster = cluster.unwrap();
        let config = || RedisConfig::builder(cluster.url()).root_certificates(&pem);
        let without = RedisPresence::new(config().build().unwrap());
        let error = without.is_online(&ann()).await.unwrap_err();
        assert!(error.to_string().contains("tls_server_name"), "{error:?}");

        let named = config().tls_server_name("redis.example").build();
        let named = RedisPresence::new(named.unwrap());
        for who in people() {
            lives(&named, &who).await;
        }
        let other = config().tls_server_name("other.example").build();
        let other = RedisPresence::new(other.unwrap());
        let error = other.is_online(&ann()).await.unwrap_err();
        assert_eq!(error.kind(), PresenceErrorKind::Config, "{error:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_url_can_say_the_name() {
        let (pem, key) = certificate("redis.example");
        let redis = Redis::options().tls(&pem, &key).start().await.unwrap();
        let url = format!("{}?tlsServerName=redis.example", redis.url());
        let config = RedisConfig::builder(url).root_certificates(&pem).build();
        works(&RedisPresence::new(config.unwrap())).await;
        assert!(RedisConfig::from_url("redis://h?tlsServerName=h").is_err());
        assert!(RedisConfig::from_url("rediss://h?tlsServerName=a%20b").is_err());
    }
}
