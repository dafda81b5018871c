//! The books over Redis pub/sub, which keeps nothing for who isn't there: held by the same checker.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use realtime_testkit::{servers::Redis, wait::until};

use super::{
    Load, NODES, Run,
    faulty::{are_well, messages_flow},
    nothing_is_missing, wide,
};
use crate::nodes::Node;

/// Redis as broker and as presence store: a whole cluster.
pub(crate) async fn over_redis_alone_every_session_gets_every_message_once_and_in_order() {
    let redis = Redis::start().await.unwrap();
    let mut run = Run::default();
    for _ in 0..NODES {
        run.add(Node::start(&redis.url(), &redis.url(), wide).await);
    }
    nothing_is_missing(run).await;
}

/// Those who receive are cut off, Redis is killed and comes back, and it is stopped for a while.
/// Presence is on another one: its outages are tested elsewhere.
pub(crate) async fn over_redis_with_faults_what_is_missing_was_reported() {
    let (mut redis, presence) = futures::try_join!(Redis::start(), Redis::start()).unwrap();
    let mut run = Run::default();
    for _ in 0..NODES {
        run.add(Node::start(&redis.url(), &presence.url(), wide).await);
    }
    run.join().await;
    run.come_and_go();
    let load = Load {
        count: u64::MAX,
        pause: Some(Duration::from_millis(2)),
        enough: Arc::new(AtomicBool::new(false)),
    };
    let senders = run.send(&load);
    for fault in 0..4 {
        messages_flow(&run).await;
        let outages = |node: &Node| node.gateway.stats().broker_outages;
        let before: Vec<_> = run.nodes.iter().map(outages).collect();
        match fault {
            0 | 1 => drop(
                redis
                    .command(&["CLIENT", "KILL", "TYPE", "pubsub"])
                    .await
                    .unwrap(),
            ),
            2 => redis.kill().unwrap(),
            _ => redis.stop().unwrap(),
        }
        until("everybody has noticed", async || {
            let mut now = run.nodes.iter().zip(&before);
            now.all(|(node, before)| outages(node) > *before)
        })
        .await;
        match fault {
            0 | 1 => {}
            2 => redis.restart().await.unwrap(),
            _ => redis.resume().unwrap(),
        }
        are_well(&run).await;
    }
    messages_flow(&run).await;
    load.enough.store(true, SeqCst);
    let sent = run.until_sent(senders).await;
    let got = run.end().await;
    let mut audits = Vec::new();
    until("the books balance", async || {
        audits = (0..NODES)
            .map(|node| run.audit(node, &sent, &got))
            .collect();
        audits.iter().all(Result::is_ok)
    })
    .await;
    let missed: u64 = audits.iter().map(|audit| *audit.as_ref().unwrap()).sum();
    println!("missed and reported: {audits:?}");
    assert!(missed > 0, "something was lost");
    run.stop().await;
}
