//! What lies in Redis, and what becomes of it.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[allow(dead_code, reason = "shared with the tests of faults")]
mod support;

use std::time::Duration;

use realtime_core::history::{Append, History, KNOWN_FOR, Page, Since};
use realtime_testkit::{servers::redis::Redis, wait::until};
use support::{at, history, keep, long, missed, named, room, say};

const META: &str = "rt:realtime:history:{r:order:42}:meta";
const LOG: &str = "rt:realtime:history:{r:order:42}:log";

async fn number(redis: &Redis, command: &[&str]) -> i64 {
    redis.command(command).await.unwrap().parse().unwrap()
}

/// Rooms' keys, without those of the checks.
async fn keys(redis: &Redis) -> Vec<String> {
    let keys = redis.command(&["KEYS", "rt:*r:*"]).await.unwrap();
    let mut keys: Vec<_> = keys.lines().map(str::to_owned).collect();
    keys.retain(|key| !key.is_empty() && !key.contains("{probe-"));
    keys.sort();
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_end_with_their_age_and_the_stream_is_known_for_longer() {
    let redis = Redis::start().await.unwrap();
    let history = history(redis.url());
    let age = Duration::from_secs(1_000);
    let append = || Append::new("x", keep(10, age));
    history.append(&room(), append()).await.unwrap();
    assert_eq!(keys(&redis).await, [LOG, META]);
    let log = number(&redis, &["PTTL", LOG]).await;
    assert!((990_000..=1_000_000).contains(&log), "{log}");
    let meta = number(&redis, &["PTTL", META]).await;
    let known = i64::try_from((age + KNOWN_FOR).as_millis()).unwrap();
    assert!((known - 10_000..=known).contains(&meta), "{meta}");
    // A key is remembered for its window, though entries end sooner.
    let keyed = Append::new("x", keep(10, Duration::from_secs(1)));
    let keyed = keyed.with_key("k".parse().unwrap());
    history.append(&room(), keyed).await.unwrap();
    let log = number(&redis, &["PTTL", LOG]).await;
    assert!((290_000..=300_000).contains(&log), "{log}");
    // What is known for long isn't known for less.
    assert!(number(&redis, &["PTTL", META]).await > known - 60_000);
    history.position(&room(), keep(1, age * 2)).await.unwrap();
    assert!(number(&redis, &["PTTL", META]).await > known + 900_000);
    assert!(number(&redis, &["PTTL", LOG]).await <= 300_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_retention_does_not_leave_takes_no_memory() {
    let redis = Redis::start().await.unwrap();
    let history = history(redis.url());
    for _ in 0..50 {
        let append = Append::new("x", keep(10, Duration::from_secs(300)));
        history.append(&room(), append).await.unwrap();
    }
    assert_eq!(number(&redis, &["HLEN", LOG]).await, 20, "data and times");
    // Much at once is removed step by step.
    for _ in 0..2_500 {
        say(&history, &room()).await;
    }
    assert_eq!(number(&redis, &["HLEN", LOG]).await, 5_020);
    for left in [3_020, 1_022, 20] {
        let append = Append::new("x", keep(10, Duration::from_secs(300)));
        history.append(&room(), append).await.unwrap();
        assert!(number(&redis, &["HLEN", LOG]).await <= left + 2);
        let page = history.latest(&room(), None, 100).await.unwrap();
        assert_eq!((page.entries.len(), page.before), (10, None));
    }
    // And so it is with age.
    let short = keep(10_000, Duration::from_millis(100));
    for _ in 0..50 {
        history
            .append(&room(), Append::new("x", short))
            .await
            .unwrap();
    }
    tokio::time::sleep(Duration::from_millis(150)).await;
    history
        .append(&room(), Append::new("x", short))
        .await
        .unwrap();
    assert_eq!(number(&redis, &["HLEN", LOG]).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_redis_begins_with_another_epoch() {
    let redis = Redis::start().await.unwrap();
    let history = history(redis.url());
    let end = say(&history, &room()).await;
    redis.command(&["FLUSHALL"]).await.unwrap();
    let gone = history.since(&room(), &end, 10).await.unwrap();
    assert_eq!(gone, Since::Lost { position: None });
    assert_eq!(
        history.latest(&room(), None, 10).await.unwrap(),
        Page::default()
    );
    let next = say(&history, &room()).await;
    assert_eq!(next.offset, 1);
    assert_ne!(next.epoch, end.epoch);
    let lost = history.since(&room(), &at(&end, 0), 10).await.unwrap();
    let position = Some(next);
    assert_eq!(lost, Since::Lost { position });
}

/// As when Redis needs memory.
#[tokio::test(flavor = "multi_thread")]
async fn one_key_that_is_gone_takes_nothing_else_for_what_it_is_not() {
    let redis = Redis::start().await.unwrap();
    let history = history(redis.url());
    let keyed = || Append::new("x", long()).with_key("k".parse().unwrap());
    let first = history.append(&room(), keyed()).await.unwrap().position;
    say(&history, &room()).await;
    redis.command(&["DEL", META]).await.unwrap();
    // What is left belongs to another epoch.
    let gone = history.since(&room(), &first, 10).await.unwrap();
    assert_eq!(gone, Since::Lost { position: None });
    let again = history.append(&room(), keyed()).await.unwrap();
    assert!(!again.is_duplicate && again.position.offset == 1);
    assert_ne!(again.position.epoch, first.epoch);
    let page = history.latest(&room(), None, 10).await.unwrap();
    assert_eq!(page.entries.len(), 1, "no entry of another epoch");

    redis.command(&["DEL", LOG]).await.unwrap();
    let again = history.append(&room(), keyed()).await.unwrap();
    assert_eq!((again.is_duplicate, again.position.offset), (false, 2));
    assert!(
        missed(&history, &room(), &at(&again.position, 0))
            .await
            .is_none()
    );
    assert_eq!(
        missed(&history, &room(), &at(&again.position, 1))
            .await
            .unwrap()
            .len(),
        1
    );
    assert!(history.append(&room(), keyed()).await.unwrap().is_duplicate);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_wrote_is_no_entry() {
    let redis = Redis::start().await.unwrap();
    let history = history(redis.url());
    let mut end = say(&history, &room()).await;
    for _ in 0..9 {
        end = say(&history, &room()).await;
    }
    redis.command(&["HDEL", LOG, "7"]).await.unwrap();
    assert!(missed(&history, &room(), &at(&end, 6)).await.is_none());
    assert!(missed(&history, &room(), &at(&end, 2)).await.is_none());
    assert_eq!(
        missed(&history, &room(), &at(&end, 7)).await.unwrap().len(),
        3
    );
    redis.command(&["HSET", LOG, "t9", "soon"]).await.unwrap();
    assert!(missed(&history, &room(), &at(&end, 8)).await.is_none());
    let page = history.latest(&room(), None, 100).await.unwrap();
    assert_eq!((page.entries.len(), page.before), (1, None));
    // Nonsense in place of what is known of the stream is no stream, and is replaced by one.
    for (field, nonsense) in [("offset", "many"), ("epoch", "a b"), ("offset", "-1")] {
        let before = say(&history, &room()).await;
        redis
            .command(&["HSET", META, field, nonsense])
            .await
            .unwrap();
        let gone = history.since(&room(), &before, 10).await.unwrap();
        assert_eq!(gone, Since::Lost { position: None }, "{field} {nonsense}");
        let next = say(&history, &room()).await;
        assert!(next.offset == 1 && next.epoch != before.epoch, "{next:?}");
        assert_eq!(
            history
                .latest(&room(), None, 9)
                .await
                .unwrap()
                .entries
                .len(),
            1
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_forgotten_when_there_are_too_many() {
    let redis = Redis::start().await.unwrap();
    let history = history(redis.url());
    let append = async |n: usize| {
        let append = Append::new("", keep(1, Duration::from_secs(1)));
        let append = append.with_key(n.to_string().parse().unwrap());
        history.append(&room(), append).await.unwrap().is_duplicate
    };
    for n in 0..10 {
        assert!(!append(n).await);
    }
    // As if their window had ended.
    let line = redis.command(&["HGET", LOG, "q1"]).await.unwrap();
    let [offset, time, key] = line.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{line}");
    };
    assert_eq!((offset, key), ("1", "0"));
    let old = (time.parse::<u64>().unwrap() - 300_000).to_string();
    for (place, key) in [("q1", "0"), ("q2", "1")] {
        let offset = key.parse::<u32>().unwrap() + 1;
        let (use_, line) = (format!("{offset} {old}"), format!("{offset} {old} {key}"));
        let key = format!("k{key}");
        redis
            .command(&["HSET", LOG, &key, &use_, place, &line])
            .await
            .unwrap();
    }
    assert!(append(2).await, "it is young");
    assert!(!append(0).await, "its window has ended");
    assert!(append(0).await, "it is remembered anew");
    assert_eq!(number(&redis, &["HEXISTS", LOG, "k1"]).await, 0);
    assert_eq!(number(&redis, &["HEXISTS", LOG, "q1"]).await, 0);
    assert_eq!(number(&redis, &["HEXISTS", LOG, "q2"]).await, 0);
    assert!(append(9).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_share_a_server_without_seeing_each_other() {
    let redis = Redis::start().await.unwrap();
    let [a, b] = ["a", "b"].map(|n| history(format!("{}?namespace={n}", redis.url())));
    let end = say(&a, &room()).await;
    assert_eq!(b.latest(&room(), None, 1).await.unwrap(), Page::default());
    b.remove(&room()).await.unwrap();
    assert_eq!(a.position(&room(), long()).await.unwrap(), end);
}

/// Nothing of the checks stays.
#[tokio::test(flavor = "multi_thread")]
async fn checks_leave_nothing_behind() {
    let redis = Redis::start().await.unwrap();
    let history = history(redis.url());
    say(&history, &named("a")).await;
    history.close().await;
    until("only the room is there", async || {
        number(&redis, &["DBSIZE"]).await == 2
    })
    .await;
}
