//! A Cluster whose masters come and go, and whose slots move.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

#[allow(dead_code, reason = "shared by all tests of faults")]
mod support;

use realtime_core::NodeId;
use realtime_core::broker::{Broker, BrokerErrorKind, Join};
use realtime_testkit::servers::{Redis, RedisCluster};
use support::{Member, config, node};

/// Which node has the slot of these tests' channels, and the slot.
async fn home(cluster: &mut RedisCluster) -> (usize, String) {
    let nodes = cluster.nodes();
    let slot = nodes[0]
        .command(&["CLUSTER", "KEYSLOT", "faults"])
        .await
        .unwrap();
    let number: u32 = slot.trim().parse().unwrap();
    for (n, node) in nodes.iter().enumerate() {
        let all = node.command(&["CLUSTER", "NODES"]).await.unwrap();
        let own = all.lines().find(|line| line.contains("myself")).unwrap();
        let has = |range: &str| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            (first.parse().unwrap()..=last.parse().unwrap()).contains(&number)
        };
        if own.split(' ').skip(8).any(has) {
            return (n, slot.trim().to_owned());
        }
    }
    panic!("nobody has slot {slot}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_moves_takes_the_channels_along() {
    let mut cluster = RedisCluster::start().await.unwrap();
    let mut one = Member::join(&cluster.url()).await;
    let mut other = Member::join(&cluster.url()).await;
    one.talk(&mut other).await;
    for _ in 0..2 {
        let (from, slot) = home(&mut cluster).await;
        let to = (from + 1) % 3;
        let nodes = cluster.nodes();
        let id = nodes[to].command(&["CLUSTER", "MYID"]).await.unwrap();
        let before = nodes[from].command(&["CLUSTER", "MYID"]).await.unwrap();
        // One that imports it takes a later epoch with it, which settles whose it is.
        let importing = ["CLUSTER", "SETSLOT", &slot, "IMPORTING", before.trim()];
        nodes[to].command(&importing).await.unwrap();
        let migrating = ["CLUSTER", "SETSLOT", &slot, "MIGRATING", id.trim()];
        nodes[from].command(&migrating).await.unwrap();
        for node in [to, from] {
            let words = ["CLUSTER", "SETSLOT", &slot, "NODE", id.trim()];
            nodes[node].command(&words).await.unwrap();
        }
        // All masters have to hear of it before it is settled.
        let up = |event: &_| *event == realtime_core::broker::BrokerEvent::Up;
        let long = std::time::Duration::from_secs(20);
        one.until_down().await;
        one.until_event("the link to be up", long, up).await;
        other.until_down().await;
        other.until_event("the link to be up", long, up).await;
        one.talk(&mut other).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_is_killed_is_an_outage_until_it_is_back() {
    let mut cluster = RedisCluster::start().await.unwrap();
    let mut one = Member::join(&cluster.url()).await;
    let mut other = Member::join(&cluster.url()).await;
    one.talk(&mut other).await;
    let (home, _) = home(&mut cluster).await;
    cluster.nodes()[home].kill().unwrap();
    one.until_down().await;
    other.until_down().await;
    // What publishes may not have noticed yet; what it says then may be lost.
    let lost = one.say("lost").await.unwrap_err();
    let transient = [BrokerErrorKind::Unavailable, BrokerErrorKind::Unknown];
    assert!(transient.contains(&lost), "{lost:?}");
    cluster.nodes()[home].restart().await.unwrap();
    // The cluster takes its time, too.
    let up = |event: &_| *event == realtime_core::broker::BrokerEvent::Up;
    let long = std::time::Duration::from_secs(20);
    one.until_event("the link to be up", long, up).await;
    other.until_event("the link to be up", long, up).await;
    one.talk(&mut other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_takes_a_masters_place_is_found() {
    let mut cluster = RedisCluster::start().await.unwrap();
    let (home, _) = home(&mut cluster).await;
    cluster.add_replica(home).await.unwrap();
    let mut one = Member::join(&cluster.url()).await;
    let mut other = Member::join(&cluster.url()).await;
    one.talk(&mut other).await;
    cluster.nodes()[home].kill().unwrap();
    one.until_down().await;
    other.until_down().await;
    // The cluster takes its time: it waits for the master first.
    let up = |event: &_| *event == realtime_core::broker::BrokerEvent::Up;
    let long = std::time::Duration::from_secs(20);
    one.until_event("the link to be up", long, up).await;
    other.until_event("the link to be up", long, up).await;
    one.talk(&mut other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_master_that_is_gone_is_no_outage() {
    let options = Redis::options().line("cluster-require-full-coverage no");
    let mut cluster = RedisCluster::with(options).await.unwrap();
    let (home, _) = home(&mut cluster).await;
    let mut one = Member::join(&cluster.url()).await;
    let mut other = Member::join(&cluster.url()).await;
    one.talk(&mut other).await;
    cluster.nodes()[(home + 1) % 3].kill().unwrap();
    for _ in 0..20 {
        one.talk(&mut other).await;
    }
    // Those who come later ask one that is there.
    let mut late = Member::join(&cluster.url()).await;
    one.talk(&mut late).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_a_cluster_is_not_taken_for_a_server() {
    let mut cluster = RedisCluster::start().await.unwrap();
    let broker = realtime_broker_redis::RedisBroker::new(config(&cluster.nodes()[0].url()));
    let joined = broker.subscribe(Join::new(node(&NodeId::random()))).await;
    let error = joined.unwrap_err();
    assert_eq!(error.kind(), BrokerErrorKind::Config, "{error:?}");
    assert!(error.to_string().contains("use redis-cluster:"), "{error}");
}
