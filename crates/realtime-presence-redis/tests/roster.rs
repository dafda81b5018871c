//! The conformance suite of rosters, as every user and inside the access rules that we promise to be
//! enough.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

use realtime_presence_redis::RedisPresence;
use realtime_testkit::servers::redis::Redis;

mod every_user {
    use super::*;

    realtime_testkit::roster_suite!({
        let redis = Redis::start().await.unwrap();
        move || RedisPresence::from_url(redis.url()).unwrap()
    });
}
