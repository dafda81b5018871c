//! A master that a sentinel knows.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[allow(dead_code, reason = "shared with the tests of faults")]
mod support;

use realtime_core::presence::Presence;
use realtime_testkit::{
    servers::{Redis, Sentinel},
    wait::until,
};
use support::{next_down, next_up, presence, works};

#[tokio::test(flavor = "multi_thread")]
async fn the_master_is_found_through_a_sentinel_and_again_after_an_outage() {
    let mut redis = Redis::start().await.unwrap();
    let sentinel = Sentinel::start(&redis).await.unwrap();
    let presence = presence(sentinel.url());
    let mut events = presence.events();
    works(&presence).await;
    redis.kill().unwrap();
    next_down(&mut events).await;
    redis.restart().await.unwrap();
    next_up(&mut events).await;
    works(&presence).await;
    until("somebody is online", async || {
        presence.is_online(&support::ann()).await.unwrap()
    })
    .await;
}
