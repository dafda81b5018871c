//! The suites of revocations: as every user, inside the access rules that we promise to be enough, on a
//! cluster, and where somebody else has written under the keys.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[allow(dead_code, reason = "shared with the tests of faults")]
mod support;

use std::cell::Cell;

use realtime_core::revocation::RevocationScope;
use realtime_revocation_redis::RedisRevocations;
use realtime_testkit::{
    conformance::revocations_faults::Damage,
    servers::redis::{Redis, RedisCluster},
};
use support::patient;

realtime_testkit::revocations_suite!(
    a_server_keeps_the_promises,
    Namespaces::new(Redis::start().await.unwrap()),
    |redis: &Namespaces<Redis>| redis.next(&format!("{}?", redis.server.url()))
);

realtime_testkit::revocations_suite!(
    a_user_with_few_rights_is_enough,
    {
        let options = Redis::options().user("rt", "pw", "~rt:* +@all -@dangerous");
        Namespaces::new(options.start().await.unwrap())
    },
    |redis: &Namespaces<Redis>| redis.next(&format!("{}?", redis.server.url()))
);

realtime_testkit::revocations_suite!(
    a_cluster_keeps_the_promises,
    Namespaces::new(RedisCluster::start().await.unwrap()),
    |cluster: &Namespaces<RedisCluster>| cluster.next(&format!("{}&", cluster.server.url()))
);

/// A server for many tests, each of which has a namespace of its own.
struct Namespaces<S> {
    server: S,
    given: Cell<u32>,
}

impl<S> Namespaces<S> {
    fn new(server: S) -> Self {
        let given = Cell::new(0);
        Self { server, given }
    }

    fn next(&self, url: &str) -> impl FnMut() -> RedisRevocations + use<S> {
        self.given.set(self.given.get() + 1);
        let url = format!("{url}namespace=n{}", self.given.get());
        move || patient(url.clone())
    }
}

/// A key of another type.
mod another_type {
    realtime_testkit::revocations_faults_suite!(super::spoiled("LPUSH", &["x"]).await);
}

/// What is no time.
mod no_time {
    realtime_testkit::revocations_faults_suite!(super::spoiled("SET", &["soon 17"]).await);
}

/// What is no text.
mod no_text {
    realtime_testkit::revocations_faults_suite!(super::spoiled("SETBIT", &["0", "1"]).await);
}

/// A server, and what puts something else under a key.
async fn spoiled(
    command: &'static str,
    value: &'static [&'static str],
) -> (impl FnMut() -> RedisRevocations, impl AsyncFn(Damage)) {
    let redis = Redis::start().await.unwrap();
    let url = redis.url();
    let handle = move || patient(url.clone());
    let damage = async move |damage| {
        let name = match damage {
            Damage::Revocation(RevocationScope::Everybody) => "everybody".to_owned(),
            Damage::Revocation(RevocationScope::Tenant(tenant)) => format!("tenant:{tenant}"),
            Damage::Revocation(RevocationScope::Identity(key)) => {
                let (tenant, id) = (key.tenant(), key.id());
                format!("identity:{}:{tenant}:{id}", tenant.len())
            }
            Damage::Revocation(RevocationScope::Token(id)) => format!("token:{id}"),
            Damage::Order => "log".to_owned(),
            other => panic!("not known here: {other:?}"),
        };
        let key = format!("rt:realtime:revocation:{{revoked-realtime}}:{name}");
        redis.command(&["DEL", &key]).await.unwrap();
        let mut words = vec![command, &*key];
        words.extend(value);
        redis.command(&words).await.unwrap();
    };
    (handle, damage)
}
