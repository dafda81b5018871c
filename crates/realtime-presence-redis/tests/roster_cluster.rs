//! Rosters in a Redis Cluster: the conformance suite, slots that move, and a master that is away.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[allow(dead_code, reason = "shared with the tests of faults")]
mod support;

use std::{
    collections::HashSet,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use realtime_core::{
    IdentityKey, Incarnation, NodeId,
    broker::NodeInfo,
    presence::{AnyRoster, Change, ChangeKind, Group, Member, Presence, Roster},
};
use realtime_testkit::servers::redis::RedisCluster;
use support::{LONG, SOON, patient, presence};

const NO_GRACE: Duration = Duration::from_millis(1);

realtime_testkit::roster_suite!(
    a_cluster_of_three_masters_keeps_the_promises,
    RedisCluster::start().await.unwrap(),
    |cluster: &RedisCluster| {
        let url = format!("{}&namespace=n{:x}", cluster.url(), fastrand::u64(..));
        move || patient(url.clone())
    }
);

fn node() -> NodeInfo {
    NodeInfo::new(NodeId::random(), Incarnation::random())
}

fn room(n: usize) -> Group {
    Group::Room(format!("r{n}").parse().unwrap())
}

/// One in each of so many rooms, in all parts of the cluster.
fn members(rooms: usize, name: &str) -> Vec<Member> {
    let of = |n| Member::new(room(n), IdentityKey::new(name));
    (0..rooms).map(of).collect()
}

async fn enter(roster: &AnyRoster, node: &NodeInfo, members: &[Member]) -> Vec<Change> {
    let entered = roster.enter(node, members, LONG).await.unwrap();
    assert!(entered.failed.is_empty(), "{:?}", entered.failed.first());
    entered.changes
}

/// Renews, and nothing fails or is unknown.
async fn renewed(roster: &AnyRoster, node: &NodeInfo, groups: &[(Group, u64)]) {
    let renewed = roster.renew(node, groups, LONG).await.unwrap();
    assert!(renewed.failed.is_empty(), "{:?}", renewed.failed.first());
    assert_eq!(renewed.unknown, []);
}

/// The slot in which a room is, by the keys that are there.
async fn slot_of(cluster: &mut RedisCluster, room: usize) -> (String, usize) {
    for (n, node) in cluster.nodes().iter().enumerate() {
        let pattern = format!("rt:realtime:roster:*:here:r:r{room}");
        let key = node.command(&["KEYS", &pattern]).await.unwrap();
        if !key.is_empty() {
            let slot = node.command(&["CLUSTER", "KEYSLOT", &key]).await.unwrap();
            return (slot, n);
        }
    }
    panic!("room {room} is nowhere");
}

/// While a shard lies on two servers, calls about it wait, and nothing of it begins anew. Whoever is
/// in it still is afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn calls_wait_for_a_shard_that_is_on_its_way() {
    let mut cluster = RedisCluster::start().await.unwrap();
    let presence = presence(cluster.url());
    let (roster, node) = (presence.roster().unwrap(), node());
    let ann = members(40, "ann");
    let patient = patient(cluster.url()).roster().unwrap();
    let came = enter(&patient, &node, &ann).await;
    patient.confirm(&came).await.unwrap();
    let (slot, from) = slot_of(&mut cluster, 0).await;
    let to = (from + 1) % 3;
    let nodes = cluster.nodes();
    let from_id = nodes[from].command(&["CLUSTER", "MYID"]).await.unwrap();
    let to_id = nodes[to].command(&["CLUSTER", "MYID"]).await.unwrap();
    let setslot = async |node: usize, state: &str, id: &str| {
        let words = ["CLUSTER", "SETSLOT", &slot, state, id];
        nodes[node].command(&words).await.unwrap();
    };
    setslot(to, "IMPORTING", &from_id).await;
    setslot(from, "MIGRATING", &to_id).await;
    let here = &ann[..1];
    let port = nodes[to].port().to_string();
    let keys = nodes[from]
        .command(&["CLUSTER", "GETKEYSINSLOT", &slot, "1000"])
        .await;
    let keys = keys.unwrap();
    let keys: Vec<_> = keys.lines().collect();
    assert!(keys.len() > 5, "{keys:?}");
    let mut waited = 0;
    // Before, in the middle of it, and when all of them have gone.
    for (n, key) in keys.iter().enumerate() {
        if n % 3 == 0 {
            let start = Instant::now();
            let error = roster.enter(&node, here, LONG).await.unwrap_err();
            assert!(error.is_transient() && start.elapsed() < SOON, "{error:?}");
            waited += 1;
        }
        let words = ["MIGRATE", "127.0.0.1", &port, key, "0", "5000"];
        assert_eq!(nodes[from].command(&words).await.unwrap(), "OK", "{key}");
    }
    assert!(waited > 1);
    let others = roster.members(&room(1), None, 1).await.unwrap();
    assert_eq!(others.count, 1, "another shard doesn't wait");
    // One that comes now is answered once the slot has arrived.
    let arrive = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        for node in [to, from] {
            setslot(node, "NODE", &to_id).await;
        }
    };
    let (entered, ()) = futures::join!(roster.enter(&node, here, LONG), arrive);
    assert_eq!(entered.unwrap().changes, [], "who was there still is");
    let counts: Vec<_> = (0..40).map(|n| (room(n), 1)).collect();
    renewed(&roster, &node, &counts).await;
    let left = roster.leave(&node, &ann, NO_GRACE).await.unwrap();
    assert!(left.failed.is_empty());
    assert_eq!(until_told(&roster, ann.len()).await.len(), ann.len());
}

