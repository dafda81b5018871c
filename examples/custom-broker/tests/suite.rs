//! Held to the suite that every broker passes, on a real Redis.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use custom_broker::PubSub;
use realtime_testkit::servers::Redis;

realtime_testkit::broker_suite!(
    pub_sub_passes_the_suite,
    Redis::start().await.unwrap(),
    |server: &Redis| {
        static CLUSTER: AtomicU32 = AtomicU32::new(0);
        let cluster = CLUSTER.fetch_add(1, Relaxed);
        let url = format!("{}?namespace=suite-{cluster}", server.url());
        move || PubSub::new(&url).unwrap()
    }
);
