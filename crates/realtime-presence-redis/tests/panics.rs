//! Code of the program that panics in a task of presence: a layer of `tracing` does so in the middle
//! of a line of the log.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[allow(dead_code, reason = "shared with the tests of faults")]
mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use realtime_core::presence::Presence;
use realtime_testkit::{
    servers::{Redis, RedisCluster},
    wait::until,
};
use support::{ann, next_down, next_up, presence, works};
use tracing::{
    Event, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};

static ARMED: AtomicBool = AtomicBool::new(false);
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Panics at the next line of presence, once each time that it is armed.
struct Panics;

impl Subscriber for Panics {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == realtime_core::log_targets::PRESENCE
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
    let alone = Redis::start().await.unwrap();
    let mut cluster = RedisCluster::start().await.unwrap();
    let urls = [alone.url(), cluster.url()];
    for (url, redis) in urls.into_iter().zip([&alone, &cluster.nodes()[0]]) {
        let presence = presence(url);
        let mut events = presence.events();
        works(&presence).await;
        for _ in 0..3 {
            let before = PANICS.load(SeqCst);
            ARMED.store(true, SeqCst);
            redis
                .command(&["CLIENT", "KILL", "TYPE", "normal"])
                .await
                .unwrap();
            until("it has panicked", async || PANICS.load(SeqCst) > before).await;
            next_down(&mut events).await;
            next_up(&mut events).await;
            until("calls are answered", async || {
                presence.is_online(&ann()).await.is_ok()
            })
            .await;
            works(&presence).await;
        }
    }
}
