//! What happens when Redis is broken in every way that can be brought about.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[allow(dead_code, reason = "shared with other tests")]
mod support;

use std::time::{Duration, Instant};

use futures::{StreamExt, future::join_all};
use realtime_core::history::{Append, History, HistoryErrorKind, Since};
use realtime_history_redis::RedisHistory;
use realtime_testkit::{
    servers::{Sentinel, free_port, redis::Redis},
    wait::{until, within},
};
use support::{
    SOON, append, at, failure, history, keep, long, missed, named, next_down, room, say, until_up,
    works,
};
use tokio::runtime::Handle;

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_not_there_makes_commands_fail_at_once() {
    let port = free_port().unwrap();
    let history = history(format!("redis://127.0.0.1:{port}"));
    let mut events = history.events();
    let error = failure(&history).await;
    assert_eq!(error.kind(), HistoryErrorKind::Unavailable);
    assert!(error.is_transient());
    assert!(next_down(&mut events).await.contains("refused"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_redis_is_found_again_when_it_is_back_and_has_another_epoch() {
    let mut redis = Redis::start().await.unwrap();
    let history = history(redis.url());
    let mut events = history.events();
    works(&history).await;
    for _ in 0..3 {
        let seen = say(&history, &room()).await;
        redis.kill().unwrap();
        next_down(&mut events).await;
        assert!(failure(&history).await.is_transient());
        redis.restart().await.unwrap();
        let back = Instant::now();
        until_up(&mut events).await;
        let took = back.elapsed();
        assert!(took < Duration::from_secs(3), "it took {took:?}");
        let gone = history.since(&room(), &seen, 10).await.unwrap();
        assert_eq!(gone, Since::Lost { position: None });
        works(&history).await;
        let gone = history.since(&room(), &at(&seen, 0), 10).await.unwrap();
        assert!(matches!(gone, Since::Lost { position: Some(_) }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_redis_is_noticed_and_what_was_told_is_there_when_it_goes_on() {
    let mut redis = Redis::start().await.unwrap();
    let history = history(redis.url());
    let mut events = history.events();
    let begin = history.position(&room(), long()).await.unwrap();
    let told = say(&history, &room()).await;
    redis.stop().unwrap();
    let start = Instant::now();
    // What fails now may still be carried out.
    let late = join_all((0..20).map(|_| async {
        let asked = Instant::now();
        let refused = history.append(&room(), Append::new("late", long())).await;
        assert!(refused.unwrap_err().is_transient());
        assert!(asked.elapsed() < SOON);
    }));
    late.await;
    next_down(&mut events).await;
    assert!(
        start.elapsed() < Duration::from_secs(6),
        "{:?}",
        start.elapsed()
    );
    redis.resume().unwrap();
    until_up(&mut events).await;
    let end = say(&history, &room()).await;
    assert_eq!(end.epoch, told.epoch);
    let missed = missed(&history, &room(), &begin).await.unwrap();
    let offsets: Vec<_> = missed.iter().map(|entry| entry.offset).collect();
    assert_eq!(offsets, (1..=end.offset).collect::<Vec<_>>());
    assert_eq!(missed[0].data, "x");
    let late = missed.iter().filter(|entry| entry.data == "late").count();
    assert!(late <= 20, "an append was sent twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_killed_while_appends_come_lose_and_double_nothing() {
    let redis = Redis::start().await.unwrap();
    let history = history(redis.url());
    let begin = history.position(&room(), long()).await.unwrap();
    let mut told = Vec::new();
    for n in 0..300 {
        if n % 50 == 25 {
            let kill = ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"];
            redis.command(&kill).await.unwrap();
        }
        let data = n.to_string();
        if let Ok(appended) = history
            .append(&room(), Append::new(data.clone(), long()))
            .await
        {
            assert!(!appended.is_duplicate);
            told.push((appended.position.offset, data));
        }
    }
    assert!(told.len() > 200, "only {} were appended", told.len());
    until("it is read", async || {
        history.since(&room(), &begin, 1_000).await.is_ok()
    })
    .await;
    let missed = missed(&history, &room(), &begin).await.unwrap();
    for (offset, data) in &told {
        let place = usize::try_from(*offset).unwrap() - 1;
        assert_eq!(
            (missed[place].offset, &*missed[place].data),
            (*offset, data.as_bytes())
        );
    }
    let mut all: Vec<_> = missed.iter().map(|entry| &entry.data).collect();
    all.sort();
    let count = all.len();
    all.dedup();
    assert_eq!(all.len(), count, "an append is there twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn out_of_memory_is_transient_and_reading_goes_on() {
    let redis = Redis::start().await.unwrap();
    let history = history(redis.url());
    let mut events = history.events();
    let begin = history.position(&room(), long()).await.unwrap();
    say(&history, &room()).await;
    redis
        .command(&["CONFIG", "SET", "maxmemory", "1"])
        .await
        .unwrap();
    for name in ["order:42", "new"] {
        let append = Append::new("x", long());
        let refused = history.append(&named(name), append).await.unwrap_err();
        assert!(refused.is_transient(), "{refused:?}");
    }
    assert!(next_down(&mut events).await.contains(": OOM"));
    assert_eq!(missed(&history, &room(), &begin).await.unwrap().len(), 1);
    history.remove(&room()).await.unwrap();
    redis
        .command(&["CONFIG", "SET", "maxmemory", "0"])
        .await
        .unwrap();
    until_up(&mut events).await;
    works(&history).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_were_flushed_are_sent_again() {
    let redis = Redis::start().await.unwrap();
    let history = history(redis.url());
    works(&history).await;
    redis.command(&["SCRIPT", "FLUSH"]).await.unwrap();
    let [a, b] = [
        append(&history, &room()).await,
        append(&history, &room()).await,
    ];
    assert_eq!((a.position.offset, b.position.offset), (2, 3));
    redis.command(&["SCRIPT", "FLUSH"]).await.unwrap();
    works(&history).await;
}

/// Each of these lacks something else.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_not_do_everything_is_a_fault_of_the_configuration() {
    for rules in [
        "~rt:* +@all -@scripting",
        "~rt:* +@all -hset",
        "~rt:* +@all -hget",
        "~rt:* +@all -hmget",
        "~rt:* +@all -hdel",
        "~rt:* +@all -hlen",
        "~rt:* +@all -hstrlen",
        "~rt:* +@all -del",
        "~rt:* +@all -pexpire",
        "~rt:* +@all -pttl",
        "~rt:* +@all -time",
        "~other:* +@all",
    ] {
        let redis = Redis::options().user("rt", "pw", rules).start().await;
        let redis = redis.unwrap();
        let history = history(redis.url());
        let mut events = history.events();
        let answer = history.position(&room(), long()).await;
        let kind = answer.as_ref().err().map(|error| error.kind());
        assert_eq!(kind, Some(HistoryErrorKind::Config), "{rules}: {answer:?}");
        next_down(&mut events).await;
        let enough = ["ACL", "SETUSER", "rt", "~rt:*", "+@all", "-@dangerous"];
        redis.command(&enough).await.unwrap();
        until_up(&mut events).await;
        works(&history).await;
    }
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
        let history = history(format!("redis://{user}127.0.0.1:{port}"));
        let error = failure(&history).await;
        assert_eq!(error.kind(), HistoryErrorKind::Config, "{user}: {error:?}");
        assert!(!format!("{error:?}").contains("wrong@"));
    }
    let history = history(format!("redis://:right@127.0.0.1:{port}"));
    works(&history).await;
    assert!(!format!("{history:?}").contains("right"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_master_is_found_through_a_sentinel_and_again_after_an_outage() {
    let mut redis = Redis::start().await.unwrap();
    let sentinel = Sentinel::start(&redis).await.unwrap();
    let history = history(sentinel.url());
    let mut events = history.events();
    works(&history).await;
    redis.kill().unwrap();
    next_down(&mut events).await;
    redis.restart().await.unwrap();
    until_up(&mut events).await;
    works(&history).await;
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
    for _ in 0..3 {
        let open = history(redis.url());
        let mut events = open.events();
        works(&open).await;
        open.close().await;
        open.close().await;
        until("the tasks have ended", async || tasks() == before).await;
        assert_eq!(events.next().await, None);
        let dropped = history(redis.url());
        works(&dropped).await;
        drop(dropped);
        until("the tasks of one that was dropped ended", async || {
            tasks() == before
        })
        .await;
        until("nobody is there", async || connections().await == 0).await;
    }
    // In the middle of a call, too.
    let waits = history(redis.url());
    works(&waits).await;
    redis.stop().unwrap();
    let room = room();
    let mut call = std::pin::pin!(waits.latest(&room, None, 1));
    assert!(futures::poll!(call.as_mut()).is_pending());
    let (answer, ()) = futures::join!(within("an answer", call), waits.close());
    assert_eq!(answer.unwrap_err().kind(), HistoryErrorKind::Closed);
    until("the tasks have ended", async || tasks() == before).await;
}

#[test]
fn outside_of_a_runtime_nothing_panics() {
    let history = RedisHistory::from_url("redis://127.0.0.1:1").unwrap();
    drop(history.events());
    let answer = futures::executor::block_on(history.latest(&room(), None, 1));
    assert_eq!(answer.unwrap_err().kind(), HistoryErrorKind::Config);
    let retention = keep(1, Duration::from_secs(1));
    let answer = futures::executor::block_on(history.position(&room(), retention));
    assert_eq!(answer.unwrap_err().kind(), HistoryErrorKind::Config);
}