/// So many changes, each of which is told once, unless it isn't known whether that was confirmed.
async fn until_told(roster: &AnyRoster, count: usize) -> HashSet<Member> {
    let (mut told, start) = (HashSet::new(), Instant::now());
    let mut unsure = HashSet::new();
    while told.len() < count {
        assert!(start.elapsed() < Duration::from_secs(20), "{}", told.len());
        let changes = roster.changes(1_000).await.unwrap();
        if let Err(error) = roster.confirm(&changes).await {
            // On a busy machine a call may take longer than it has.
            assert!(error.is_transient(), "{error:?}");
            unsure.extend(changes.iter().map(|change| change.member.clone()));
        }
        for change in changes {
            assert_eq!(change.kind, ChangeKind::Left);
            let is_again = unsure.contains(&change.member);
            assert!(told.insert(change.member) || is_again);
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_lost_while_a_cluster_is_resharded() {
    let mut cluster = RedisCluster::start().await.unwrap();
    let presence = patient(cluster.url());
    let (roster, node) = (presence.roster().unwrap(), node());
    let ann = members(200, "ann");
    let came = enter(&roster, &node, &ann).await;
    roster.confirm(&came).await.unwrap();
    let counts: Vec<_> = (0..200).map(|n| (room(n), 1)).collect();
    let nodes = cluster.nodes();
    let from = nodes[0].command(&["CLUSTER", "MYID"]).await.unwrap();
    let to = nodes[1].command(&["CLUSTER", "MYID"]).await.unwrap();
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
        renewed(&roster, &node, &counts).await;
        assert_eq!(enter(&roster, &node, &ann).await, []);
        let bob = members(200, "bob");
        let came = enter(&roster, &node, &bob).await;
        assert_eq!(came.len(), bob.len());
        roster.confirm(&came).await.unwrap();
        assert!(
            roster
                .leave(&node, &bob, NO_GRACE)
                .await
                .unwrap()
                .failed
                .is_empty()
        );
        assert_eq!(
            until_told(&roster, bob.len()).await,
            bob.into_iter().collect()
        );
        rounds += 1;
        if let Some(ended) = reshard.try_wait().unwrap() {
            assert!(ended.success());
            break;
        }
    }
    assert!(rounds > 1, "it took too short to see anything");
    renewed(&roster, &node, &counts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_hangs_is_the_trouble_of_the_groups_that_it_has() {
    let mut cluster = RedisCluster::start().await.unwrap();
    let presence = presence(cluster.url());
    let (roster, node) = (presence.roster().unwrap(), node());
    let ann = members(60, "ann");
    let came = enter(&roster, &node, &ann).await;
    roster.confirm(&came).await.unwrap();
    let mut stuck = HashSet::new();
    for n in 0..60 {
        if slot_of(&mut cluster, n).await.1 == 0 {
            stuck.insert(room(n));
        }
    }
    assert!(!stuck.is_empty() && stuck.len() < 60);
    cluster.nodes()[0].stop().unwrap();
    let start = Instant::now();
    let counts: Vec<_> = (0..60).map(|n| (room(n), 1)).collect();
    let renewed = roster.renew(&node, &counts, LONG).await.unwrap();
    let failed: HashSet<_> = renewed.failed.iter().map(|f| f.key.clone()).collect();
    assert_eq!((failed, renewed.unknown), (stuck.clone(), vec![]));
    assert!(renewed.failed.iter().all(|f| f.error.is_transient()));
    let left = roster.leave(&node, &ann, NO_GRACE).await.unwrap();
    let failed: HashSet<_> = left.failed.iter().map(|f| f.key.group.clone()).collect();
    assert_eq!(failed, stuck);
    assert!(start.elapsed() < 2 * SOON);
    let told = until_told(&roster, 60 - stuck.len()).await;
    assert!(told.iter().all(|member| !stuck.contains(&member.group)));
    cluster.nodes()[0].resume().unwrap();
}
