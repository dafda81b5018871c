//! The conformance suite of presence, as every user and inside the access rules that we promise to
//! be enough.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use realtime_presence_redis::RedisPresence;
use realtime_testkit::servers::redis::Redis;

mod every_user {
    use super::*;

    realtime_testkit::presence_suite!({
        let redis = Redis::start().await.unwrap();
        move || RedisPresence::from_url(redis.url()).unwrap()
    });
}

mod restricted_user {
    use super::*;

    realtime_testkit::presence_suite!({
        let options = Redis::options().user("rt", "pw", "~rt:* +@all -@dangerous");
        let redis = options.start().await.unwrap();
        move || RedisPresence::from_url(format!("{}?namespace=shop", redis.url())).unwrap()
    });
}
