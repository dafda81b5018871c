//! Everything that can happen to Redis and to the way there, on a real one.
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
use futures::{FutureExt, StreamExt};
use realtime_broker_redis::{RedisBroker, RedisBrokerConfig};
use realtime_core::{
    NodeId,
    broker::{Broker, BrokerErrorKind, BrokerEvent, Join, Published, Topic, TopicName},
};
use realtime_testkit::{
    proxy::{Fault, Proxy},
    servers::{Redis, Sentinel},
    wait::{until, within},
};
use support::{Member, config, connections, kill, node, switch};
use tokio::sync::watch;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_redis_fails_publications_at_once_and_everything_is_back_with_it() {
    let mut redis = Redis::start().await.unwrap();
    let mut one = Member::join(&redis.url()).await;
    let mut other = Member::join(&redis.url()).await;
    let topic: TopicName = "room".parse().unwrap();
    other.broker.join(&topic).await.unwrap();
    one.talk(&mut other).await;
    redis.kill().unwrap();
    one.until_down().await;
    other.until_down().await;
    // It may have been the other connection that was noticed.
    until("who publishes knows", async || {
        one.say("lost").await == Err(BrokerErrorKind::Unavailable)
    })
    .await;
    for _ in 0..20 {
        let start = Instant::now();
        assert_eq!(one.say("lost").await, Err(BrokerErrorKind::Unavailable));
        assert!(start.elapsed() < Duration::from_millis(200));
    }
    let late: TopicName = "late".parse().unwrap();
    let joined = one.broker.join(&late).await.map_err(|e| e.kind());
    assert_eq!(joined, Err(BrokerErrorKind::Unavailable));
    redis.restart().await.unwrap();
    one.until_up().await;
    other.until_up().await;
    one.talk(&mut other).await;
    let topic = Topic::Named(topic);
    assert_eq!(
        one.say_on(&topic, "in the room").await,
        Ok(Published::Routed)
    );
    other.hears("in the room").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_redis_is_noticed_and_loses_nothing_that_it_had() {
    let mut redis = Redis::start().await.unwrap();
    let mut one = Member::join(&redis.url()).await;
    let mut other = Member::join(&redis.url()).await;
    one.talk(&mut other).await;
    redis.stop().unwrap();
    let start = Instant::now();
    let said = one.say("late").await;
    assert_eq!(said, Err(BrokerErrorKind::Unknown), "it may be published");
    assert!(start.elapsed() < Duration::from_secs(8));
    one.until_down().await;
    other.until_down().await;
    redis.resume().unwrap();
    one.until_up().await;
    other.until_up().await;
    one.talk(&mut other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_while_a_node_is_cut_off_is_counted() {
    let redis = Redis::start().await.unwrap();
    let proxy = Proxy::start(redis.port()).await;
    let one = Member::join(&redis.url()).await;
    let mut cut = Member::join(&format!("redis://127.0.0.1:{}", proxy.port())).await;
    cut.until_it_knows(&one).await;
    let to_cut = Topic::Node(cut.id.clone());
    assert_eq!(one.say("before").await, Ok(Published::Routed));
    assert_eq!(one.say_on(&to_cut, "to you").await, Ok(Published::Routed));
    cut.hears("to you").await;
    proxy.set(Fault::Blackhole);
    // Redis hasn't noticed yet, and accepts it.
    for _ in 0..50 {
        assert_eq!(one.say("lost").await, Ok(Published::Routed));
        assert_eq!(
            one.say_on(&to_cut, "lost, too").await,
            Ok(Published::Routed)
        );
    }
    cut.until_down().await;
    proxy.reset();
    until("the old connection is gone", async || {
        connections(&redis, ":subscribe").await == 1
    })
    .await;
    proxy.set(Fault::None);
    let (mut sent, mut books) = (100, cut.books());
    books.balance(sent).await;
    assert!(books.missed > 90, "{}", books.missed);
    for _ in 0..50 {
        assert_eq!(one.say("again").await, Ok(Published::Routed));
        sent += 1;
    }
    books.balance(sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_link_is_no_outage() {
    let redis = Redis::start().await.unwrap();
    let proxy = Proxy::start(redis.port()).await;
    let mut one = Member::join(&redis.url()).await;
    let mut slow = Member::join(&format!("redis://127.0.0.1:{}", proxy.port())).await;
    proxy.set(Fault::Delay(Duration::from_millis(500)));
    for _ in 0..3 {
        one.talk(&mut slow).await;
    }
    let down = |event: &BrokerEvent| matches!(event, BrokerEvent::Down { .. });
    let heard = tokio::time::timeout(Duration::from_secs(10), async {
        while !down(&slow.events.next().await.unwrap()) {}
    });
    assert!(heard.await.is_err(), "a slow link counts as down");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_killed_again_and_again_lose_nothing_in_silence() {
    let redis = Redis::start().await.unwrap();
    let one = Member::join(&redis.url()).await;
    let mut other = Member::join(&redis.url()).await;
    other.until_it_knows(&one).await;
    let mut books = other.books();
    let flow = async {
        let mut sent = 0;
        for round in 0..6 {
            for _ in 0..200 {
                // Its own link for receiving is killed, and that for publishing is not.
                assert_eq!(one.say("on").await, Ok(Published::Routed));
                sent += 1;
            }
            redis
                .command(&["CLIENT", "KILL", "TYPE", "pubsub"])
                .await
                .unwrap();
            if round % 2 == 0 {
                // And once more as soon as it is back, within half a second.
                until("it is back", async || {
                    connections(&redis, ":subscribe").await > 0
                })
                .await;
                redis
                    .command(&["CLIENT", "KILL", "TYPE", "pubsub"])
                    .await
                    .unwrap();
            }
        }
        until("they are back", async || {
            connections(&redis, ":subscribe").await == 2
        })
        .await;
        sent
    };
    let mut flow = std::pin::pin!(flow);
    let sent = loop {
        tokio::select! {
            sent = &mut flow => break sent,
            () = books.take() => {}
        }
    };
    books.balance(sent).await;
    assert!(books.outages > 0 && books.missed > 0, "{}", books.missed);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_two_connections_live_and_die_by_themselves() {
    let redis = Redis::start().await.unwrap();
    let mut one = Member::join(&redis.url()).await;
    let mut other = Member::join(&redis.url()).await;
    other.until_it_knows(&one).await;
    // What is received goes on while what publishes is away.
    for _ in 0..5 {
        kill(&redis, &other.id, "publish").await;
        for _ in 0..20 {
            assert_eq!(one.say("on").await, Ok(Published::Routed));
        }
        other.until_down().await;
        other.until_up().await;
    }
    let sent = 100;
    let id = other.id.clone();
    let mut books = other.books();
    books.balance(sent).await;
    assert_eq!((books.received, books.missed), (sent, 0));
    // What is published goes on while what receives is away.
    let all = Topic::All;
    for _ in 0..10 {
        kill(&redis, &id, "subscribe").await;
        let said = books
            .broker
            .publish(&all, Bytes::from_static(b"still"))
            .await
            .unwrap();
        assert_eq!(said, Published::Routed);
        one.hears("still").await;
        let back = format!("name=realtime:faults:{id}:subscribe ");
        until("it is back", async || {
            let list = redis.command(&["CLIENT", "LIST"]).await.unwrap();
            list.lines()
                .any(|line| line.contains(&back) && line.contains(" sub=2 "))
        })
        .await;
    }
}

/// As after a failover that one of the two connections did not notice.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_is_left_behind_on_another_server_is_made_anew() {
    let (before, after) = (Redis::start().await.unwrap(), Redis::start().await.unwrap());
    let (to, now) = watch::channel(before.port());
    let url = format!("redis://127.0.0.1:{}", switch(now).await);
    let mut one = Member::join(&url).await;
    to.send_replace(after.port());
    kill(&before, &one.id, "publish").await;
    let left_behind = Instant::now();
    let mut other = Member::join(&url).await;
    until("it receives where it publishes", async || {
        connections(&after, ":subscribe").await == 2
            && connections(&before, ":subscribe").await == 0
    })
    .await;
    assert!(left_behind.elapsed() < Duration::from_secs(12));
    one.talk(&mut other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_of_redis_delays_and_loses_nothing() {
    let redis = Redis::start().await.unwrap();
    let one = Member::join(&redis.url()).await;
    let mut other = Member::join(&redis.url()).await;
    other.until_it_knows(&one).await;
    let mut books = other.books();
    redis.command(&["CLIENT", "PAUSE", "3000"]).await.unwrap();
    let said = (0..500).map(|_| one.say("late"));
    let said = futures::future::join_all(said).await;
    assert!(
        said.iter().all(|said| *said == Ok(Published::Routed)),
        "{said:?}"
    );
    books.balance(500).await;
    assert_eq!((books.received, books.outages), (500, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exceeded_output_buffer_is_an_outage_that_is_counted() {
    let redis = Redis::start().await.unwrap();
    let limit = [
        "CONFIG",
        "SET",
        "client-output-buffer-limit",
        "pubsub 1mb 1mb 1",
    ];
    redis.command(&limit).await.unwrap();
    let one = Member::join(&redis.url()).await;
    let mut slow = Member::join(&redis.url()).await;
    slow.until_it_knows(&one).await;
    // More than the inbox, the sockets and Redis take together. This node reads what it sends.
    let mut own = one.inbox;
    let reads = tokio::spawn(async move { while own.next().await.is_some() {} });
    let data = Bytes::from(vec![b'x'; 64 << 10]);
    let mut sent = 0;
    let filled = Instant::now();
    loop {
        let said = one.broker.publish(&Topic::All, data.clone()).await;
        if let Err(error) = said {
            panic!("{error:?}");
        }
        sent += 1;
        let subscribed = connections(&redis, ":subscribe").await;
        if subscribed < 2 && sent > 600 {
            break;
        }
        assert!(filled.elapsed() < Duration::from_secs(60), "{sent} fit in");
    }
    let mut books = slow.books();
    books.balance(sent).await;
    assert!(books.outages > 0 && books.missed > 0, "{}", books.missed);
    assert!(books.received >= 500, "what was in the inbox is delivered");
    reads.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_becomes_a_replica_is_left() {
    let mut redis = Redis::start().await.unwrap();
    let elsewhere = Redis::start().await.unwrap();
    let mut one = Member::join(&redis.url()).await;
    let master = elsewhere.port().to_string();
    redis
        .command(&["REPLICAOF", "127.0.0.1", &master])
        .await
        .unwrap();
    one.until_down().await;
    let error = RedisBroker::new(config(&redis.url()));
    let error = error
        .subscribe(Join::new(node(&NodeId::random())))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("replica"), "{error}");
    assert!(error.is_transient());
    redis.command(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
    one.until_up().await;
    let mut other = Member::join(&redis.url()).await;
    one.talk(&mut other).await;
    redis.kill().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_behind_a_sentinel_is_followed() {
    let mut master = Redis::start().await.unwrap();
    let replica = Redis::options().line(format!("replicaof 127.0.0.1 {}", master.port()));
    let replica = replica.start().await.unwrap();
    until("the replica follows", async || {
        let info = replica.command(&["INFO", "replication"]).await.unwrap();
        info.contains("master_link_status:up")
    })
    .await;
    let sentinel = Sentinel::start(&master).await.unwrap();
    let cli = async |words: &[&str]| {
        let mut cli = cli_at(sentinel.port());
        String::from_utf8(cli.args(words).output().unwrap().stdout).unwrap()
    };
    until("the sentinel knows the replica", async || {
        cli(&["SENTINEL", "replicas", "main"])
            .await
            .contains("slave")
    })
    .await;
    let mut one = Member::join(&sentinel.url()).await;
    let mut other = Member::join(&sentinel.url()).await;
    one.talk(&mut other).await;
    master.kill().unwrap();
    one.until_down().await;
    other.until_down().await;
    until("the replica is the master", async || {
        // It ends all connections as it becomes one.
        let info = replica.command(&["INFO", "replication"]).await;
        info.is_ok_and(|info| info.contains("role:master"))
    })
    .await;
    one.until_up().await;
    other.until_up().await;
    one.talk(&mut other).await;
}

fn is_gap(event: &BrokerEvent) -> bool {
    matches!(event, BrokerEvent::Gap { .. })
}

fn cli_at(port: u16) -> std::process::Command {
    let mut cli = std::process::Command::new("redis-cli");
    cli.args(["-p", &port.to_string()]);
    cli
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_message_is_dropped_and_told() {
    let redis = Redis::start().await.unwrap();
    let mut one = Member::join_with(
        RedisBrokerConfig::builder(redis.url())
            .namespace("faults")
            .max_message(4096)
            .build()
            .unwrap(),
    )
    .await;
    let mut other = Member::join(&redis.url()).await;
    let channel = "rt:{faults}:all";
    redis
        .command(&["PUBLISH", channel, "garbage"])
        .await
        .unwrap();
    redis.command(&["PUBLISH", channel, ""]).await.unwrap();
    let invalid = |event: &BrokerEvent| matches!(event, BrokerEvent::InvalidMessage { .. });
    one.until_event("garbage", Duration::from_secs(3), invalid)
        .await;
    // Too large for one of them, somewhat and by far.
    for size in [5_000, 1 << 20] {
        let large = "x".repeat(size);
        assert_eq!(other.say(&large).await, Ok(Published::Routed));
        let before = one
            .until_event("a large one", Duration::from_secs(3), |event| {
                let text = format!("{event:?}");
                invalid(event) && text.contains("at most 4096")
            })
            .await;
        assert!(!before.iter().any(is_gap), "counted once: {before:?}");
        assert_eq!(one.say(&large).await, Err(BrokerErrorKind::TooLarge));
        // What comes behind it would show a gap.
        one.talk(&mut other).await;
    }
    assert_eq!(one.broker.limits().max_message, Some(4096));
    while let Some(Some(event)) = one.events.next().now_or_never() {
        assert!(!invalid(&event) && !is_gap(&event), "{event:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leftover_is_not_taken_for_a_duplicate() {
    let redis = Redis::start().await.unwrap();
    let id = NodeId::random();
    let channel = format!("rt:{{faults}}:n.{id}");
    let mut leftover = cli_at(redis.port());
    leftover
        .args(["SUBSCRIBE", &channel])
        .stdout(std::process::Stdio::null());
    let mut leftover = leftover.spawn().unwrap();
    until("somebody listens", async || {
        let count = redis
            .command(&["PUBSUB", "NUMSUB", &channel])
            .await
            .unwrap();
        count.lines().last() == Some("1")
    })
    .await;
    let broker = RedisBroker::new(config(&redis.url()));
    let joined = within("joining", broker.subscribe(Join::new(node(&id)))).await;
    let joined = joined.unwrap();
    // And one that is alive is.
    let second = RedisBroker::new(config(&redis.url()));
    let refused = within("joining", second.subscribe(Join::new(node(&id)))).await;
    assert_eq!(refused.unwrap_err().kind(), BrokerErrorKind::DuplicateNode);
    drop(joined);
    leftover.kill().unwrap();
    leftover.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_behind_by_who_leaves() {
    let mut redis = Redis::start().await.unwrap();
    let mut stays = Member::join(&redis.url()).await;
    let leaves = Member::join(&redis.url()).await;
    stays.until_it_knows(&leaves).await;
    drop(leaves.inbox);
    let gone = |event: &BrokerEvent| matches!(event, BrokerEvent::NodeDown { node, .. } if node.id == leaves.id);
    stays
        .until_event("its goodbye", Duration::from_secs(2), gone)
        .await;
    until("its connections have ended", async || {
        connections(&redis, "realtime:").await == 2
    })
    .await;
    // It may come again.
    let again = leaves
        .broker
        .subscribe(Join::new(node(&leaves.id)))
        .await
        .unwrap();
    assert_eq!(connections(&redis, "realtime:").await, 4);
    drop(leaves.broker);
    drop(again);
    until("its connections have ended", async || {
        connections(&redis, "realtime:").await == 2
    })
    .await;
    // Closing has a bound, whatever Redis does.
    redis.stop().unwrap();
    let start = Instant::now();
    stays.broker.close().await;
    assert!(start.elapsed() < Duration::from_secs(3));
    assert!(stays.inbox.next().await.is_none());
    redis.resume().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_up_wrongly_is_said() {
    let refused = async |url: &str| {
        let broker = RedisBroker::new(config(url));
        let joined = broker.subscribe(Join::new(node(&NodeId::random()))).await;
        let error = joined.unwrap_err();
        (
            error.kind(),
            format!("{error}: {:?}", std::error::Error::source(&error)),
        )
    };
    let redis = Redis::start().await.unwrap();
    let sentinel = Sentinel::start(&redis).await.unwrap();
    for (url, says) in [
        (
            format!("redis://u:pw@127.0.0.1:{}", redis.port()),
            "password",
        ),
        (
            format!("redis://:pw@127.0.0.1:{}", redis.port()),
            "password",
        ),
        (
            format!("redis-cluster://127.0.0.1:{}", redis.port()),
            "use redis:",
        ),
        (
            format!("redis://127.0.0.1:{}", sentinel.port()),
            "use redis-sentinel:",
        ),
        (
            sentinel.url().replace("main", "other"),
            "sentinelServiceName",
        ),
    ] {
        let (kind, error) = refused(&url).await;
        assert_eq!(kind, BrokerErrorKind::Config, "{url}: {error}");
        assert!(error.contains(says), "{url}: {error}");
    }
    let rules = "resetchannels &other:* +@all";
    let redis = Redis::options()
        .user("rt", "pw", rules)
        .start()
        .await
        .unwrap();
    let (kind, error) = refused(&redis.url()).await;
    assert_eq!(kind, BrokerErrorKind::Config, "{error}");
    assert!(error.contains("&rt:*"), "{error}");
    let (kind, _) = refused("redis://127.0.0.1:1").await;
    assert_eq!(kind, BrokerErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_while_the_link_is_made_is_left_at_redis() {
    let redis = Redis::start().await.unwrap();
    let proxy = Proxy::start(redis.port()).await;
    let mut one = Member::join(&format!("redis://127.0.0.1:{}", proxy.port())).await;
    let rooms = (0..60).map(|n| format!("room {n}").parse().unwrap());
    let rooms: Vec<TopicName> = rooms.collect();
    for room in &rooms {
        one.broker.join(room).await.unwrap();
    }
    // Making it takes longer than this is for some of the rooms.
    proxy.set(Fault::Delay(Duration::from_millis(100)));
    kill(&redis, &one.id, "subscribe").await;
    one.until_down().await;
    for room in &rooms {
        one.broker.leave(room).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    one.until_up().await;
    until("nobody listens there", async || {
        let channels = redis.command(&["PUBSUB", "CHANNELS", "*"]).await.unwrap();
        !channels.contains("room")
    })
    .await;
}
