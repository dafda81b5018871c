//! The conformance suite of rosters, as every user and inside the access rules that we promise to be
//! enough.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[allow(dead_code, reason = "shared with the tests of faults")]
mod support;

use realtime_core::presence::Group;
use realtime_presence_redis::RedisPresence;
use realtime_testkit::{
    conformance::roster_faults::{self as suite, Damage},
    servers::redis::Redis,
};
use support::patient;

mod every_user {
    use super::*;

    // At the same time: many of them wait for the end of a claim.
    realtime_testkit::roster_suite!(
        a_server_keeps_the_promises,
        Redis::start().await.unwrap(),
        |redis: &Redis| {
            let url = format!("{}?namespace=n{:x}", redis.url(), fastrand::u64(..));
            move || patient(url.clone())
        }
    );
}

mod restricted_user {
    use super::*;

    realtime_testkit::roster_suite!(
        a_server_keeps_the_promises,
        {
            let options = Redis::options().user("rt", "pw", "~rt:* +@all -@dangerous");
            options.start().await.unwrap()
        },
        |redis: &Redis| {
            let url = format!("{}?namespace=n{:x}", redis.url(), fastrand::u64(..));
            move || patient(url.clone())
        }
    );
}

/// Somebody else has written under the keys of a group.
mod damaged {
    use super::*;

    realtime_testkit::roster_faults_suite!(spoiled_at("here").await);

    /// Members are read from one of them. All that writes fails with the other keys, too.
    #[tokio::test(flavor = "multi_thread")]
    async fn any_key_of_a_group_is_its_own_trouble() {
        for key in ["nodes", "due", "joined", "left"] {
            let make = async || spoiled_at(key).await;
            suite::a_member_that_cannot_be_entered_is_named_and_the_others_are_entered(
                make().await,
            )
            .await;
            suite::a_member_that_cannot_leave_is_named_and_the_others_leave(make().await).await;
        }
        let make = spoiled_at("nodes").await;
        suite::a_group_that_cannot_be_renewed_is_named_and_the_others_are_renewed(make).await;
    }
}

/// A server, and what puts something else under one of a group's keys.
async fn spoiled_at(what: &str) -> (impl FnMut() -> RedisPresence, impl AsyncFn(Damage)) {
    let redis = Redis::start().await.unwrap();
    let url = redis.url();
    let handle = move || patient(url.clone());
    let damage = async move |damage| match damage {
        Damage::Group(Group::Tenant(tenant)) => {
            // In whatever shard it is.
            for shard in 0..16 {
                let shard = format!("rt:realtime:roster:{{realtime:{shard}}}");
                let key = format!("{shard}:{what}:t:{}", tenant.as_str());
                let words = ["SET", &key, "something else"];
                redis.command(&words).await.unwrap();
            }
        }
        other => panic!("not known here: {other:?}"),
    };
    (handle, damage)
}
