//! A node is killed: its clients come back on others, and those who don't are told of.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use realtime::presence::ChangeKind;
use realtime_testkit::{client::Request, servers::Redis};
use serde_json::json;

use super::{Load, MEMBERS, ROOMS, Run, Told, book::is_kept, rooms, sum};
use crate::{cluster::Cluster, killed::Victim, nodes::Node};

/// Long enough for a busy machine to renew it.
const LEASE: Duration = Duration::from_secs(5);
/// How long one who is told of may take to be, besides the lease.
const SWEEP: Duration = Duration::from_secs(4);
/// Who is on the node that is killed, and doesn't come back.
const GHOSTS: usize = 5;

/// The node that is killed, in its own process.
pub(crate) async fn victim(broker: &str, redis: &str) -> Node {
    let history = realtime::connect::history(redis).unwrap();
    let with = |builder| rooms(builder, &Told::default());
    Node::start(broker, redis, |builder| {
        with(builder).history(history).presence_ttl(Some(LEASE))
    })
    .await
}

pub(crate) async fn over_redis_a_killed_node_loses_nothing_of_rooms() {
    let redis = Redis::start().await.unwrap();
    a_node_is_killed(&redis.url(), &redis.url()).await;
}

pub(crate) async fn over_rabbitmq_a_killed_node_loses_nothing_of_rooms() {
    let cluster = Cluster::start().await;
    a_node_is_killed(&cluster.rabbitmq.url(), &cluster.redis.url()).await;
}

async fn a_node_is_killed(broker: &str, redis: &str) {
    let mut run = Run::new(Load {
        pause: Duration::from_millis(10),
        enough: Arc::default(),
    });
    for _ in 0..2 {
        let lease = |builder: realtime::Builder| builder.presence_ttl(Some(LEASE));
        run.add_over(broker, redis, lease).await;
    }
    let (victim, addr) = Victim::with_rooms(broker, redis);
    run.shared.nodes.lock().unwrap().push(addr);
    run.join().await;
    for n in 0..GHOSTS {
        let mut ghost = Request::new(format!("/ws?ghost-{n}"))
            .connect(addr)
            .await
            .unwrap();
        for room in ROOMS {
            ghost.request("join", json!({"room": room})).await.unwrap();
        }
        // Whatever comes is of no interest; it ends with its node.
        tokio::spawn(async move { ghost.eof().await });
    }
    run.publish();
    run.publish_by_client();
    run.messages_flow().await;

    run.forget_node(addr);
    drop(victim);
    let start = Instant::now();
    run.messages_flow().await;
    while ghosts(&run).len() < 2 * GHOSTS {
        let took = start.elapsed();
        assert!(
            took < LEASE + SWEEP,
            "after {took:?} told: {:?}",
            ghosts(&run)
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = start.elapsed();
    for node in &run.nodes {
        for room in (0..ROOMS.len()).filter(|room| is_kept(*room)) {
            let members = node.gateway.room(ROOMS[room]).members(None, 1).await;
            // With the client that publishes.
            assert_eq!(members.unwrap().count, MEMBERS as u64 + 1);
        }
    }
    run.messages_flow().await;
    let books = run.end().await;
    let totals = books.audit();
    for count in [
        sum(&totals, true, |counts| counts.lost),
        sum(&totals, true, |counts| counts.missing),
    ] {
        assert_eq!(count, 0, "with a history nothing is lost");
    }
    println!(
        "told after {took:?}; with a history {} deliveries and {} recoveries; without one {} \
         missing and {} gaps",
        sum(&totals, true, |counts| counts.taken),
        sum(&totals, true, |counts| counts.recovered),
        sum(&totals, false, |counts| counts.missing),
        sum(&totals, false, |counts| counts.gaps),
    );
    // Once, by one of the two, and nobody else is.
    let mut told = ghosts(&run);
    told.sort();
    let mut all = Vec::new();
    for n in 0..GHOSTS {
        for room in (0..ROOMS.len()).filter(|room| is_kept(*room)) {
            all.push((format!("ghost-{n}"), ROOMS[room].to_owned()));
        }
    }
    assert_eq!(told, all);
    run.stop().await;
}

/// Who was told as left, and of which room: by any node, as often as it was told.
fn ghosts(run: &Run) -> Vec<(String, String)> {
    let told = run
        .told
        .iter()
        .flat_map(|told| told.lock().unwrap().clone());
    let left = told.filter(|(kind, ..)| *kind == ChangeKind::Left);
    left.map(|(_, who, room, _)| (who, room)).collect()
}
