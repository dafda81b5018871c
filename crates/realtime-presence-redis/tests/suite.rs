//! The suite that every presence store passes, on a real Redis, also as a cluster, and as a user
//! who may do no more than is needed.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use realtime_presence_redis::{RedisConfig, RedisPresence};
use realtime_testkit::servers::{Redis, RedisCluster};

fn handles(url: &str) -> impl FnMut() -> RedisPresence + use<> {
    static STORE: AtomicU32 = AtomicU32::new(0);
    let store = format!("suite-{}", STORE.fetch_add(1, Relaxed));
    let config = RedisConfig::from_url(url).unwrap();
    let config = config.with_namespace(store.parse().unwrap());
    move || RedisPresence::new(config.clone()).unwrap()
}

realtime_testkit::presence_suite!(
    redis_passes_the_suite,
    Redis::start().await,
    |server: &Redis| handles(&server.url())
);

realtime_testkit::presence_suite!(
    a_cluster_passes_the_suite,
    RedisCluster::start().await,
    |cluster: &RedisCluster| handles(&cluster.url())
);

realtime_testkit::presence_suite!(
    a_user_without_more_rights_than_needed_passes_the_suite,
    {
        let server = Redis::start().await;
        let rules = "ACL SETUSER rt on >secret ~rt:* +@all -@dangerous";
        assert_eq!(server.command(&rules.split(' ').collect::<Vec<_>>()), "OK");
        assert_eq!(server.command(&["ACL", "SETUSER", "default", "off"]), "OK");
        server
    },
    |server: &Redis| handles(&server.url().replace("redis://", "redis://rt:secret@"))
);
