//! A Redis Cluster whose slots move and whose servers fail.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[allow(dead_code, reason = "shared with the tests of faults")]
mod support;

use std::process::{Command, Stdio};

use realtime_core::{
    RoomName,
    history::{Append, History, HistoryErrorKind, Position},
};
use realtime_history_redis::RedisHistory;
use realtime_testkit::{
    servers::redis::{Redis, RedisCluster},
    wait::until,
};
use support::{at, history, long, missed, named, next_down, room, say, until_up, works};

/// A room in each part of the cluster.
fn rooms() -> Vec<RoomName> {
    (0..12).map(|n| named(&format!("{{room}} {n}"))).collect()
}

/// Everything that is done with a room, one call after the other.
async fn lives(history: &RedisHistory, room: &RoomName) -> Position {
    let begin = history.position(room, long()).await.unwrap();
    let end = say(history, room).await;
    assert_eq!(end, at(&begin, begin.offset + 1));
    let keyed = || Append::new("k", long()).with_key(end.offset.to_string().parse().unwrap());
    let first = history.append(room, keyed()).await.unwrap();
    let again = history.append(room, keyed()).await.unwrap();
    assert!(!first.is_duplicate && again.is_duplicate);
    assert_eq!(first.position, again.position);
    assert_eq!(missed(history, room, &begin).await.unwrap().len(), 2);
    let page = history.latest(room, None, 1).await.unwrap();
    assert_eq!(page.position.as_ref(), Some(&first.position));
    first.position
}

async fn id(node: &Redis) -> String {
    node.command(&["CLUSTER", "MYID"]).await.unwrap()
}

/// The slot of a room, and which node has it.
async fn home(cluster: &mut RedisCluster, room: &RoomName) -> (String, usize) {
    let key = format!("rt:realtime:history:{{r:{room}}}:meta");
    let nodes = cluster.nodes();
    let slot = nodes[0].command(&["CLUSTER", "KEYSLOT", &key]).await;
    let slot = slot.unwrap();
    for (n, node) in nodes.iter().enumerate() {
        let count = node.command(&["EXISTS", &key]).await;
        if count.is_ok_and(|count| count == "1") {
            return (slot, n);
        }
    }
    panic!("nobody has slot {slot}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_follow_a_slot_that_is_on_its_way() {
    let mut cluster = RedisCluster::start().await.unwrap();
    let history = history(cluster.url());
    for room in rooms() {
        let before = lives(&history, &room).await;
        let (slot, from) = home(&mut cluster, &room).await;
        let to = (from + 1) % 3;
        let nodes = cluster.nodes();
        let (from_id, to_id) = (id(&nodes[from]).await, id(&nodes[to]).await);
        let setslot = async |node: usize, state: &str, id: &str| {
            let words = ["CLUSTER", "SETSLOT", &slot, state, id];
            nodes[node].command(&words).await.unwrap();
        };
        setslot(to, "IMPORTING", &from_id).await;
        setslot(from, "MIGRATING", &to_id).await;
        // Both keys are where they were.
        let end = lives(&history, &room).await;
        assert_eq!(end.epoch, before.epoch);
        history.remove(&room).await.unwrap();
        // Now neither is.
        let anew = lives(&history, &room).await;
        assert_ne!(anew.epoch, before.epoch);
        for node in [to, from] {
            setslot(node, "NODE", &to_id).await;
        }
        let end = lives(&history, &room).await;
        assert_eq!(end.epoch, anew.epoch);
        assert_eq!(
            missed(&history, &room, &at(&anew, 0)).await.unwrap().len(),
            4
        );
    }
}

/// One key of two can't be changed meanwhile; that is over when the slot has moved.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_entries_waits_for_its_slot() {
    let mut cluster = RedisCluster::start().await.unwrap();
    let history = history(cluster.url());
    let begin = history.position(&room(), long()).await.unwrap();
    let (slot, from) = home(&mut cluster, &room()).await;
    let to = (from + 1) % 3;
    let nodes = cluster.nodes();
    let (from_id, to_id) = (id(&nodes[from]).await, id(&nodes[to]).await);
    let command = async |node: usize, words: &[&str]| nodes[node].command(words).await.unwrap();
    command(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]).await;
    command(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]).await;
    let refused = history.append(&room(), Append::new("x", long())).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), HistoryErrorKind::Unavailable, "{refused:?}");
    let (host, port) = ("127.0.0.1", nodes[to].port().to_string());
    let key = format!("rt:realtime:history:{{r:{}}}:meta", room());
    command(from, &["MIGRATE", host, &port, &key, "0", "5000"]).await;
    assert_eq!(say(&history, &room()).await, at(&begin, 1));
    for node in [to, from] {
        command(node, &["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]).await;
    }
    assert_eq!(say(&history, &room()).await, at(&begin, 2));
    assert_eq!(missed(&history, &room(), &begin).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_a_cluster_is_resharded() {
    let mut cluster = RedisCluster::start().await.unwrap();
    let history = history(cluster.url());
    let mut ends = Vec::new();
    for room in rooms() {
        ends.push(lives(&history, &room).await);
    }
    let nodes = cluster.nodes();
    let (from, to) = (id(&nodes[0]).await, id(&nodes[1]).await);
    let place = format!("127.0.0.1:{}", nodes[0].port());
    let mut reshard = Command::new("redis-cli");
    reshard.args(["--cluster", "reshard", &place, "--cluster-yes"]);
    reshard.args(["--cluster-from", &from, "--cluster-to", &to]);
    reshard
        .args(["--cluster-slots", "5461"])
        .stdout(Stdio::null());
    let mut reshard = reshard.spawn().unwrap();
    let mut rounds = 0;
    loop {
        for (room, end) in rooms().iter().zip(&mut ends) {
            let next = lives(&history, room).await;
            assert_eq!(next, at(end, end.offset + 2));
            *end = next;
        }
        rounds += 1;
        if let Some(ended) = reshard.try_wait().unwrap() {
            assert!(ended.success());
            break;
        }
    }
    assert!(rounds > 1, "it took too short to see anything");
    for (room, end) in rooms().iter().zip(&ends) {
        let all = missed(&history, room, &at(end, 0)).await.unwrap();
        assert_eq!(all.len() as u64, end.offset);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_master_is_noticed_and_the_others_go_on() {
    let mut cluster = RedisCluster::start().await.unwrap();
    let history = history(cluster.url());
    let mut events = history.events();
    works(&history).await;
    let (_, home) = home(&mut cluster, &room()).await;
    let other = (home + 1) % 3;
    cluster.nodes()[other].stop().unwrap();
    works(&history).await;
    next_down(&mut events).await;
    cluster.nodes()[other].resume().unwrap();
    until("the cluster is whole again", async || {
        history.position(&room(), long()).await.is_ok()
    })
    .await;
    until_up(&mut events).await;
    works(&history).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_a_cluster_is_not_taken_for_a_server() {
    let mut cluster = RedisCluster::start().await.unwrap();
    let history = history(cluster.nodes()[0].url());
    for room in rooms() {
        let error = history.latest(&room, None, 1).await.unwrap_err();
        assert_eq!(error.kind(), HistoryErrorKind::Config, "{error:?}");
        assert!(error.to_string().contains("use redis-cluster:"), "{error}");
    }
}
