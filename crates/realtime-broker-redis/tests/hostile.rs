//! What is worse than an outage: users who may too little, servers of which one knows nothing of the
//! other, links that are slow, and code of the program that panics in a task of the broker.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

#[allow(dead_code, reason = "shared by all tests of faults")]
mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use realtime_broker_redis::RedisBroker;
use realtime_core::{
    NodeId,
    broker::{Broker, BrokerError, BrokerErrorKind, BrokerEvent, Join, Published, Topic},
};
use realtime_testkit::{
    proxy::{Fault, Proxy},
    servers::{Redis, RedisCluster},
    wait::{until, within},
};
use support::{Member, config, connections, node, switch};
use tokio::sync::watch;

async fn join(url: &str) -> Result<(), BrokerError> {
    let broker = RedisBroker::new(config(url));
    let joined = broker.subscribe(Join::new(node(&NodeId::random())));
    within("joining", joined).await.map(drop)
}

fn assert_says_what_to_do(refused: &BrokerError, what: &str) {
    assert_eq!(
        refused.kind(),
        BrokerErrorKind::Config,
        "{what}: {refused:?}"
    );
    assert!(refused.to_string().contains("&rt:*"), "{what}: {refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_too_little_does_not_join() {
    for rules in [
        "&rt:* +@connection +@pubsub -publish",
        "&rt:* +@connection +@pubsub -subscribe",
        "resetchannels &rt:{faults}:all +@connection +@pubsub",
        "resetchannels &rt:{faults}:n.* +@connection +@pubsub",
        "resetchannels &rt:{faults}:all &rt:{faults}:n.* +@connection +@pubsub",
        "&rt:* +@connection +@pubsub -publish (+publish &rt:{faults}:all &rt:{faults}:n.*)",
        "resetchannels &rt:{faults}:all &rt:{faults}:n.* +@connection +@pubsub (+publish &rt:*)",
        "resetchannels +@connection +@pubsub",
    ] {
        let options = Redis::options().user("rt", "pw", rules);
        let redis = options.start().await.unwrap();
        let refused = join(&redis.url()).await.expect_err(rules);
        assert_says_what_to_do(&refused, rules);
        until("nothing is left of it", async || {
            connections(&redis, "realtime:").await == 0
        })
        .await;
    }
    for less in ["-spublish", "-ssubscribe"] {
        let rules = format!("&rt:* +@connection +@pubsub +cluster|slots {less}");
        let options = Redis::options().user("rt", "pw", &rules);
        let cluster = RedisCluster::with(options).await.unwrap();
        let refused = join(&cluster.url()).await.expect_err(less);
        assert_says_what_to_do(&refused, less);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_publish_any_more_is_down_until_they_may() {
    let options = Redis::options().user("rt", "pw", "&rt:* +@connection +@pubsub");
    let redis = options.start().await.unwrap();
    let mut one = Member::join(&redis.url()).await;
    let mut other = Member::join(&redis.url()).await;
    redis
        .command(&["ACL", "SETUSER", "rt", "-publish"])
        .await
        .unwrap();
    one.until_down().await;
    let connections_before = accepted(&redis).await;
    let up = tokio::time::timeout(Duration::from_secs(6), async {
        while one.events.next().await.unwrap() != BrokerEvent::Up {}
    });
    assert!(
        up.await.is_err(),
        "it says Up, and nothing can be published"
    );
    let attempts = accepted(&redis).await - connections_before;
    assert!(attempts < 40, "{attempts} connections of two nodes in 6 s");
    assert_eq!(one.say("lost").await, Err(BrokerErrorKind::Unavailable));
    redis
        .command(&["ACL", "SETUSER", "rt", "+publish"])
        .await
        .unwrap();
    one.until_up().await;
    other
        .until_event("Up", Duration::from_secs(6), |event| {
            *event == BrokerEvent::Up
        })
        .await;
    one.talk(&mut other).await;
}

/// How many connections were ever accepted, less those of these questions.
async fn accepted(redis: &Redis) -> u64 {
    let info = redis.command(&["INFO", "stats"]).await.unwrap();
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("total_connections_received:"));
    line.unwrap().trim().parse().unwrap()
}

/// A failover that ends no connection: what is published at the new master reaches those who listen
/// at the old one, and is counted as if nobody did.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_is_left_at_a_replica_is_made_anew() {
    let before = Redis::start().await.unwrap();
    let after = Redis::options().line(format!("replicaof 127.0.0.1 {}", before.port()));
    let after = after.start().await.unwrap();
    let (to, now) = watch::channel(before.port());
    let url = format!("redis://127.0.0.1:{}", switch(now).await);
    let mut one = Member::join(&url).await;
    let mut other = Member::join(&url).await;
    one.talk(&mut other).await;
    after.command(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
    let master = after.port().to_string();
    before
        .command(&["REPLICAOF", "127.0.0.1", &master])
        .await
        .unwrap();
    until("what was the master follows", async || {
        let info = before.command(&["INFO", "replication"]).await.unwrap();
        info.contains("master_link_status:up")
    })
    .await;
    // What publishes asks for the role, and looks for the master.
    to.send_replace(after.port());
    let left_behind = Instant::now();
    until("they receive where they publish", async || {
        connections(&after, ":subscribe").await == 2
    })
    .await;
    assert!(left_behind.elapsed() < Duration::from_secs(10));
    one.talk(&mut other).await;
}

fn is_down(event: &BrokerEvent) -> bool {
    matches!(event, BrokerEvent::Down { .. })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_message_over_a_slow_link_is_no_outage() {
    let redis = Redis::start().await.unwrap();
    let proxy = Proxy::start(redis.port()).await;
    let mut one = Member::join(&redis.url()).await;
    let mut slow = Member::join(&format!("redis://127.0.0.1:{}", proxy.port())).await;
    one.talk(&mut slow).await;
    // Some 12 s for the largest, each way.
    proxy.set(Fault::Rate(700_000));
    let large = Bytes::from(vec![b'x'; 8 << 20]);
    let started = Instant::now();
    let said = one
        .broker
        .publish(&Topic::All, large.clone())
        .await
        .unwrap();
    assert_eq!(said, Published::Routed);
    let heard = tokio::time::timeout(Duration::from_secs(40), async {
        loop {
            tokio::select! {
                biased;
                event = slow.events.next() => {
                    let event = event.unwrap();
                    assert!(!is_down(&event), "{event:?} after {:?}", started.elapsed());
                }
                message = slow.inbox.next() => {
                    if message.unwrap().data.len() == large.len() {
                        return;
                    }
                }
            }
        }
    });
    heard.await.expect("it arrives");
    assert!(
        started.elapsed() > Duration::from_secs(9),
        "it was not slow"
    );
    let started = Instant::now();
    let said = slow.broker.publish(&Topic::All, large.clone());
    let said = tokio::time::timeout(Duration::from_secs(40), said).await;
    let took = started.elapsed();
    assert_eq!(
        said.expect("it ends").map_err(|e| e.to_string()),
        Ok(Published::Routed),
        "{took:?}"
    );
    assert!(took > Duration::from_secs(9), "it was not slow: {took:?}");
    proxy.set(Fault::None);
    slow.talk(&mut one).await;
    while let Some(Some(event)) = futures::FutureExt::now_or_never(slow.events.next()) {
        assert!(!is_down(&event), "{event:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_topics_that_are_joined_and_left_ends_as_it_was_asked_for() {
    let redis = Redis::start().await.unwrap();
    let one = Member::join(&redis.url()).await;
    let mut other = Member::join(&redis.url()).await;
    let topics: Vec<_> = (0..2_000)
        .map(|n| format!("room-{n}").parse().unwrap())
        .collect();
    let broker = &other.broker;
    let storm = topics.iter().map(|topic| async move {
        for _ in 0..3 {
            broker.join(topic).await.unwrap();
            broker.leave(topic).await.unwrap();
        }
        broker.join(topic).await.unwrap();
    });
    within("the storm", async {
        futures::stream::iter(storm)
            .buffer_unordered(500)
            .collect::<Vec<()>>()
            .await
    })
    .await;
    for topic in topics {
        let topic = Topic::Named(topic);
        let data = topic.to_string();
        assert_eq!(one.say_on(&topic, &data).await, Ok(Published::Routed));
        other.hears(&data).await;
    }
    let channels = redis.command(&["PUBSUB", "CHANNELS", "rt:{faults}:t.*"]);
    assert_eq!(channels.await.unwrap().lines().count(), 2_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_lost_to_many_nodes_at_once_is_lost_in_silence() {
    const NODES: usize = 80;
    let redis = Redis::start().await.unwrap();
    let proxy = Proxy::start(redis.port()).await;
    let one = Member::join(&redis.url()).await;
    let url = format!("redis://127.0.0.1:{}", proxy.port());
    let mut cut = Vec::new();
    for _ in 0..NODES {
        let mut member = Member::join(&url).await;
        member.until_it_knows(&one).await;
        let topic = Topic::Node(member.id.clone());
        assert_eq!(one.say_on(&topic, "before").await, Ok(Published::Routed));
        member.hears("before").await;
        cut.push(member);
    }
    proxy.set(Fault::Blackhole);
    for member in &cut {
        // Redis hasn't noticed yet, and accepts it.
        let topic = Topic::Node(member.id.clone());
        assert_eq!(one.say_on(&topic, "lost").await, Ok(Published::Routed));
    }
    proxy.set(Fault::Refuse);
    proxy.reset();
    until("Redis has noticed", async || {
        connections(&redis, ":subscribe").await == 1
    })
    .await;
    for member in &cut {
        let topic = Topic::Node(member.id.clone());
        assert_eq!(one.say_on(&topic, "nobody").await, Ok(Published::NoRoute));
    }
    proxy.set(Fault::None);
    for mut member in cut {
        let own = |event: &BrokerEvent| matches!(event, BrokerEvent::Gap { topic: Some(Topic::Node(_)), source, .. } if *source == one.id);
        member
            .until_event("the gap", Duration::from_secs(20), own)
            .await;
    }
}
