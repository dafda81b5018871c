//! Code of the program that panics in a task of the broker: a layer of `tracing` does so in the
//! middle of a line of the log.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

#[allow(dead_code, reason = "shared by all tests of faults")]
mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use realtime_testkit::{servers::Redis, wait::until};
use support::{Member, kill};
use tracing::{
    Event, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};

static ARMED: AtomicBool = AtomicBool::new(false);
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Panics at the next line of the broker, once each time that it is armed.
struct Panics;

impl Subscriber for Panics {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == realtime_core::log_targets::BROKER
            && *metadata.level() <= tracing::Level::DEBUG
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        if ARMED.swap(false, SeqCst) {
            PANICS.fetch_add(1, SeqCst);
            panic!("a layer of the program panics");
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_panics_is_started_again() {
    tracing::subscriber::set_global_default(Panics).unwrap();
    let redis = Redis::start().await.unwrap();
    let mut one = Member::join(&redis.url()).await;
    let mut other = Member::join(&redis.url()).await;
    one.talk(&mut other).await;
    for (n, role) in ["publish", "subscribe", "publish", "subscribe"]
        .into_iter()
        .enumerate()
    {
        ARMED.store(true, SeqCst);
        kill(&redis, &one.id, role).await;
        until("it has panicked", async || PANICS.load(SeqCst) == n + 1).await;
        one.until_down().await;
        one.until_up().await;
        one.talk(&mut other).await;
    }
}
