//! The suites of histories: as every user, inside the access rules that we promise to be enough, on
//! a cluster, and where somebody else has written under the keys.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[allow(dead_code, reason = "shared with the tests of faults")]
mod support;

use realtime_history_redis::RedisHistory;
use realtime_testkit::{
    conformance::history_faults::Damage,
    servers::redis::{Redis, RedisCluster},
};
use support::patient;

mod every_user {
    use super::*;

    realtime_testkit::history_suite!({
        let redis = Redis::start().await.unwrap();
        move || patient(redis.url())
    });
}

mod restricted_user {
    use super::*;

    realtime_testkit::history_suite!(
        a_user_with_few_rights_is_enough,
        {
            let options = Redis::options().user("rt", "pw", "~rt:* +@all -@dangerous");
            Namespaces::new(options.start().await.unwrap())
        },
        |redis: &Namespaces<Redis>| redis.next(&format!("{}?", redis.server.url()))
    );
}

mod cluster {
    use super::*;

    realtime_testkit::history_suite!(
        a_cluster_keeps_the_promises,
        Namespaces::new(RedisCluster::start().await.unwrap()),
        |cluster: &Namespaces<RedisCluster>| cluster.next(&format!("{}&", cluster.server.url()))
    );
}

/// A server for many tests, each of which has a namespace of its own.
struct Namespaces<S> {
    server: S,
    given: std::cell::Cell<u32>,
}

impl<S> Namespaces<S> {
    fn new(server: S) -> Self {
        let given = std::cell::Cell::new(0);
        Self { server, given }
    }

    fn next(&self, url: &str) -> impl FnMut() -> RedisHistory + use<S> {
        self.given.set(self.given.get() + 1);
        let url = format!("{url}namespace=n{}", self.given.get());
        move || patient(url.clone())
    }
}

/// Somebody else has written under the keys of a room.
mod meta_is_damaged {
    realtime_testkit::history_faults_suite!(super::spoiled_at("meta").await);
}

mod log_is_damaged {
    realtime_testkit::history_faults_suite!(super::spoiled_at("log").await);
}

/// A server, and what puts something else under one of a room's keys.
async fn spoiled_at(what: &str) -> (impl FnMut() -> RedisHistory, impl AsyncFn(Damage)) {
    let redis = Redis::start().await.unwrap();
    let url = redis.url();
    let handle = move || patient(url.clone());
    let damage = async move |damage| {
        let key = |room, what| format!("rt:realtime:history:{{r:{room}}}:{what}");
        let command = match damage {
            Damage::Stream(room) => vec!["SET".to_owned(), key(room, what), "else".to_owned()],
            Damage::Entries(room) => vec!["DEL".to_owned(), key(room, "log")],
            other => panic!("not known here: {other:?}"),
        };
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        redis.command(&command).await.unwrap();
    };
    (handle, damage)
}
