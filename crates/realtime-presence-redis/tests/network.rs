//! What happens where the way to Redis, and not Redis, is broken or slow, and where Redis holds its
//! clients up.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[allow(dead_code, reason = "shared with the tests of faults")]
mod support;

use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt};
use realtime_core::presence::{Presence, PresenceEvents};
use realtime_presence_redis::{RedisConfig, RedisPresence};
use realtime_testkit::{
    proxy::{Fault, Proxy},
    servers::Redis,
    wait::{until, within},
};
use support::{SOON, ann, failure, next_down, next_up, patient, presence, works};

/// A server, and presence that reaches it through a proxy.
async fn through_a_proxy() -> (Redis, Proxy, RedisPresence) {
    let redis = Redis::start().await.unwrap();
    let proxy = Proxy::start(redis.port()).await;
    let presence = presence(format!("redis://127.0.0.1:{}", proxy.port()));
    works(&presence).await;
    (redis, proxy, presence)
}

/// It is back: after a pause of up to 2 s and a check, and what a busy machine adds.
async fn is_back(presence: &RedisPresence, events: &mut PresenceEvents) {
    next_up(events).await;
    works(presence).await;
}

fn said_nothing(events: &mut PresenceEvents) {
    assert_eq!(events.next().now_or_never(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_through_which_nothing_comes_is_down_until_something_does() {
    let (_redis, proxy, presence) = through_a_proxy().await;
    let mut events = presence.events();
    for fault in [Fault::Blackhole, Fault::StallRequests, Fault::StallAnswers] {
        proxy.set(fault);
        assert!(failure(&presence).await.is_transient(), "{fault:?}");
        next_down(&mut events).await;
        assert!(failure(&presence).await.is_transient(), "{fault:?}");
        proxy.set(Fault::None);
        is_back(&presence, &mut events).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_cut_off_is_noticed_at_once() {
    let (_redis, proxy, presence) = through_a_proxy().await;
    let mut events = presence.events();
    for _ in 0..3 {
        proxy.set(Fault::Refuse);
        proxy.reset();
        let cut = Instant::now();
        next_down(&mut events).await;
        assert!(cut.elapsed() < SOON, "{:?}", cut.elapsed());
        assert!(failure(&presence).await.is_transient());
        proxy.set(Fault::None);
        is_back(&presence, &mut events).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_link_is_none_that_is_down_until_it_is_too_slow() {
    let (_redis, proxy, presence) = through_a_proxy().await;
    let unhurried = patient(format!("redis://127.0.0.1:{}", proxy.port()));
    works(&unhurried).await;
    let (mut events, mut others) = (presence.events(), unhurried.events());
    // Each way, and some calls go twice. Long enough for several checks.
    proxy.set(Fault::Delay(Duration::from_millis(50)));
    let slow = Instant::now();
    while slow.elapsed() < Duration::from_secs(3) {
        works(&unhurried).await;
    }
    said_nothing(&mut events);
    said_nothing(&mut others);
    proxy.set(Fault::Delay(Duration::from_millis(1_500)));
    assert!(failure(&presence).await.is_transient());
    next_down(&mut events).await;
    proxy.set(Fault::None);
    is_back(&presence, &mut events).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_holds_up_what_writes_is_down_until_it_goes_on() {
    let redis = Redis::start().await.unwrap();
    let presence = presence(redis.url());
    let mut events = presence.events();
    works(&presence).await;
    let pause = ["CLIENT", "PAUSE", "60000", "WRITE"];
    redis.command(&pause).await.unwrap();
    // Questions behind a command that is held up wait with it.
    assert!(failure(&presence).await.is_transient());
    next_down(&mut events).await;
    assert!(failure(&presence).await.is_transient());
    redis.command(&["CLIENT", "UNPAUSE"]).await.unwrap();
    is_back(&presence, &mut events).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_pause_of_redis_is_no_outage() {
    let redis = Redis::start().await.unwrap();
    // The pause lasts so much longer than a command that a busy machine has time to make some.
    let config = RedisConfig::builder(redis.url()).command_timeout(Duration::from_millis(500));
    let presence = RedisPresence::new(config.build().unwrap());
    let mut events = presence.events();
    until("it is connected", async || {
        presence.is_online(&ann()).await.is_ok()
    })
    .await;
    // Less than the three checks after which it is given up.
    redis
        .command(&["CLIENT", "PAUSE", "1500", "ALL"])
        .await
        .unwrap();
    assert!(failure(&presence).await.is_transient());
    let again = async { while presence.is_online(&ann()).await.is_err() {} };
    within("the end of the pause", again).await;
    works(&presence).await;
    said_nothing(&mut events);
}
