//! What happens when Redis, or what it holds, is broken in every way that can be brought about.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[allow(dead_code, reason = "shared with the conformance suites")]
mod support;

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, future::join_all};
use realtime_core::{
    IdentityKey,
    presence::{Presence, PresenceErrorKind},
};
use realtime_presence_redis::RedisPresence;
use realtime_testkit::{
    servers::{
        free_port,
        redis::{Redis, RedisCluster},
    },
    wait::{until, within},
};
use support::{
    LONG, SOON, ann, connections, failure, next_down, next_up, presence, register, renew, session,
    unregister, until_connections, until_up, with_one_connection, works,
};
use tokio::runtime::Handle;

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_not_there_makes_commands_fail_at_once() {
    let port = free_port().unwrap();
    let presence = presence(format!("redis://127.0.0.1:{port}"));
    let mut events = presence.events();
    let error = failure(&presence).await;
    assert_eq!(error.kind(), PresenceErrorKind::Unavailable);
    assert!(error.is_transient());
    assert!(next_down(&mut events).await.contains("refused"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_redis_is_found_again_when_it_is_back() {
    let mut redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    let mut events = presence.events();
    works(&presence).await;
    for _ in 0..3 {
        redis.kill().unwrap();
        next_down(&mut events).await;
        assert!(failure(&presence).await.is_transient());
        redis.restart().await.unwrap();
        let back = Instant::now();
        next_up(&mut events).await;
        let took = back.elapsed();
        assert!(took < Duration::from_secs(3), "it took {took:?}");
        assert!(
            !presence.is_online(&ann()).await.unwrap(),
            "it came back empty"
        );
        works(&presence).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_redis_is_noticed_also_while_commands_keep_coming() {
    let mut redis = Redis::start().await.unwrap();
    let presence = Arc::new(presence(redis.url()));
    let mut events = presence.events();
    works(&presence).await;
    redis.stop().unwrap();
    assert!(failure(&presence).await.is_transient());
    let (asking, start) = (Arc::clone(&presence), Instant::now());
    let asking = tokio::spawn(async move {
        loop {
            let asked = Instant::now();
            let answer = asking.is_online(&ann()).await;
            assert!(answer.is_err() && asked.elapsed() < SOON, "{answer:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    next_down(&mut events).await;
    assert!(
        start.elapsed() < Duration::from_secs(6),
        "{:?}",
        start.elapsed()
    );
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    redis.resume().unwrap();
    let back = Instant::now();
    next_up(&mut events).await;
    assert!(
        back.elapsed() < Duration::from_secs(3),
        "{:?}",
        back.elapsed()
    );
    works(&presence).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_at_a_stopped_redis_fails_in_time_and_is_over_when_it_goes_on() {
    let mut redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    let mut events = presence.events();
    works(&presence).await;
    redis.stop().unwrap();
    // More than the permits, and more than the sockets take, so that writes are stuck, too.
    let batches: Vec<Vec<_>> = (0..1_500)
        .map(|n| IdentityKey::new(n.to_string()))
        .map(|identity| (0..20).map(|_| session(&identity)).collect())
        .collect();
    let asked = batches.iter().map(|infos| presence.register(infos, LONG));
    let answers = within("the end of the flood", join_all(asked)).await;
    assert!(answers.iter().all(Result::is_err));
    next_down(&mut events).await;
    redis.resume().unwrap();
    next_up(&mut events).await;
    works(&presence).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_connections_are_replaced() {
    let redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    let mut events = presence.events();
    works(&presence).await;
    until_connections(&redis, 4).await;
    for _ in 0..5 {
        redis
            .command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])
            .await
            .unwrap();
        next_down(&mut events).await;
        next_up(&mut events).await;
        works(&presence).await;
    }
    until_connections(&redis, 4).await;
}

/// The cause names the server, and then says what that said.
fn assert_says(cause: &str, redis: &Redis, what: &str) {
    let named = format!("127.0.0.1:{}: {what}", redis.port());
    assert!(cause.starts_with(&named), "{cause}");
}

#[tokio::test(flavor = "multi_thread")]
async fn out_of_memory_is_transient_and_reading_goes_on() {
    let redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    let mut events = presence.events();
    let info = session(&ann());
    register(&presence, std::slice::from_ref(&info), LONG).await;
    redis
        .command(&["CONFIG", "SET", "maxmemory", "1"])
        .await
        .unwrap();
    let refused = presence
        .register(&[session(&ann())], LONG)
        .await
        .unwrap_err();
    assert!(refused.is_transient(), "{refused:?}");
    assert_says(&next_down(&mut events).await, &redis, "OOM");
    assert_eq!(presence.sessions(&ann()).await.unwrap().len(), 1);
    unregister(&presence, &[info.key()]).await;
    assert!(
        !presence.is_online(&ann()).await.unwrap(),
        "memory can be given back"
    );
    redis
        .command(&["CONFIG", "SET", "maxmemory", "0"])
        .await
        .unwrap();
    next_up(&mut events).await;
    works(&presence).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_replica_is_transient_until_it_is_a_master() {
    let redis = Redis::start().await.unwrap();
    redis
        .command(&["CONFIG", "SET", "replica-serve-stale-data", "yes"])
        .await
        .unwrap();
    let presence = presence(redis.url());
    let mut events = presence.events();
    works(&presence).await;
    let nobody = free_port().unwrap().to_string();
    redis
        .command(&["REPLICAOF", "127.0.0.1", &nobody])
        .await
        .unwrap();
    let refused = presence
        .register(&[session(&ann())], LONG)
        .await
        .unwrap_err();
    assert!(refused.is_transient(), "{refused:?}");
    assert_says(&next_down(&mut events).await, &redis, "READONLY");
    let replaced = ids(&redis).await;
    until(
        "all connections are replaced, to find another master",
        async || {
            let now = ids(&redis).await;
            now.len() == 4 && now.is_disjoint(&replaced)
        },
    )
    .await;
    redis.command(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
    let back = Instant::now();
    next_up(&mut events).await;
    assert!(
        back.elapsed() < Duration::from_secs(3),
        "{:?}",
        back.elapsed()
    );
    works(&presence).await;
}

/// The ids of all connections but the one that asks.
async fn ids(redis: &Redis) -> HashSet<String> {
    let list = redis.command(&["CLIENT", "LIST"]).await.unwrap();
    let ours = list.lines().filter(|line| !line.contains("cmd=client"));
    ours.filter_map(|line| Some(line.split_once(' ')?.0.to_owned()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_were_flushed_are_sent_again() {
    let redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    for _ in 0..3 {
        works(&presence).await;
        redis.command(&["SCRIPT", "FLUSH"]).await.unwrap();
    }
    let infos: Vec<_> = (0..500)
        .map(|n| session(&IdentityKey::new(n.to_string())))
        .collect();
    register(&presence, &infos, LONG).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flushed_data_is_known_to_be_gone_and_can_be_registered_again() {
    let redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    let info = session(&ann());
    register(&presence, std::slice::from_ref(&info), LONG).await;
    redis.command(&["FLUSHALL"]).await.unwrap();
    assert!(!presence.is_online(&ann()).await.unwrap());
    assert_eq!(renew(&presence, &[info.key()], LONG).await, [info.key()]);
    register(&presence, std::slice::from_ref(&info), LONG).await;
    assert!(presence.is_online(&ann()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_wrong_password_is_a_fault_of_the_configuration() {
    let redis = Redis::options()
        .line("requirepass right")
        .start()
        .await
        .unwrap();
    let port = redis.port();
    for user in ["", ":wrong@", "nobody:right@"] {
        let presence = presence(format!("redis://{user}127.0.0.1:{port}"));
        let mut events = presence.events();
        let error = failure(&presence).await;
        assert_eq!(error.kind(), PresenceErrorKind::Config, "{user}: {error:?}");
        assert!(!error.is_transient());
        next_down(&mut events).await;
        assert!(!format!("{error:?}").contains("wrong@"));
    }
    let presence = presence(format!("redis://:right@127.0.0.1:{port}"));
    works(&presence).await;
    let shown = format!("{presence:?}");
    assert!(!shown.contains("right"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_permission_is_a_fault_of_the_configuration() {
    let options = Redis::options().user("rt", "pw", "~other:* +@all -@dangerous");
    let redis = options.start().await.unwrap();
    let presence = presence(redis.url());
    let mut events = presence.events();
    let error = failure(&presence).await;
    assert_eq!(error.kind(), PresenceErrorKind::Config, "{error:?}");
    assert_says(&next_down(&mut events).await, &redis, "NOPERM");
    redis
        .command(&["ACL", "SETUSER", "rt", "~rt:*"])
        .await
        .unwrap();
    next_up(&mut events).await;
    works(&presence).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_master_of_a_cluster_is_noticed() {
    let mut cluster = RedisCluster::start().await.unwrap();
    let presence = presence(cluster.url());
    let mut events = presence.events();
    works(&presence).await;
    cluster.nodes()[0].stop().unwrap();
    next_down(&mut events).await;
    cluster.nodes()[0].resume().unwrap();
    until("the cluster is whole again", async || {
        presence.is_online(&ann()).await.is_ok()
    })
    .await;
    until_up(&mut events).await;
    works(&presence).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_behind_by_closing_or_dropping() {
    let mut redis = Redis::start().await.unwrap();
    // What runs on behalf of the test itself.
    until_connections(&redis, 0).await;
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    for _ in 0..3 {
        let open = presence(redis.url());
        let mut events = open.events();
        works(&open).await;
        until_connections(&redis, 4).await;
        open.close().await;
        open.close().await;
        until("the tasks have ended", async || tasks() == before).await;
        assert_eq!(events.next().await, None);
        drop(presence(redis.url()).events());
        let dropped = presence(redis.url());
        works(&dropped).await;
        drop(dropped);
        until("the tasks of dropped presences ended", async || {
            tasks() == before
        })
        .await;
        until_connections(&redis, 0).await;
    }
    // In the middle of connecting, too, and while nobody answers.
    redis.stop().unwrap();
    let stuck = presence(redis.url());
    assert!(stuck.is_online(&ann()).await.is_err());
    stuck.close().await;
    until("the tasks have ended", async || tasks() == before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_wait_when_it_is_closed_fail_as_closed() {
    let mut redis = Redis::start().await.unwrap();
    let presence = with_one_connection(redis.url());
    works(&presence).await;
    redis.stop().unwrap();
    let identity = ann();
    let mut waits = std::pin::pin!(presence.sessions(&identity));
    assert!(futures::poll!(waits.as_mut()).is_pending());
    let (answer, ()) = futures::join!(waits, presence.close());
    assert_eq!(answer.unwrap_err().kind(), PresenceErrorKind::Closed);
}

#[test]
fn outside_of_a_runtime_nothing_panics() {
    let presence = RedisPresence::from_url("redis://127.0.0.1:1").unwrap();
    drop(presence.events());
    let answer = futures::executor::block_on(presence.is_online(&ann()));
    assert_eq!(answer.unwrap_err().kind(), PresenceErrorKind::Config);
}

#[tokio::test(flavor = "multi_thread")]
async fn building_opens_no_connection() {
    let redis = Redis::start().await.unwrap();
    until_connections(&redis, 0).await;
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let presence = presence(redis.url());
    // Nobody is there who could open one.
    assert_eq!(tasks(), before);
    assert_eq!(connections(&redis).await, 0);
    works(&presence).await;
    assert!(connections(&redis).await > 0);
}
