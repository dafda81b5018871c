//! Redis is emptied, and started again with nothing: histories begin anew, and everybody learns it;
//! who is there is still there.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use realtime::presence::ChangeKind;
use realtime_testkit::servers::Redis;

use super::{Load, MEMBERS, Member, NODES, ROOMS, Run, book::is_kept, sum};
use crate::cluster::Cluster;

const LEASE: Duration = Duration::from_secs(9);
/// What a busy machine adds.
const BUSY: Duration = Duration::from_secs(2);

pub(crate) async fn rooms_while_redis_alone_is_emptied() {
    let redis = Redis::start().await.unwrap();
    let broker = redis.url();
    is_emptied(redis, &broker).await;
}

pub(crate) async fn rooms_while_redis_beside_rabbitmq_is_emptied() {
    let Cluster { rabbitmq, redis } = Cluster::start().await;
    is_emptied(redis, &rabbitmq.url()).await;
}

async fn is_emptied(mut redis: Redis, broker: &str) {
    let mut run = Run::new(Load {
        pause: Duration::from_millis(10),
        enough: Arc::default(),
    });
    for _ in 0..NODES {
        let lease = |builder: realtime::Builder| builder.presence_ttl(Some(LEASE));
        run.add_over(broker, &redis.url(), lease).await;
    }
    run.join().await;
    run.publish();
    run.messages_flow().await;
    everybody_is_there(&run, BUSY).await;

    redis.command(&["FLUSHALL"]).await.unwrap();
    run.messages_flow().await;
    everybody_is_there(&run, LEASE / 3 + BUSY).await;

    redis.restart().await.unwrap();
    run.are_well().await;
    run.messages_flow().await;
    everybody_is_there(&run, LEASE / 3 + BUSY).await;

    let books = run.end().await;
    let totals = books.audit();
    // Three lives of each history. Who stayed has been in all, and was told of each.
    for (room, of_room) in totals.iter().enumerate().filter(|(room, _)| is_kept(*room)) {
        let epochs: BTreeSet<_> = of_room.iter().flat_map(|counts| &counts.epochs).collect();
        assert_eq!(epochs.len(), 3, "{}: {epochs:?}", ROOMS[room]);
        let last = of_room[0].epochs.last();
        for (member, counts) in of_room.iter().enumerate() {
            assert_eq!(counts.epochs.last(), last, "member {member}");
        }
    }
    let left = run
        .told
        .iter()
        .flat_map(|told| told.lock().unwrap().clone());
    let left: Vec<_> = left
        .filter(|(kind, ..)| *kind == ChangeKind::Left)
        .collect();
    println!(
        "told as left: {left:?}; {} recoveries, {} of what was lost, {} missing",
        sum(&totals, true, |counts| counts.recovered),
        sum(&totals, true, |counts| counts.lost),
        sum(&totals, true, |counts| counts.missing),
    );
    assert!(
        left.is_empty(),
        "nobody is told as left who stayed: {left:?}"
    );
    run.stop().await;
}

/// Within this time from now the store knows all who are in each room.
async fn everybody_is_there(run: &Run, within: Duration) {
    let start = Instant::now();
    for room in (0..ROOMS.len()).filter(|room| is_kept(*room)) {
        for node in &run.nodes {
            loop {
                let members = node.gateway.room(ROOMS[room]).members(None, 1_000).await;
                let known: BTreeSet<String> = members
                    .iter()
                    .flat_map(|page| &page.members)
                    .map(|member| member.identity.id().to_owned())
                    .collect();
                let all: BTreeSet<_> = (0..MEMBERS).map(Member::name).collect();
                if known == all {
                    break;
                }
                let missing: Vec<_> = all.difference(&known).collect();
                assert!(
                    start.elapsed() < within,
                    "not in {}: {missing:?}",
                    ROOMS[room]
                );
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
