//! A Redis Cluster whose slot moves and whose servers fail.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[allow(dead_code, reason = "shared with the tests of faults")]
mod support;

use std::time::{Duration, Instant};

use realtime_core::{
    Identity,
    revocation::{Revocation, RevocationErrorKind, Revocations},
};
use realtime_testkit::servers::redis::{Redis, RedisCluster};
use support::{is_revoked, revoke, signed_out, store, token, works, works_again};

const PREFIX: &str = "rt:realtime:revocation:{revoked-realtime}:";

async fn id(node: &Redis) -> String {
    node.command(&["CLUSTER", "MYID"]).await.unwrap()
}

/// The slot of all keys, and which node has it.
async fn home(cluster: &mut RedisCluster) -> (String, usize) {
    let log = format!("{PREFIX}log");
    let nodes = cluster.nodes();
    let slot = nodes[0].command(&["CLUSTER", "KEYSLOT", &log]).await;
    for (n, node) in nodes.iter().enumerate() {
        let count = node.command(&["EXISTS", &log]).await;
        if count.is_ok_and(|count| count == "1") {
            return (slot.unwrap(), n);
        }
    }
    panic!("nobody has the slot");
}

/// Most questions are about keys that aren't there, and they are answered all the while.
#[tokio::test(flavor = "multi_thread")]
async fn everything_works_while_the_slot_is_on_its_way() {
    let mut cluster = RedisCluster::start().await.unwrap();
    let store = store(cluster.url());
    let lives = async |round: u32| {
        let (old, new) = (format!("old-{}", round - 1), format!("old-{round}"));
        assert!(is_revoked(&store, &Identity::new(old)).await);
        assert!(!is_revoked(&store, &Identity::new(&new)).await);
        let after = store.since(0).await.unwrap().next;
        let revocation = signed_out(&new);
        revoke(&store, &revocation).await;
        assert!(is_revoked(&store, &Identity::new(&new)).await);
        // And one that is there is changed.
        revoke(&store, &signed_out("again")).await;
        let told = store.since(after).await.unwrap().revocations;
        assert!(told.len() == 2 && told[0] == revocation, "{told:?}");
        let all = store.since(0).await.unwrap().revocations;
        assert_eq!(all.len(), round as usize + 2);
        assert!(!is_revoked(&store, &token("x").with_tenant("none")).await);
    };
    revoke(&store, &signed_out("old-0")).await;
    lives(1).await;
    let (slot, from) = home(&mut cluster).await;
    let to = (from + 1) % 3;
    let nodes = cluster.nodes();
    let (from_id, to_id) = (id(&nodes[from]).await, id(&nodes[to]).await);
    let command = async |node: usize, words: &[&str]| nodes[node].command(words).await.unwrap();
    command(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]).await;
    command(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]).await;
    // What is there is where it was, and what comes is where it will be.
    lives(2).await;
    let port = nodes[to].port().to_string();
    for (n, name) in ["identity:0::old-0", "log", "identity:0::again"]
        .iter()
        .enumerate()
    {
        let key = format!("{PREFIX}{name}");
        command(from, &["MIGRATE", "127.0.0.1", &port, &key, "0", "5000"]).await;
        lives(u32::try_from(n).unwrap() + 3).await;
    }
    // The others follow.
    let keys = command(from, &["CLUSTER", "GETKEYSINSLOT", &slot, "100"]).await;
    for key in keys.lines().filter(|key| !key.is_empty()) {
        command(from, &["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]).await;
    }
    for node in [to, from] {
        command(node, &["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]).await;
    }
    lives(6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_takes_the_place_of_a_master_that_is_gone() {
    let mut cluster = RedisCluster::start().await.unwrap();
    let store = store(cluster.url());
    revoke(&store, &Revocation::token("7")).await;
    let (_, home) = home(&mut cluster).await;
    cluster.add_replica(home).await.unwrap();
    cluster.nodes()[home].kill().unwrap();
    // The cluster takes its time: it waits for the master first.
    let deadline = Instant::now() + Duration::from_secs(30);
    while store.is_revoked(&token("7")).await.is_err() {
        assert!(Instant::now() < deadline, "no replica took its place");
    }
    assert!(is_revoked(&store, &token("7")).await);
    works_again(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_without_the_slot_is_not_missed() {
    let mut cluster = RedisCluster::start().await.unwrap();
    let store = store(cluster.url());
    works(&store).await;
    let (_, home) = home(&mut cluster).await;
    cluster.nodes()[(home + 1) % 3].stop().unwrap();
    works(&store).await;
    cluster.nodes()[(home + 1) % 3].resume().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_a_cluster_is_not_taken_for_a_server() {
    let mut cluster = RedisCluster::start().await.unwrap();
    for node in cluster.nodes() {
        let store = store(node.url());
        let error = store.is_revoked(&token("7")).await.unwrap_err();
        assert_eq!(
            error.kind(),
            RevocationErrorKind::InvalidOption,
            "{error:?}"
        );
        assert!(error.to_string().contains("use redis-cluster:"), "{error}");
    }
}
