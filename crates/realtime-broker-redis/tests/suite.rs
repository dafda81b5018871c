//! The suite that every broker passes, on every kind of Redis.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use realtime_broker_redis::{RedisBroker, RedisBrokerConfig, RedisBrokerConfigBuilder};
use realtime_testkit::servers::{Redis, RedisCluster, Sentinel};

/// Members of a new cluster of gateways.
fn members(builder: RedisBrokerConfigBuilder) -> impl FnMut() -> RedisBroker {
    static CLUSTER: AtomicU32 = AtomicU32::new(0);
    let cluster = format!("suite-{}", CLUSTER.fetch_add(1, Relaxed));
    let config = builder.namespace(cluster).build().unwrap();
    move || RedisBroker::new(config.clone())
}

realtime_testkit::broker_suite!(
    a_server_passes_the_suite,
    Redis::start().await.unwrap(),
    |server: &Redis| members(RedisBrokerConfig::builder(server.url()))
);

realtime_testkit::broker_suite!(
    a_user_who_may_only_what_is_said_passes_the_suite,
    {
        let rules = "resetchannels &rt:* +@pubsub +@connection";
        Redis::options()
            .user("rt", "pw", rules)
            .start()
            .await
            .unwrap()
    },
    |server: &Redis| members(RedisBrokerConfig::builder(server.url()))
);

realtime_testkit::broker_suite!(
    a_master_behind_a_sentinel_passes_the_suite,
    {
        let master = Redis::start().await.unwrap();
        (Sentinel::start(&master).await.unwrap(), master)
    },
    |servers: &(Sentinel, Redis)| members(RedisBrokerConfig::builder(servers.0.url()))
);

realtime_testkit::broker_suite!(
    a_cluster_passes_the_suite,
    {
        let rules = "resetchannels &rt:* +@pubsub +@connection +cluster|slots";
        RedisCluster::with(Redis::options().user("rt", "pw", rules))
            .await
            .unwrap()
    },
    |cluster: &RedisCluster| members(RedisBrokerConfig::builder(cluster.url()))
);

#[cfg(feature = "rustls")]
mod over_tls {
    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;

    fn certificate() -> (String, String) {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["redis.example".to_owned()]).unwrap();
        (cert.pem(), signing_key.serialize_pem())
    }

    fn trusting(url: String, pem: &str) -> RedisBrokerConfigBuilder {
        let builder = RedisBrokerConfig::builder(url).root_certificates(pem);
        builder.tls_server_name("redis.example")
    }

    realtime_testkit::broker_suite!(
        a_server_passes_the_suite,
        {
            let (pem, key) = certificate();
            (Redis::options().tls(&pem, &key).start().await.unwrap(), pem)
        },
        |(server, pem): &(Redis, String)| members(trusting(server.url(), pem))
    );

    realtime_testkit::broker_suite!(
        a_cluster_passes_the_suite,
        {
            let (pem, key) = certificate();
            (
                RedisCluster::with(Redis::options().tls(&pem, &key))
                    .await
                    .unwrap(),
                pem,
            )
        },
        |(cluster, pem): &(RedisCluster, String)| members(trusting(cluster.url(), pem))
    );
}
