//! What happens when Redis is broken in every way that can be brought about.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[allow(dead_code, reason = "shared with other tests")]
mod support;

use std::time::{Duration, Instant};

use futures::future::join_all;
use realtime_core::{
    Identity,
    revocation::{Revocation, RevocationErrorKind, Revocations},
};
use realtime_revocation_redis::RedisRevocations;
use realtime_testkit::{
    proxy::{Fault, Proxy},
    servers::{Sentinel, free_port, redis::Redis},
    wait::{until, within},
};
use support::{
    SOON, failure, is_revoked, long, revoke, signed_out, store, token, works, works_again,
};
use tokio::runtime::Handle;

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_not_there_makes_calls_fail_at_once() {
    let port = free_port().unwrap();
    let store = store(format!("redis://127.0.0.1:{port}"));
    for _ in 0..3 {
        let error = failure(&store).await;
        assert_eq!(error.kind(), RevocationErrorKind::Unavailable);
        assert!(error.is_transient());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_redis_is_found_again_when_it_is_back() {
    let mut redis = Redis::start().await.unwrap();
    let store = store(redis.url());
    works(&store).await;
    let mut after = store.since(0).await.unwrap().next;
    for _ in 0..2 {
        redis.kill().unwrap();
        assert!(failure(&store).await.is_transient());
        redis.restart().await.unwrap();
        let back = Instant::now();
        works_again(&store).await;
        assert!(back.elapsed() < Duration::from_secs(3));
        // It was emptied; whoever goes on from before hears of what came since.
        let told = store.since(after).await.unwrap();
        assert!(told.next > after && !told.revocations.is_empty());
        after = told.next;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_redis_is_waited_for_no_longer_than_the_timeout() {
    let mut redis = Redis::start().await.unwrap();
    let store = store(redis.url());
    works(&store).await;
    revoke(&store, &Revocation::token("7")).await;
    redis.stop().unwrap();
    let late = join_all((0..20).map(|n| {
        let store = &store;
        async move {
            let asked = Instant::now();
            let late = Revocation::token(format!("late {n}"));
            let refused = store.revoke(&late, long()).await;
            assert!(refused.unwrap_err().is_transient());
            assert!(asked.elapsed() < SOON);
            assert!(
                store
                    .is_revoked(&token("7"))
                    .await
                    .unwrap_err()
                    .is_transient()
            );
            assert!(asked.elapsed() < SOON * 2);
        }
    }));
    late.await;
    redis.resume().unwrap();
    works_again(&store).await;
    assert!(is_revoked(&store, &token("7")).await, "it was remembered");
    // What failed may have been carried out or not; it can be done again.
    for n in 0..20 {
        let late = format!("late {n}");
        revoke(&store, &Revocation::token(&*late)).await;
        assert!(is_revoked(&store, &token(&late)).await);
    }
    let told = store.since(0).await.unwrap().revocations;
    assert_eq!(told.len(), 23);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_one_round_trip() {
    let redis = Redis::start().await.unwrap();
    let proxy = Proxy::start(redis.port()).await;
    let store = store(format!("redis://127.0.0.1:{}", proxy.port()));
    works(&store).await;
    let each_way = Duration::from_millis(40);
    proxy.set(Fault::Delay(each_way));
    // A busy machine may add to some; two round trips are never less.
    until("an answer comes after one", async || {
        let asked = Instant::now();
        assert!(!is_revoked(&store, &token("7").with_tenant("acme")).await);
        let took = asked.elapsed();
        assert!(took >= each_way, "the proxy passes it at once: {took:?}");
        took < each_way * 7 / 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_confirmed_is_there_though_connections_are_killed() {
    let redis = Redis::start().await.unwrap();
    let store = store(redis.url());
    let mut told = Vec::new();
    for n in 0..300 {
        if n % 50 == 25 {
            let kill = ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"];
            redis.command(&kill).await.unwrap();
        }
        let id = n.to_string();
        if store.revoke(&Revocation::token(&*id), long()).await.is_ok() {
            told.push(id);
        }
    }
    assert!(told.len() > 200, "only {} were revoked", told.len());
    works_again(&store).await;
    let known = store.since(0).await.unwrap().revocations;
    for id in &told {
        assert!(is_revoked(&store, &token(id)).await, "{id}");
        let scope = Revocation::token(&**id).scope;
        assert!(known.iter().any(|known| known.scope == scope), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn out_of_memory_is_transient_and_what_was_revoked_is_so() {
    let redis = Redis::start().await.unwrap();
    let store = store(redis.url());
    revoke(&store, &signed_out("ada")).await;
    redis
        .command(&["CONFIG", "SET", "maxmemory", "1"])
        .await
        .unwrap();
    for id in ["ada", "new"] {
        let refused = store.revoke(&signed_out(id), long()).await.unwrap_err();
        assert_eq!(refused.kind(), RevocationErrorKind::Unavailable);
    }
    assert!(is_revoked(&store, &Identity::new("ada")).await);
    assert!(!is_revoked(&store, &Identity::new("new")).await);
    assert_eq!(store.since(0).await.unwrap().revocations.len(), 1);
    redis
        .command(&["CONFIG", "SET", "maxmemory", "0"])
        .await
        .unwrap();
    works_again(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_were_flushed_are_sent_again() {
    let redis = Redis::start().await.unwrap();
    let store = store(redis.url());
    for _ in 0..3 {
        works(&store).await;
        redis.command(&["SCRIPT", "FLUSH"]).await.unwrap();
    }
    works(&store).await;
}

/// Each of these lacks something else.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_not_do_everything_is_a_fault_of_the_configuration() {
    let each = [
        "~rt:* +@all -@scripting",
        "~rt:* +@all -get",
        "~rt:* +@all -set",
        "~rt:* +@all -zadd",
        "~rt:* +@all -zrem",
        "~rt:* +@all -zrandmember",
        "~rt:* +@all -zrevrange",
        "~rt:* +@all -zrangebyscore",
        "~rt:* +@all -pttl",
        "~rt:* +@all -pexpireat",
        "~rt:* +@all -time",
        "~other:* +@all",
    ];
    let test = async |rules: &'static str| {
        let redis = Redis::options().user("rt", "pw", rules).start().await;
        let redis = redis.unwrap();
        let store = store(redis.url());
        let answer = store.since(0).await;
        let kind = answer.as_ref().map_err(|error| error.kind());
        let expected = Err(RevocationErrorKind::InvalidOption);
        assert_eq!(kind, expected, "{rules}: {answer:?}");
        let enough = ["ACL", "SETUSER", "rt", "~rt:*", "+@all", "-@dangerous"];
        redis.command(&enough).await.unwrap();
        works_again(&store).await;
    };
    join_all(each.map(|rules| Box::pin(test(rules)))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_wrong_password_is_a_fault_of_the_configuration() {
    let redis = Redis::options()
        .line("requirepass right")
        .start()
        .await
        .unwrap();
    let port = redis.port();
    for user in ["", ":wrong@"] {
        let store = store(format!("redis://{user}127.0.0.1:{port}"));
        let error = failure(&store).await;
        let kind = RevocationErrorKind::InvalidOption;
        assert_eq!(error.kind(), kind, "{user}: {error:?}");
        assert!(!format!("{error:?}").contains("wrong@"));
    }
    let store = store(format!("redis://:right@127.0.0.1:{port}"));
    works(&store).await;
    assert!(!format!("{store:?}").contains("right"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_master_is_found_through_a_sentinel_and_again_after_an_outage() {
    let mut redis = Redis::start().await.unwrap();
    let sentinel = Sentinel::start(&redis).await.unwrap();
    let store = store(sentinel.url());
    works(&store).await;
    redis.kill().unwrap();
    assert!(failure(&store).await.is_transient());
    redis.restart().await.unwrap();
    works_again(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_behind_by_closing_or_dropping() {
    let mut redis = Redis::start().await.unwrap();
    let connections = async || {
        let list = redis.command(&["CLIENT", "LIST"]).await.unwrap();
        list.lines().count() - 1
    };
    until("nobody is there", async || connections().await == 0).await;
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    for _ in 0..2 {
        let open = store(redis.url());
        works(&open).await;
        open.close().await;
        open.close().await;
        until("the tasks have ended", async || tasks() == before).await;
        let closed = failure(&open).await;
        assert!(closed.to_string().contains("closed"), "{closed}");
        let dropped = store(redis.url());
        works(&dropped).await;
        drop(dropped);
        until("the tasks of one that was dropped ended", async || {
            tasks() == before
        })
        .await;
        until("nobody is there", async || connections().await == 0).await;
    }
    // In the middle of a call, too.
    let waits = store(redis.url());
    works(&waits).await;
    redis.stop().unwrap();
    let ann = token("7");
    let mut call = std::pin::pin!(waits.is_revoked(&ann));
    assert!(futures::poll!(call.as_mut()).is_pending());
    let (answer, ()) = futures::join!(within("an answer", call), waits.close());
    assert_eq!(answer.unwrap_err().kind(), RevocationErrorKind::Unavailable);
    until("the tasks have ended", async || tasks() == before).await;
}

#[test]
fn outside_of_a_runtime_nothing_panics() {
    let store = RedisRevocations::from_url("redis://127.0.0.1:1").unwrap();
    let answer = futures::executor::block_on(store.is_revoked(&token("7")));
    let kind = answer.unwrap_err().kind();
    assert_eq!(kind, RevocationErrorKind::InvalidOption);
    let answer = futures::executor::block_on(store.revoke(&signed_out("ada"), long()));
    let kind = answer.unwrap_err().kind();
    assert_eq!(kind, RevocationErrorKind::InvalidOption);
    futures::executor::block_on(store.since(0)).unwrap_err();
}
