//! The conformance suite of presence, as every user and inside the access rules that we promise to
//! be enough.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[allow(dead_code, reason = "shared with the tests of faults")]
mod support;

use realtime_core::IdentityKey;
use realtime_presence_redis::RedisPresence;
use realtime_testkit::{
    conformance::presence_faults::{self as suite, Damage},
    servers::redis::Redis,
};
use support::patient;

mod every_user {
    use super::*;

    realtime_testkit::presence_suite!({
        let redis = Redis::start().await.unwrap();
        move || patient(redis.url())
    });
}

mod restricted_user {
    use super::*;

    realtime_testkit::presence_suite!({
        let options = Redis::options().user("rt", "pw", "~rt:* +@all -@dangerous");
        let redis = options.start().await.unwrap();
        move || patient(format!("{}?namespace=shop", redis.url()))
    });
}

/// Somebody else has written under the keys of presence.
mod damaged {
    use super::*;

    realtime_testkit::presence_faults_suite!(spoiled_at("leases", "").await);

    /// Whether somebody is online is asked of the leases alone. All else fails with the other keys,
    /// too.
    #[tokio::test(flavor = "multi_thread")]
    async fn any_key_of_an_identity_is_its_own_trouble() {
        for (key, garbage) in [("sessions", "{}"), ("nodes", "\u{1b}[0m\"")] {
            let make = async || spoiled_at(key, garbage).await;
            suite::a_session_that_cannot_be_registered_is_named_and_the_others_are_registered(
                make().await,
            )
            .await;
            suite::a_session_that_cannot_be_renewed_is_named_and_the_others_are_renewed(
                make().await,
            )
            .await;
            suite::a_session_that_cannot_be_removed_is_named_and_the_others_are_removed(
                make().await,
            )
            .await;
            suite::a_record_that_cannot_be_read_is_left_out_and_unknown(make().await).await;
            suite::a_record_that_cannot_be_read_is_replaced(make().await).await;
        }
    }
}

/// A server, and what puts something else under one of an identity's keys, or garbage into a
/// record.
async fn spoiled_at(
    what: &str,
    garbage: &str,
) -> (impl FnMut() -> RedisPresence, impl AsyncFn(Damage)) {
    let redis = Redis::start().await.unwrap();
    let url = redis.url();
    let handle = move || patient(url.clone());
    let damage = async move |damage| match damage {
        Damage::Identity(identity) => {
            let key = key(&identity, what);
            redis
                .command(&["SET", &key, "something else"])
                .await
                .unwrap();
        }
        Damage::Record(session) => {
            let (key, field) = (key(&session.identity, "sessions"), session.session);
            let field = field.to_string();
            redis
                .command(&["HSET", &key, &field, garbage])
                .await
                .unwrap();
        }
        other => panic!("not known here: {other:?}"),
    };
    (handle, damage)
}

fn key(identity: &IdentityKey, what: &str) -> String {
    let (tenant, id) = (identity.tenant(), identity.id());
    format!(
        "rt:realtime:presence:{{{}:{tenant}:{id}}}:{what}",
        tenant.len()
    )
}
